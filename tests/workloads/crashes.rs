//! The operator is killed again and again, and nothing shows it.

use std::time::{Duration, Instant};

use atelier_api::v1alpha1::RunState;
use atelier_api::{ComputeTarget, RoleAssignment, Run, WebService, Workspace};
use atelier_testkit::audit::Audit;
use atelier_testkit::cluster::SYSTEM;
use atelier_testkit::manifest::{role, run, service, target, workspace};
use atelier_testkit::wait::check;
use atelier_testkit::{Cluster, TestNamespace, eventually, operator};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::{DeleteParams, PostParams};
use serde_json::json;

use crate::compute::{Witness, nodes, slots_are_empty, state};
use crate::service::key;

/// How long things may take while the operator is down again and again.
const PATIENCE: Duration = Duration::from_secs(120);
const KILLS: u64 = 10;

/// Another leader in place of one that was killed, at once. The kubelet would let a container that ended before wait
/// longer and longer, and a standby waits until the lease of the dead one has run out: neither is what is tested, so a
/// new pod comes, and the lease goes when the old pod is gone and nobody can still believe to hold it. Who leads next
/// is the standby, or a pod that has only just come, as kills go.
async fn replace_killed(cluster: &Cluster) {
    let pods: Api<Pod> = Api::namespaced(cluster.client.clone(), SYSTEM);
    let leases: Api<Lease> = Api::namespaced(cluster.client.clone(), SYSTEM);
    let old = leases
        .get(operator::NAME)
        .await
        .unwrap()
        .spec
        .unwrap()
        .holder_identity
        .unwrap();
    pods.delete(&old, &DeleteParams::default().grace_period(1))
        .await
        .unwrap();
    eventually(PATIENCE, "the killed operator's pod is gone", async || {
        let pod = pods.get_opt(&old).await.map_err(|e| e.to_string())?;
        check(pod.is_none(), "it is there")
    })
    .await;
    // Its successor may have got it already: then it stays.
    let held = leases.get(operator::NAME).await.unwrap();
    if held.spec.as_ref().and_then(|s| s.holder_identity.as_ref()) == Some(&old) {
        // Given back, not deleted: a lease that somebody deletes may still be believed in. With the version it was read
        // at: a conflict means that somebody else has it by now.
        let mut free = held;
        free.spec.get_or_insert_default().holder_identity = Some(String::new());
        let _ = leases
            .replace(operator::NAME, &PostParams::default(), &free)
            .await;
    }
    cluster.operator().await;
}

#[tokio::test]
async fn ten_kills_of_the_operator_leave_the_same_end_and_the_same_keys() {
    let namespace = TestNamespace::open("crash").await;
    let cluster = namespace.cluster.clone();
    let audit = Audit::from_now(&cluster);
    let seed = u64::from(std::process::id());
    println!("seed {seed}");
    let witness = Witness::start(&namespace);
    let alone = operator::kill(&cluster).await;
    let begun = Instant::now();
    let killer = async {
        let mut random = seed;
        replace_killed(&cluster).await;
        for _ in 1..KILLS {
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            // A random moment of its work.
            tokio::time::sleep(Duration::from_millis((random >> 33) % 2000)).await;
            assert!(
                cluster.kill_operator().await.is_some(),
                "there is an operator to kill"
            );
            replace_killed(&cluster).await;
        }
        println!("{KILLS} kills in {:.0?}", begun.elapsed());
    };
    let scenario = async {
        namespace.create::<Workspace>(workspace("team")).await;
        namespace
            .create::<RoleAssignment>(role("lead", "Owner", "lead@example.com"))
            .await;
        namespace.create::<WebService>(service("svc")).await;
        namespace
            .create::<ComputeTarget>(target("cpu", 0, 2, 3))
            .await;
        for name in ["a", "b", "c", "d"] {
            namespace.create::<Run>(run(name, "cpu", "sleep 8")).await;
        }
        namespace.ready::<WebService>("svc", PATIENCE).await;
        let first = key(&namespace, "svc", "primary").await;
        let second = key(&namespace, "svc", "secondary").await;
        let patch = json!({"spec": {"auth": {"keyGeneration": {"primary": 2}}}});
        namespace.patch::<WebService>("svc", patch).await.unwrap();
        (first, second)
    };
    let ((), (first, second)) = tokio::join!(killer, scenario);

    for name in ["a", "b", "c", "d"] {
        let status = state(&namespace, name, RunState::Completed, PATIENCE)
            .await
            .status
            .unwrap();
        assert_eq!((status.attempts, status.exit_code), (1, Some(0)), "{name}");
    }
    let sight = witness.stop();
    assert_eq!(
        (sight.slots, sight.pods_of_a_run),
        (2, 1),
        "slots at most, live pods of one run at most"
    );
    namespace.ready::<Workspace>("team", PATIENCE).await;
    namespace.ready::<RoleAssignment>("lead", PATIENCE).await;
    let service: WebService = namespace.ready("svc", PATIENCE).await;
    assert_eq!(service.status.unwrap().keys.unwrap().primary.generation, 2);
    assert_ne!(key(&namespace, "svc", "primary").await, first);
    assert_eq!(key(&namespace, "svc", "secondary").await, second);

    let writes = audit.operator_writes(&namespace.name);
    let count = |verb: &str, resource: &str, name: &str| {
        writes
            .iter()
            .filter(|e| e.verb == verb && e.resource == resource && e.name == name)
            .count()
    };
    for name in ["a-1-0", "b-1-0", "c-1-0", "d-1-0"] {
        assert_eq!(count("create", "pods", name), 1, "{name} was made once");
    }
    assert_eq!(
        count("create", "secrets", "svc-keys"),
        1,
        "keys were made once"
    );
    assert_eq!(
        count("update", "secrets", "svc-keys"),
        1,
        "and rotated once"
    );
    drop(alone);
    namespace.finish().await;
}

#[tokio::test]
async fn the_idle_clock_goes_on_while_the_operator_is_dead() {
    let cluster = Cluster::shared().await;
    // The first kill waits for all tests that measure something, and keeps them from beginning.
    let _alone = operator::kill(&cluster).await;
    replace_killed(&cluster).await;
    let namespace = TestNamespace::with_workspace("clock").await;
    namespace
        .create::<ComputeTarget>(target("cpu", 0, 1, 12))
        .await;
    namespace.create::<Run>(run("a", "cpu", "true")).await;
    let done = state(&namespace, "a", RunState::Completed, PATIENCE).await;
    let ended = done.status.unwrap().end_time.unwrap().0;
    nodes(&namespace, 1, PATIENCE).await;
    assert!(
        cluster.kill_operator().await.is_some(),
        "there is an operator to kill"
    );
    replace_killed(&cluster).await;
    let idle = slots_are_empty(&namespace, PATIENCE)
        .await
        .duration_since(ended)
        .as_secs_f64();
    println!("idle for {idle:.2} s of 12");
    assert!(
        (11.0..=13.0).contains(&idle),
        "idle for {idle:.2} s, not 12 ± 1"
    );
    namespace.finish().await;
}
