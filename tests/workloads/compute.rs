//! The queue, and nodes that come and go.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use atelier_api::v1alpha1::RunState;
use atelier_api::{ComputeTarget, Run};
use atelier_testkit::manifest::{run, target};
use atelier_testkit::namespace::{QUICK, SLOW};
use atelier_testkit::operator::undisturbed;
use atelier_testkit::wait::check;
use atelier_testkit::{TestNamespace, eventually};
use futures::{StreamExt as _, TryStreamExt as _};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use kube::runtime::{WatchStreamExt as _, watcher};
use serde_json::json;

pub(crate) async fn state(
    namespace: &TestNamespace,
    name: &str,
    wanted: RunState,
    limit: Duration,
) -> Run {
    eventually(limit, &format!("run {name} is {wanted:?}"), async || {
        let run: Run = namespace.api().get(name).await.map_err(|e| e.to_string())?;
        let status = run.status.clone().unwrap_or_default();
        check(
            status.state == Some(wanted),
            (&status.state, &status.message),
        )?;
        Ok(run)
    })
    .await
}

pub(crate) async fn nodes(
    namespace: &TestNamespace,
    wanted: i32,
    limit: Duration,
) -> ComputeTarget {
    eventually(limit, &format!("there are {wanted} nodes"), async || {
        let target: ComputeTarget = namespace
            .api()
            .get("cpu")
            .await
            .map_err(|e| e.to_string())?;
        let status = target.status.clone().unwrap_or_default();
        check(status.current_nodes == wanted, &status)?;
        Ok(target)
    })
    .await
}

/// What was seen of the pods of a namespace.
#[derive(Default)]
pub(crate) struct Sight {
    /// The most slots at any event.
    pub(crate) slots: usize,
    /// The most live pods of one run at any event.
    pub(crate) pods_of_a_run: usize,
    /// Runs, in the order in which their first pods were made.
    pub(crate) began: Vec<String>,
}

/// Watches all pods of a namespace.
pub(crate) struct Witness(Arc<Mutex<Sight>>, tokio::task::JoinHandle<()>);

impl Witness {
    pub(crate) fn start(namespace: &TestNamespace) -> Self {
        let sight = Arc::new(Mutex::new(Sight::default()));
        let noted = sight.clone();
        let stream = watcher(namespace.api::<Pod>(), watcher::Config::default()).default_backoff();
        let task = tokio::spawn(async move {
            let mut live = std::collections::BTreeMap::new();
            let mut stream = stream.boxed();
            while let Ok(Some(event)) = stream.try_next().await {
                match event {
                    watcher::Event::Apply(pod) | watcher::Event::InitApply(pod) => {
                        let phase = pod
                            .status
                            .as_ref()
                            .and_then(|s| s.phase.clone())
                            .unwrap_or_default();
                        match phase.as_str() {
                            "Succeeded" | "Failed" => live.remove(&pod.name_any()),
                            _ => live.insert(pod.name_any(), pod),
                        };
                    }
                    watcher::Event::Delete(pod) => drop(live.remove(&pod.name_any())),
                    _ => {}
                }
                let slots: BTreeSet<_> = live
                    .values()
                    .filter_map(|p| p.labels().get("atelier.dev/slot"))
                    .collect();
                let runs: Vec<_> = live
                    .values()
                    .filter(|p| p.labels().contains_key("atelier.dev/attempt"))
                    .collect();
                let of_run = |name: Option<&String>| {
                    runs.iter()
                        .filter(|p| p.labels().get("app.kubernetes.io/instance") == name)
                        .count()
                };
                let doubled = runs
                    .iter()
                    .map(|p| of_run(p.labels().get("app.kubernetes.io/instance")))
                    .max();
                let mut noted = noted.lock().unwrap();
                noted.slots = noted.slots.max(slots.len());
                noted.pods_of_a_run = noted.pods_of_a_run.max(doubled.unwrap_or_default());
                for run in runs {
                    let name = &run.labels()["app.kubernetes.io/instance"];
                    if !noted.began.contains(name) {
                        noted.began.push(name.clone());
                    }
                }
            }
        });
        Self(sight, task)
    }

    /// What it has seen.
    pub(crate) fn stop(self) -> Sight {
        self.1.abort();
        std::mem::take(&mut *self.0.lock().unwrap())
    }
}

#[tokio::test]
async fn four_runs_share_two_nodes_first_come_first_served_and_the_nodes_leave() {
    let _operator = undisturbed().await;
    let namespace = TestNamespace::with_workspace("queue").await;
    let witness = Witness::start(&namespace);
    // All wait before there is a target: it sees the whole queue at its first look.
    for name in ["a", "b", "c", "d"] {
        namespace.create::<Run>(run(name, "cpu", "sleep 4")).await;
        state(&namespace, name, RunState::NotStarted, QUICK).await;
    }
    namespace
        .create::<ComputeTarget>(target("cpu", 0, 2, 4))
        .await;
    state(&namespace, "a", RunState::Running, SLOW).await;
    state(&namespace, "b", RunState::Running, SLOW).await;
    for (name, place) in [("c", 1), ("d", 2)] {
        let waiting = state(&namespace, name, RunState::Queued, QUICK)
            .await
            .status
            .unwrap();
        assert_eq!(waiting.position, Some(place));
        let sentence = format!("Queued ({place}/2): needs 1 node, 0 free");
        assert_eq!(waiting.message, Some(sentence));
    }
    for name in ["a", "b", "c", "d"] {
        let status = state(&namespace, name, RunState::Completed, SLOW)
            .await
            .status
            .unwrap();
        assert_eq!((status.exit_code, status.attempts), (Some(0), 1), "{name}");
        assert_eq!(status.pod, Some(format!("{name}-1-0")));
        assert!(
            status
                .duration_seconds
                .is_some_and(|s| (3..10).contains(&s)),
            "{:?}",
            status.duration_seconds
        );
    }
    nodes(&namespace, 0, SLOW).await;
    let sight = witness.stop();
    // By the order in which the pods were made: when a kubelet starts two at once, either may be first.
    assert_eq!(sight.began, ["a", "b", "c", "d"]);
    assert_eq!(
        (sight.slots, sight.pods_of_a_run),
        (2, 1),
        "slots at most, live pods of one run at most"
    );
    namespace.finish().await;
}

