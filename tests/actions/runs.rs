//! Runs: why they wait, their end, their output, their creator.

use atelier_api::v1alpha1::RunState;
use atelier_api::{ComputeTarget, Run};
use atelier_testkit::manifest::{run, target};
use atelier_testkit::namespace::{QUICK, SLOW};
use atelier_testkit::wait::check;
use atelier_testkit::{TestNamespace, eventually};
use kube::Api;
use kube::api::{Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use crate::team::{CONTRIBUTOR, READER, client, plugin, team};

async fn in_state(namespace: &TestNamespace, name: &str, wanted: RunState) {
    eventually(SLOW, &format!("{name} is {wanted:?}"), async || {
        let run = namespace.api::<Run>().get(name).await.unwrap();
        let state = run.status.and_then(|status| status.state);
        check(state == Some(wanted), state)
    })
    .await;
}

#[tokio::test]
async fn a_reader_is_told_why_a_run_waits() {
    let namespace = team("why").await;
    namespace.create::<Run>(run("first", "none", "true")).await;
    in_state(&namespace, "first", RunState::NotStarted).await;
    let why = plugin(&namespace, READER, &["why", "first"]).unwrap();
    assert!(why.contains("NotStarted") && why.contains("none"), "{why}");
    namespace
        .create::<ComputeTarget>(target("none", 0, 0, 120))
        .await;
    in_state(&namespace, "first", RunState::Queued).await;
    let why = plugin(&namespace, READER, &["why", "first"]).unwrap();
    assert!(why.contains("1 of 1") && why.contains("paused"), "{why}");
    let stranger = plugin(&namespace, "stranger", &["why", "first"]).unwrap_err();
    assert!(stranger.contains("Forbidden"), "{stranger}");
    namespace.finish().await;
}

#[tokio::test]
async fn a_run_is_canceled_without_a_change_of_its_spec() {
    let namespace = team("cancel").await;
    namespace
        .create::<ComputeTarget>(target("cpu", 0, 0, 120))
        .await;
    let created = namespace.create::<Run>(run("first", "cpu", "true")).await;
    let refused = plugin(&namespace, READER, &["cancel", "first"]).unwrap_err();
    assert!(refused.contains("Forbidden"), "{refused}");
    plugin(&namespace, CONTRIBUTOR, &["cancel", "first"]).unwrap();
    in_state(&namespace, "first", RunState::Canceled).await;
    let run = namespace.api::<Run>().get("first").await.unwrap();
    assert_eq!(run.spec, created.spec);
    assert_eq!(run.metadata.generation, created.metadata.generation);
    let request = run.status.unwrap().cancel_requested.unwrap();
    assert_eq!(request.by, CONTRIBUTOR);
    // Again is no error, and changes nothing.
    let again = plugin(&namespace, CONTRIBUTOR, &["cancel", "first"]).unwrap();
    assert!(again.contains("had ended before"), "{again}");
    namespace.finish().await;
}

#[tokio::test]
async fn the_output_of_a_run_is_followed_to_its_end() {
    let namespace = team("log").await;
    namespace
        .create::<ComputeTarget>(target("cpu", 0, 1, 5))
        .await;
    namespace
        .create::<Run>(run("first", "cpu", "echo begun; sleep 3; echo done"))
        .await;
    in_state(&namespace, "first", RunState::Running).await;
    let output = plugin(&namespace, READER, &["logs", "run/first", "--follow"]).unwrap();
    assert_eq!(output, "begun\ndone\n");
    let last = plugin(&namespace, READER, &["logs", "run/first", "--tail", "1"]).unwrap();
    assert_eq!(last, "done\n");
    let refused = plugin(&namespace, "stranger", &["logs", "run/first"]).unwrap_err();
    assert!(refused.contains("Forbidden"), "{refused}");
    namespace.finish().await;
}

#[tokio::test]
async fn who_creates_a_run_is_written_down_and_stays() {
    let namespace = team("creator").await;
    let runs: Api<Run> = Api::namespaced(client(&namespace, CONTRIBUTOR), &namespace.name);
    let manifest = |name: &str, creator: Option<&str>| -> Run {
        let mut manifest = run(name, "cpu", "true");
        manifest["spec"]["createdBy"] = creator.map_or(Value::Null, Value::from);
        serde_json::from_value(manifest).unwrap()
    };
    let params = PostParams::default();
    let created = runs
        .create(&params, &manifest("first", None))
        .await
        .unwrap();
    assert_eq!(created.spec.created_by.as_deref(), Some(CONTRIBUTOR));

    let forged = runs
        .create(&params, &manifest("second", Some("boss")))
        .await;
    let forged = forged.unwrap_err().to_string();
    assert!(
        forged.contains("\"boss\" is not who creates the run"),
        "{forged}"
    );
    let dry = PostParams {
        dry_run: true,
        ..PostParams::default()
    };
    let dry = runs.create(&dry, &manifest("third", None)).await.unwrap();
    assert_eq!(dry.spec.created_by.as_deref(), Some(CONTRIBUTOR));

    // An administrator's replace that leaves it out changes nothing, and nobody can change it.
    let all = namespace.api::<Run>();
    let mut wanted = manifest("first", None);
    wanted.spec.cancel = true;
    // The operator writes its status meanwhile.
    eventually(QUICK, "it is replaced", async || {
        wanted.metadata.resource_version =
            all.get("first").await.unwrap().metadata.resource_version;
        let replaced = all.replace("first", &params, &wanted).await;
        let creator = replaced.map(|run| run.spec.created_by);
        check(
            matches!(&creator, Ok(Some(by)) if by == CONTRIBUTOR),
            creator,
        )
    })
    .await;
    let patch = Patch::Merge(json!({"spec": {"createdBy": "boss"}}));
    let changed = all.patch("first", &PatchParams::default(), &patch).await;
    let changed = changed.unwrap_err().to_string();
    assert!(changed.contains("cannot be changed"), "{changed}");
    eventually(QUICK, "the run is canceled", async || {
        let run = all.get("first").await.unwrap();
        let state = run.status.and_then(|status| status.state);
        check(state == Some(RunState::Canceled), state)
    })
    .await;
    namespace.finish().await;
}
