//! What a settled workspace costs: nothing.

use std::time::Duration;

use atelier_api::v1alpha1::{AllocationState, RunState};
use atelier_api::{ComputeTarget, Run, WebService, Workspace};
use atelier_testkit::audit::Audit;
use atelier_testkit::cluster::OPERATOR;
use atelier_testkit::manifest::{role, run, service, target, workspace};
use atelier_testkit::namespace::SLOW;
use atelier_testkit::operator::undisturbed;
use atelier_testkit::wait::check;
use atelier_testkit::{TestNamespace, eventually};
use k8s_openapi::api::core::v1::Event;
use kube::api::ListParams;
use serde_json::{Value, json};

use crate::compute::state;

/// Everything a small team has, as one list.
fn manifests(namespace: &str) -> Vec<Value> {
    let mut all = vec![
        workspace("team"),
        role("lead", "Owner", "lead@example.com"),
        role("viewer", "Reader", "viewer@example.com"),
        target("cpu", 0, 2, 1),
        run("a", "cpu", "true"),
        run("b", "cpu", "true"),
        service("svc"),
    ];
    all.iter_mut()
        .for_each(|object| object["metadata"]["namespace"] = json!(namespace));
    all
}

fn apply(namespace: &TestNamespace, items: &[Value]) {
    let list = json!({"apiVersion": "v1", "kind": "List", "items": items});
    let (ok, said) = namespace
        .cluster
        .kubectl(&["apply", "-f", "-"], &list.to_string());
    assert!(ok, "{said}");
}

async fn settled(namespace: &TestNamespace) {
    namespace
        .ready::<atelier_api::Workspace>("team", SLOW)
        .await;
    namespace
        .ready::<atelier_api::RoleAssignment>("lead", SLOW)
        .await;
    namespace
        .ready::<atelier_api::RoleAssignment>("viewer", SLOW)
        .await;
    namespace.ready::<WebService>("svc", SLOW).await;
    state(namespace, "a", RunState::Completed, SLOW).await;
    state(namespace, "b", RunState::Completed, SLOW).await;
    eventually(SLOW, "the nodes have left", async || {
        let target: ComputeTarget = namespace
            .api()
            .get("cpu")
            .await
            .map_err(|e| e.to_string())?;
        let status = target.status.unwrap_or_default();
        let steady = status.allocation_state == Some(AllocationState::Steady);
        check(status.current_nodes == 0 && steady, &status)
    })
    .await;
    eventually(SLOW, "the workspace has counted", async || {
        let team: Workspace = namespace
            .api()
            .get("team")
            .await
            .map_err(|e| e.to_string())?;
        let status = team.status.unwrap_or_default();
        check((status.runs, status.services) == (0, 1), &status)
    })
    .await;
    // An event comes after the status that it tells of.
    let last = [
        ("ServiceHealthy", "svc"),
        ("RunCompleted", "a"),
        ("RunCompleted", "b"),
    ];
    eventually(SLOW, "all events are there", async || {
        let events = namespace.api::<Event>().list(&ListParams::default()).await;
        let events = events.map_err(|e| e.to_string())?.items;
        let told = |(reason, name): &(&str, &str)| {
            events.iter().any(|e| {
                e.reason.as_deref() == Some(reason)
                    && e.involved_object.name.as_deref() == Some(name)
            })
        };
        check(last.iter().all(told), events.len())
    })
    .await;
}

/// The manifests in an order that the seed decides.
fn shuffled(mut items: Vec<Value>, seed: u64) -> Vec<Value> {
    let mut random = seed;
    for last in (1..items.len()).rev() {
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        items.swap(last, (random >> 33) as usize % (last + 1));
    }
    items
}

#[tokio::test]
async fn any_order_converges_to_the_same_and_applying_again_writes_nothing() {
    let _operator = undisturbed().await;
    let seed = u64::from(std::process::id());
    println!("seed {seed}");
    let one = async |order: u64| {
        let namespace = TestNamespace::open(&format!("order-{order}")).await;
        let mut items = shuffled(manifests(&namespace.name), seed + order);
        // One after the other: each finds the world as the ones before have left it.
        for item in &items {
            apply(&namespace, std::slice::from_ref(item));
        }
        settled(&namespace).await;
        let audit = Audit::from_now(&namespace.cluster);
        items.reverse();
        apply(&namespace, &items);
        settled(&namespace).await;
        let writes = audit.operator_writes(&namespace.name);
        assert!(
            writes.is_empty(),
            "the second apply led to writes: {writes:?}"
        );
        let shape = shape(&namespace).await;
        namespace.finish().await;
        shape
    };
    let shapes = futures::future::join_all((0..3).map(one)).await;
    assert_eq!(shapes[0], shapes[1]);
    assert_eq!(shapes[0], shapes[2]);
}

/// Names of all that is there, and how the runs ended.
async fn shape(namespace: &TestNamespace) -> Vec<String> {
    let kinds = "serviceaccounts,secrets,services,deployments,roles,rolebindings";
    let (ok, names) = namespace
        .cluster
        .kubectl(&["-n", &namespace.name, "get", kinds, "-o", "name"], "");
    assert!(ok, "{names}");
    let mut shape: Vec<_> = names.lines().map(str::to_owned).collect();
    for name in ["a", "b"] {
        let run: Run = namespace.api().get(name).await.unwrap();
        let status = run.status.unwrap();
        shape.push(format!(
            "{name}: {:?} {} {:?}",
            status.state, status.attempts, status.exit_code
        ));
    }
    shape.sort();
    shape
}

#[tokio::test]
async fn a_settled_workspace_costs_no_write_for_a_minute() {
    let operator = undisturbed().await;
    let namespace = TestNamespace::open("quiet").await;
    apply(&namespace, &manifests(&namespace.name));
    settled(&namespace).await;
    // From here on others may kill the operator: not even a start writes anything.
    drop(operator);
    // What is measured here is the absence of something: that takes its time.
    let audit = Audit::from_now(&namespace.cluster);
    tokio::time::sleep(Duration::from_secs(60)).await;
    // Refused ones and events count too.
    let writes = audit.entries(|e| {
        e.user == OPERATOR
            && e.namespace == namespace.name
            && matches!(
                e.verb.as_str(),
                "create" | "update" | "patch" | "delete" | "deletecollection"
            )
    });
    assert!(writes.is_empty(), "{writes:?}");
    namespace.finish().await;
}
