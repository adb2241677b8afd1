//! The operator is killed again and again, and nothing shows it.

use std::time::Duration;

use atelier_api::v1alpha1::RunState;
use atelier_api::{ComputeTarget, RoleAssignment, Run, WebService, Workspace};
use atelier_testkit::TestNamespace;
use atelier_testkit::audit::Audit;
use atelier_testkit::manifest::{role, run, service, target, workspace};
use serde_json::json;

use crate::compute::state;
use crate::service::key;

/// The kubelet lets a container that ends again and again wait longer and longer.
const PATIENCE: Duration = Duration::from_secs(240);
const KILLS: u64 = 10;

#[tokio::test]
async fn ten_kills_of_the_operator_leave_the_same_end_and_the_same_keys() {
    let namespace = TestNamespace::open("crash").await;
    let cluster = namespace.cluster.clone();
    let audit = Audit::from_now(&cluster);
    let seed = std::process::id();
    println!("seed {seed}");
    let killer = tokio::spawn(async move {
        let mut killed = 0;
        let mut random = u64::from(seed);
        while killed < KILLS {
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            tokio::time::sleep(Duration::from_millis(200 + (random >> 33) % 1800)).await;
            killed += u64::from(cluster.kill_operator().await);
            // The kubelet's patience is not what is tested: a new pod does not have to wait.
            cluster.kubectl(
                &[
                    "-n",
                    "atelier-system",
                    "delete",
                    "pod",
                    &cluster.operator_name().await,
                    "--now",
                ],
                "",
            );
        }
    });
    namespace.create::<Workspace>(workspace("team")).await;
    namespace
        .create::<RoleAssignment>(role("lead", "Owner", "lead@example.com"))
        .await;
    namespace.create::<WebService>(service("svc")).await;
    namespace
        .create::<ComputeTarget>(target("cpu", 0, 2, 3))
        .await;
    for name in ["a", "b", "c", "d"] {
        namespace.create::<Run>(run(name, "cpu", "sleep 3")).await;
    }
    namespace.ready::<WebService>("svc", PATIENCE).await;
    let first = key(&namespace, "svc", "primary").await;
    let second = key(&namespace, "svc", "secondary").await;
    let patch = json!({"spec": {"auth": {"keyGeneration": {"primary": 2}}}});
    namespace.patch::<WebService>("svc", patch).await.unwrap();
    killer.await.unwrap();

    for name in ["a", "b", "c", "d"] {
        let status = state(&namespace, name, RunState::Completed, PATIENCE)
            .await
            .status
            .unwrap();
        assert_eq!((status.attempts, status.exit_code), (1, Some(0)), "{name}");
    }
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
    namespace.finish().await;
}
