//! An object that somebody else made is never touched, whatever it is called.

use atelier_api::{RoleAssignment, WebService, Workspace};
use atelier_testkit::namespace::{QUICK, condition};
use atelier_testkit::{TestNamespace, manifest, operator};
use kube::ResourceExt as _;
use kube::api::DynamicObject;
use serde_json::json;

use crate::any;

/// Checks that an object is the very same as it was.
async fn untouched(ns: &TestNamespace, kind: &str, before: &DynamicObject) {
    let after = any::api(ns, kind).get(&before.name_any()).await.unwrap();
    assert_eq!(after.uid(), before.uid());
    assert_eq!(
        after.resource_version(),
        before.resource_version(),
        "{kind} {} was written",
        before.name_any()
    );
}

#[tokio::test]
async fn a_foreign_binding_is_not_touched_and_the_assignment_says_so() {
    let _running = operator::undisturbed().await;
    let ns = TestNamespace::with_workspace("conflict-role").await;
    let binding = json!({"metadata": {"name": "reader-role"}, "subjects": [],
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"}});
    let foreign = any::create(&ns, "RoleBinding", binding).await;
    ns.create::<RoleAssignment>(manifest::role("reader", "Reader", "ann"))
        .await;
    let assignment: RoleAssignment = ns
        .condition("reader", "Ready", "False", "NameConflict", QUICK)
        .await;
    let message = condition(&assignment, "Ready").unwrap().message;
    assert!(message.contains("RoleBinding reader-role"), "{message}");
    untouched(&ns, "RoleBinding", &foreign).await;
    // Deleting what never had it does not take it along either.
    ns.delete::<RoleAssignment>("reader").await;
    ns.gone::<RoleAssignment>("reader", None, QUICK).await;
    untouched(&ns, "RoleBinding", &foreign).await;
    ns.finish().await;
}

#[tokio::test]
async fn a_foreign_object_with_our_labels_is_foreign_all_the_same() {
    let _running = operator::undisturbed().await;
    let ns = TestNamespace::with_workspace("conflict-label").await;
    let labels = json!({"app.kubernetes.io/managed-by": "atelier", "app.kubernetes.io/name": "atelier",
        "app.kubernetes.io/instance": "model", "app.kubernetes.io/component": "webservice",
        "app.kubernetes.io/part-of": "atelier", "atelier.dev/workspace": "team"});
    let secret = json!({"metadata": {"name": "model-keys", "labels": labels}, "stringData": {"password": "x"}});
    let foreign = any::create(&ns, "Secret", secret).await;
    ns.create::<WebService>(manifest::service("model")).await;
    ns.condition::<WebService>("model", "Ready", "False", "NameConflict", QUICK)
        .await;
    untouched(&ns, "Secret", &foreign).await;
    ns.finish().await;
}

#[tokio::test]
async fn a_foreign_service_or_secret_is_not_touched_and_the_web_service_says_so() {
    let _running = operator::undisturbed().await;
    let ns = TestNamespace::with_workspace("conflict-model").await;
    let port = json!({"port": 80, "protocol": "TCP"});
    let service =
        json!({"metadata": {"name": "one"}, "spec": {"ports": [port], "selector": {"app": "x"}}});
    let secret = |name: &str| json!({"metadata": {"name": name}, "stringData": {"primary": "x"}});
    let foreign = [
        ("one", "Service", any::create(&ns, "Service", service).await),
        (
            "two",
            "Secret",
            any::create(&ns, "Secret", secret("two-keys")).await,
        ),
        (
            "three",
            "Secret",
            any::create(&ns, "Secret", secret("three-gateway")).await,
        ),
    ];
    for (name, kind, before) in &foreign {
        ns.create::<WebService>(manifest::service(name)).await;
        let service: WebService = ns
            .condition(name, "Ready", "False", "NameConflict", QUICK)
            .await;
        let message = condition(&service, "Ready").unwrap().message;
        assert!(
            message.contains(&format!("{kind} {}", before.name_any())),
            "{message}"
        );
        untouched(&ns, kind, before).await;
    }
    ns.finish().await;
}

#[tokio::test]
async fn a_foreign_service_account_is_not_touched_and_the_workspace_says_so() {
    let _running = operator::undisturbed().await;
    let ns = TestNamespace::open("conflict-account").await;
    let foreign = any::create(&ns, "ServiceAccount", json!({"metadata": {"name": "team"}})).await;
    ns.create::<Workspace>(manifest::workspace("team")).await;
    let workspace: Workspace = ns
        .condition("team", "Ready", "False", "NameConflict", QUICK)
        .await;
    let message = condition(&workspace, "Ready").unwrap().message;
    assert!(message.contains("ServiceAccount team"), "{message}");
    untouched(&ns, "ServiceAccount", &foreign).await;
    ns.finish().await;
}