#[tokio::test]
async fn a_node_leaves_when_its_idle_time_is_over_to_the_second() {
    let _operator = undisturbed().await;
    let namespace = TestNamespace::with_workspace("idle").await;
    namespace
        .create::<ComputeTarget>(target("cpu", 0, 1, 6))
        .await;
    namespace.create::<Run>(run("a", "cpu", "true")).await;
    let ended = state(&namespace, "a", RunState::Completed, SLOW)
        .await
        .status
        .unwrap()
        .end_time
        .unwrap()
        .0;
    let gone = slots_are_empty(&namespace, SLOW).await;
    let idle = gone.duration_since(ended).as_secs_f64();
    println!("idle for {idle:.2} s of 6");
    assert!(
        (5.0..=7.0).contains(&idle),
        "idle for {idle:.2} s, not 6 ± 1"
    );
    namespace.finish().await;
}

/// Waits until no placeholder is left, and tells when that was.
pub(crate) async fn slots_are_empty(namespace: &TestNamespace, limit: Duration) -> Timestamp {
    let placeholders = "app.kubernetes.io/component=computetarget";
    eventually(limit, "a placeholder keeps the node warm", async || {
        check(
            !namespace.pods(placeholders).await.is_empty(),
            "there is none",
        )
    })
    .await;
    eventually(limit, "the placeholder leaves", async || {
        check(namespace.pods(placeholders).await.is_empty(), "it is there")
    })
    .await;
    Timestamp::now()
}

#[tokio::test]
async fn a_busy_node_is_never_taken_and_a_maximum_of_zero_pauses() {
    let _operator = undisturbed().await;
    let namespace = TestNamespace::with_workspace("busy").await;
    namespace
        .create::<ComputeTarget>(target("cpu", 0, 1, 0))
        .await;
    namespace.create::<Run>(run("a", "cpu", "sleep 5")).await;
    state(&namespace, "a", RunState::Running, SLOW).await;
    namespace
        .patch::<ComputeTarget>("cpu", json!({"spec": {"managed": {"nodes": {"max": 0}}}}))
        .await
        .unwrap();
    namespace.create::<Run>(run("b", "cpu", "true")).await;
    let done = state(&namespace, "a", RunState::Completed, SLOW)
        .await
        .status
        .unwrap();
    assert_eq!(done.attempts, 1);
    let waiting = state(&namespace, "b", RunState::Queued, QUICK)
        .await
        .status
        .unwrap();
    assert!(waiting.message.is_some_and(|m| m.contains("paused")));
    namespace
        .patch::<ComputeTarget>("cpu", json!({"spec": {"managed": {"nodes": {"max": 1}}}}))
        .await
        .unwrap();
    state(&namespace, "b", RunState::Completed, SLOW).await;
    namespace.finish().await;
}

#[tokio::test]
async fn the_minimum_is_kept_and_a_run_takes_a_warm_node() {
    let _operator = undisturbed().await;
    let namespace = TestNamespace::with_workspace("minimum").await;
    namespace
        .create::<ComputeTarget>(target("cpu", 1, 1, 0))
        .await;
    nodes(&namespace, 1, SLOW).await;
    namespace.create::<Run>(run("a", "cpu", "true")).await;
    state(&namespace, "a", RunState::Completed, SLOW).await;
    eventually(SLOW, "the node is idle again", async || {
        let target: ComputeTarget = namespace
            .api()
            .get("cpu")
            .await
            .map_err(|e| e.to_string())?;
        check(
            target.status.clone().unwrap_or_default().node_counts.idle == 1,
            &target.status,
        )
    })
    .await;
    namespace
        .patch::<ComputeTarget>("cpu", json!({"spec": {"managed": {"nodes": {"min": 0}}}}))
        .await
        .unwrap();
    nodes(&namespace, 0, QUICK).await;
    namespace.finish().await;
}

#[tokio::test]
async fn a_run_whose_pod_is_deleted_starts_again_and_never_has_two() {
    let _operator = undisturbed().await;
    let namespace = TestNamespace::with_workspace("lost").await;
    let witness = Witness::start(&namespace);
    // Only the first attempt lasts, and it does not end before it is killed.
    let script = "case $HOSTNAME in *-1-0) trap '' TERM; sleep 600;; esac";
    namespace
        .create::<ComputeTarget>(target("cpu", 0, 2, 0))
        .await;
    namespace.create::<Run>(run("a", "cpu", script)).await;
    state(&namespace, "a", RunState::Running, SLOW).await;
    namespace.delete::<Pod>("a-1-0").await;
    let done = state(&namespace, "a", RunState::Completed, SLOW)
        .await
        .status
        .unwrap();
    assert_eq!((done.attempts, done.pod.as_deref()), (2, Some("a-2-0")));
    assert_eq!(
        witness.stop().pods_of_a_run,
        1,
        "live pods of the run at most"
    );
    namespace.finish().await;
}
