//! What the operator itself may do, and what it may not.

use atelier_api::{RoleAssignment, WebService, Workspace};
use atelier_testkit::namespace::{QUICK, SLOW};
use atelier_testkit::wait::check;
use atelier_testkit::{Cluster, Subject, TestNamespace, eventually, manifest, operator};
use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::api::rbac::v1::RoleBinding;
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use crate::any::{self, refusal};
use crate::trail::Trail;

const WRITES: [&str; 5] = ["create", "update", "patch", "delete", "deletecollection"];
const READS: [&str; 3] = ["get", "list", "watch"];
/// What somebody would want who has got hold of the operator's token.
const TEMPTING: [&str; 19] = [
    "/secrets",
    "/configmaps",
    "/serviceaccounts",
    "/serviceaccounts/token",
    "/services",
    "/pods",
    "/pods/exec",
    "/pods/portforward",
    "/pods/ephemeralcontainers",
    "/pods/log",
    "/persistentvolumeclaims",
    "apps/deployments",
    "apps/daemonsets",
    "batch/jobs",
    "rbac.authorization.k8s.io/roles",
    "networking.k8s.io/networkpolicies",
    "events.k8s.io/events",
    "coordination.k8s.io/leases",
    "policy/poddisruptionbudgets",
];

#[tokio::test]
async fn in_the_cluster_as_a_whole_the_operator_can_do_next_to_nothing() {
    let _running = operator::undisturbed().await;
    let cluster = Cluster::shared().await;
    let operator = Subject::operator();
    let mut found = vec![];
    for resource in TEMPTING {
        for verb in READS.iter().chain(&WRITES) {
            if operator.can(&cluster, verb, resource, "", "").await {
                found.push(format!("{verb} {resource}"));
            }
        }
    }
    for (verb, resource, name) in [
        ("impersonate", "/users", ""),
        ("impersonate", "/groups", "system:masters"),
        ("impersonate", "/serviceaccounts", ""),
        ("escalate", "rbac.authorization.k8s.io/clusterroles", ""),
        ("escalate", "rbac.authorization.k8s.io/roles", ""),
        (
            "bind",
            "rbac.authorization.k8s.io/clusterroles",
            "cluster-admin",
        ),
        ("bind", "rbac.authorization.k8s.io/clusterroles", ""),
        (
            "create",
            "rbac.authorization.k8s.io/clusterrolebindings",
            "",
        ),
        ("create", "rbac.authorization.k8s.io/clusterroles", ""),
        (
            "update",
            "rbac.authorization.k8s.io/clusterroles",
            "atelier-workspace-manager",
        ),
        ("update", "/namespaces", ""),
        ("patch", "/namespaces", ""),
        ("get", "/nodes", ""),
        ("patch", "/nodes", ""),
        ("update", "atelier.dev/workspaces", ""),
        ("patch", "atelier.dev/runs", ""),
        ("delete", "atelier.dev/webservices", ""),
        ("create", "atelier.dev/roleassignments", ""),
        ("*", "*/*", ""),
    ] {
        if operator.can(&cluster, verb, resource, name, "").await {
            found.push(format!("{verb} {resource} {name}"));
        }
    }
    assert!(found.is_empty(), "the operator may {found:?}");
    // So that a mistake in the asking does not pass for a refusal.
    assert!(
        operator
            .can(&cluster, "list", "atelier.dev/workspaces", "", "")
            .await
    );
    let secrets = any::api_as(operator.client(&cluster), "kube-system", "Secret");
    assert_eq!(
        refusal(secrets.list(&kube::api::ListParams::default()).await).0,
        403
    );
}

#[tokio::test]
async fn in_a_namespace_without_the_label_the_operator_can_do_nothing() {
    let _running = operator::undisturbed().await;
    let ns = TestNamespace::with_labels("rights-closed", json!({})).await;
    let operator = Subject::operator();
    let mut found = vec![];
    for resource in TEMPTING {
        for verb in READS.iter().chain(&WRITES) {
            if operator
                .can(&ns.cluster, verb, resource, "", &ns.name)
                .await
            {
                found.push(format!("{verb} {resource}"));
            }
        }
    }
    assert!(found.is_empty(), "the operator may {found:?}");
    // RBAC lets it write bindings; the policy does not.
    let bindings = any::api_as(operator.client(&ns.cluster), &ns.name, "RoleBinding");
    let role = any::object(
        "RoleBinding",
        binding("atelier-workspace-manager", operator_subject()),
    );
    let (code, message) = refusal(bindings.create(&PostParams::default(), &role).await);
    assert_eq!(code, 403);
    assert!(message.contains("is not open to Atelier"), "{message}");
    ns.finish().await;
}

fn operator_subject() -> Value {
    json!({"kind": "ServiceAccount", "name": "atelier-operator", "namespace": "atelier-system"})
}

fn binding(role: &str, subject: Value) -> Value {
    json!({"metadata": {"name": "test"}, "subjects": [subject],
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role}})
}

#[tokio::test]
async fn in_a_workspaces_namespace_the_operator_binds_its_own_roles_only_and_itself_only() {
    let _running = operator::undisturbed().await;
    let ns = TestNamespace::with_workspace("rights-open").await;
    let operator = Subject::operator();
    for (verb, resource) in [
        ("create", "/pods/exec"),
        ("create", "/pods/portforward"),
        ("update", "/pods/ephemeralcontainers"),
        ("create", "/serviceaccounts/token"),
        ("get", "/endpoints"),
        ("create", "gateway.networking.k8s.io/gateways"),
        ("create", "batch/jobs"),
    ] {
        assert!(
            !operator
                .can(&ns.cluster, verb, resource, "", &ns.name)
                .await,
            "{verb} {resource}"
        );
    }
    assert!(
        operator
            .can(&ns.cluster, "get", "/secrets", "", &ns.name)
            .await
    );

    let user =
        |name: &str| json!({"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": name});
    let bindings = any::api_as(operator.client(&ns.cluster), &ns.name, "RoleBinding");
    for (role, subject, told) in [
        ("cluster-admin", operator_subject(), "not currently held"),
        ("admin", user("eve"), "not currently held"),
        (
            "atelier-workspace-manager",
            user("eve"),
            "for Atelier's operator and for nobody else",
        ),
        ("atelier-owner", user("system:kube-scheduler"), "system:"),
    ] {
        let object = any::object("RoleBinding", binding(role, subject));
        let (code, message) = refusal(bindings.create(&PostParams::default(), &object).await);
        assert!(
            code == 403 && message.contains(told),
            "{role}: {code} {message}"
        );
    }

    let roles = any::api_as(operator.client(&ns.cluster), &ns.name, "Role");
    let rule = |names: Value, verbs: Value| {
        json!({"metadata": {"name": "x-gateway"},
            "rules": [{"apiGroups": [""], "resources": ["secrets"], "resourceNames": names, "verbs": verbs}]})
    };
    for (names, verbs) in [
        (json!(["other"]), json!(["get"])),
        (json!(["x-gateway"]), json!(["get", "update"])),
    ] {
        let (code, message) = refusal(
            roles
                .create(
                    &PostParams::default(),
                    &any::object("Role", rule(names, verbs)),
                )
                .await,
        );
        assert!(
            code == 403 && message.contains("the only Role"),
            "{code} {message}"
        );
    }

    // It writes statuses, and never what a user wrote.
    let workspaces = any::api_as(operator.client(&ns.cluster), &ns.name, "Workspace");
    let patch = Patch::Merge(json!({"metadata": {"labels": {"x": "y"}}}));
    assert_eq!(
        refusal(
            workspaces
                .patch("team", &PatchParams::default(), &patch)
                .await
        )
        .0,
        403
    );
    ns.finish().await;
}

/// A namespace with all that a workspace has, but pods.
async fn furnished(prefix: &str) -> TestNamespace {
    let ns = TestNamespace::with_workspace(prefix).await;
    ns.create::<RoleAssignment>(manifest::role("reader", "Reader", "ann"))
        .await;
    let mut service = manifest::service("model");
    service["spec"]["replicas"] = json!(0);
    ns.create::<WebService>(service).await;
    ns.ready::<WebService>("model", QUICK).await;
    ns.ready::<RoleAssignment>("reader", QUICK).await;
    ns
}

async fn namespace_goes(ns: &TestNamespace) {
    let api: Api<Namespace> = Api::all(ns.cluster.client.clone());
    api.delete(&ns.name, &DeleteParams::background())
        .await
        .unwrap();
    eventually(SLOW, "the namespace is gone", async || {
        let left = api.get_opt(&ns.name).await.map_err(|e| e.to_string())?;
        check(left.is_none(), "it is there")
    })
    .await;
}

#[tokio::test]
async fn from_its_first_day_to_its_last_a_workspace_costs_the_operator_no_refusal() {
    let _running = operator::undisturbed().await;
    let trail = Trail::from_now(&Cluster::shared().await);
    // One that is taken down in order, and one whose namespace goes with all that is in it.
    let in_order = async {
        let ns = furnished("life-order").await;
        ns.delete::<Workspace>("team").await;
        ns.gone::<Workspace>("team", None, QUICK).await;
        // What it was allowed there it gives up last.
        ns.gone::<RoleBinding>("atelier-workspace-manager", None, QUICK)
            .await;
        namespace_goes(&ns).await;
        ns
    };
    let at_once = async {
        let ns = furnished("life-once").await;
        namespace_goes(&ns).await;
        ns
    };
    let (first, second) = tokio::join!(in_order, at_once);
    for ns in [first, second] {
        let mut failed = trail.requests();
        failed.retain(|r| [&r.namespace, &r.name].contains(&&ns.name) && r.code >= 400);
        // That nothing new is let into a namespace on its way out is nobody's missing right.
        failed.retain(|r| !r.message.contains("because it is being terminated"));
        let with = |code| failed.iter().filter(|r| r.code == code).count();
        println!("refusals: {}: {} conflicts", ns.name, with(409));
        assert_eq!(with(403), 0, "{failed:#?}");
        assert!(with(409) <= 5, "{failed:#?}");
        assert!(failed.len() <= 10, "{failed:#?}");
    }
}
