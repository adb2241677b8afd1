//! Who may do what in a workspace: asked of the API server, and done.

use std::time::Duration;

use atelier_api::RoleAssignment;
use atelier_testkit::namespace::QUICK;
use atelier_testkit::wait::check;
use atelier_testkit::{Subject, TestNamespace, eventually, manifest, operator};
use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::api::rbac::v1::RoleBinding;
use kube::Api;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use crate::any::{self, refusal};

const READS: [&str; 3] = ["get", "list", "watch"];
const WRITES: [&str; 5] = ["create", "update", "patch", "delete", "deletecollection"];
const PLURALS: [&str; 5] = [
    "workspaces",
    "roleassignments",
    "computetargets",
    "runs",
    "webservices",
];
/// What no role gives.
const NOBODY: [(&str, &str); 14] = [
    ("get", "/secrets"),
    ("list", "/secrets"),
    ("create", "/pods"),
    ("create", "/pods/exec"),
    ("create", "/pods/portforward"),
    ("update", "/pods/ephemeralcontainers"),
    ("create", "/serviceaccounts/token"),
    ("impersonate", "/serviceaccounts"),
    ("create", "rbac.authorization.k8s.io/rolebindings"),
    ("update", "atelier.dev/workspaces/status"),
    ("patch", "atelier.dev/roleassignments/status"),
    ("patch", "atelier.dev/runs/status"),
    ("update", "apps/deployments"),
    ("update", "/services"),
];

/// What a role gives, as the specification has it.
fn allowed(role: &str, verb: &str, plural: &str) -> bool {
    let reads = READS.contains(&verb);
    match role {
        "Owner" => true,
        "Contributor" => reads || plural != "roleassignments",
        "Reader" => reads,
        _ => false,
    }
}

fn assignment(name: &str, role: &str, principal: Value) -> Value {
    json!({"apiVersion": "atelier.dev/v1alpha1", "kind": "RoleAssignment", "metadata": {"name": name},
        "spec": {"role": role, "principal": principal}})
}

/// Gives a role, and waits until it is there.
async fn give(ns: &TestNamespace, name: &str, role: &str, principal: Value) {
    ns.create::<RoleAssignment>(assignment(name, role, principal))
        .await;
    ns.ready::<RoleAssignment>(name, QUICK).await;
}

/// Waits until the API server's authorizer has heard of a binding.
async fn knows(ns: &TestNamespace, subject: &Subject) {
    eventually(QUICK, &format!("{} has a role", subject.name), async || {
        check(
            subject
                .can(&ns.cluster, "list", "atelier.dev/runs", "", &ns.name)
                .await,
            "no",
        )
    })
    .await;
}

#[tokio::test]
async fn each_role_gives_users_groups_and_service_accounts_exactly_what_it_says() {
    let _running = operator::undisturbed().await;
    let ns = TestNamespace::with_workspace("access-table").await;
    let elsewhere = TestNamespace::with_workspace("access-other").await;
    let mut wrong = vec![];
    let mut asked = 0;
    for role in ["Owner", "Contributor", "Reader", "nothing"] {
        let lower = role.to_lowercase();
        let group = format!("{lower}-group");
        let subjects = [
            (
                "User",
                Subject::user(&format!("{lower}-user")),
                json!({"kind": "User", "name": format!("{lower}-user")}),
            ),
            (
                "Group",
                Subject::member("somebody", &[&group]),
                json!({"kind": "Group", "name": group}),
            ),
            (
                "ServiceAccount",
                Subject::service_account(&ns.name, &format!("{lower}-account")),
                json!({"kind": "ServiceAccount", "name": format!("{lower}-account")}),
            ),
        ];
        for (kind, subject, principal) in subjects {
            if role != "nothing" {
                give(
                    &ns,
                    &format!("{lower}-{}", kind.to_lowercase()),
                    role,
                    principal,
                )
                .await;
                knows(&ns, &subject).await;
            }
            let mut ask =
                async |verb: &str, resource: &str, name: &str, namespace: &str, expected: bool| {
                    asked += 1;
                    if subject
                        .can(&ns.cluster, verb, resource, name, namespace)
                        .await
                        != expected
                    {
                        wrong.push(format!(
                            "{role} {kind}: {verb} {resource} {name} {namespace} is not {expected}"
                        ));
                    }
                };
            for plural in PLURALS {
                let resource = format!("atelier.dev/{plural}");
                for verb in READS.iter().chain(&WRITES) {
                    ask(verb, &resource, "", &ns.name, allowed(role, verb, plural)).await;
                }
                ask("get", &resource, "", &elsewhere.name, false).await;
                ask("create", &resource, "", "", false).await;
            }
            for verb in ["get", "update", "patch"] {
                for plural in ["webservices/scale", "computetargets/scale"] {
                    let expected = matches!(role, "Owner" | "Contributor");
                    ask(
                        verb,
                        &format!("atelier.dev/{plural}"),
                        "",
                        &ns.name,
                        expected,
                    )
                    .await;
                }
            }
            for given in ["Owner", "Contributor", "Reader"] {
                ask(
                    "assign",
                    "atelier.dev/roledefinitions",
                    given,
                    &ns.name,
                    role == "Owner",
                )
                .await;
            }
            for (verb, resource) in NOBODY {
                ask(verb, resource, "", &ns.name, false).await;
            }
        }
    }
    println!("asked {asked} questions");
    assert!(wrong.is_empty(), "{wrong:#?}");
    ns.finish().await;
    elsewhere.finish().await;
}

#[tokio::test]
async fn what_a_role_does_not_give_is_refused_when_it_is_done() {
    let _running = operator::undisturbed().await;
    let ns = TestNamespace::with_workspace("access-done").await;
    let manifests = || {
        [
            ("Workspace", "workspaces", manifest::workspace("more")),
            (
                "RoleAssignment",
                "roleassignments",
                manifest::role("more", "Reader", "bob"),
            ),
            (
                "ComputeTarget",
                "computetargets",
                manifest::target("more", 0, 1, 120),
            ),
            ("Run", "runs", manifest::run("more", "none", "true")),
            ("WebService", "webservices", manifest::service("more")),
        ]
    };
    for role in ["Owner", "Contributor", "Reader", "nothing"] {
        let subject = Subject::user(&format!("{}-doer", role.to_lowercase()));
        if role != "nothing" {
            give(
                &ns,
                &role.to_lowercase(),
                role,
                json!({"kind": "User", "name": subject.name}),
            )
            .await;
            knows(&ns, &subject).await;
        }
        let client = subject.client(&ns.cluster);
        for (kind, plural, manifest) in manifests() {
            let api = any::api_as(client.clone(), &ns.name, kind);
            let dry = PostParams {
                dry_run: true,
                ..PostParams::default()
            };
            for (verb, code) in [
                (
                    "create",
                    refusal(api.create(&dry, &any::object(kind, manifest)).await),
                ),
                ("list", refusal(api.list(&ListParams::default()).await)),
                (
                    "delete",
                    refusal(api.delete("absent", &DeleteParams::default()).await),
                ),
            ] {
                let refused = code.0 == 403;
                assert_eq!(
                    refused,
                    !allowed(role, verb, plural),
                    "{role}: {verb} {plural}: {code:?}"
                );
            }
        }
        let secrets = any::api_as(client, &ns.name, "Secret");
        assert_eq!(
            refusal(secrets.list(&ListParams::default()).await).0,
            403,
            "{role}"
        );
    }
    ns.finish().await;
}

#[tokio::test]
async fn a_deleted_assignment_takes_the_role_back_within_a_second() {
    let _running = operator::undisturbed().await;
    let ns = TestNamespace::with_workspace("access-back").await;
    let ann = Subject::user("ann");
    give(
        &ns,
        "ann",
        "Contributor",
        json!({"kind": "User", "name": "ann"}),
    )
    .await;
    knows(&ns, &ann).await;
    let runs = any::api_as(ann.client(&ns.cluster), &ns.name, "Run");
    assert_eq!(refusal(runs.list(&ListParams::default()).await).0, 0);
    ns.delete::<RoleAssignment>("ann").await;
    let begun = std::time::Instant::now();
    ns.gone::<RoleBinding>("ann-role", None, Duration::from_secs(1))
        .await;
    println!(
        "the binding was gone after {} ms",
        begun.elapsed().as_millis()
    );
    eventually(Duration::from_secs(1), "ann is refused", async || {
        let (code, _) = refusal(runs.list(&ListParams::default()).await);
        check(code == 403, code)
    })
    .await;
    ns.finish().await;
}

#[tokio::test]
async fn nobody_gives_a_role_who_may_not() {
    let _running = operator::undisturbed().await;
    let ns = TestNamespace::with_workspace("access-give").await;
    give(
        &ns,
        "owner",
        "Owner",
        json!({"kind": "User", "name": "olga"}),
    )
    .await;
    give(
        &ns,
        "contributor",
        "Contributor",
        json!({"kind": "User", "name": "carl"}),
    )
    .await;
    // A site's own roles: one may write assignments but has no role to give; one may give a single role.
    for (name, assignable) in [("writer", json!([])), ("welcomer", json!(["Reader"]))] {
        let mut rules = vec![
            json!({"apiGroups": ["atelier.dev"], "resources": ["roleassignments"],
            "verbs": ["get", "list", "create", "update", "patch"]}),
        ];
        if assignable != json!([]) {
            rules.push(
                json!({"apiGroups": ["atelier.dev"], "resources": ["roledefinitions"],
                "resourceNames": assignable, "verbs": ["assign"]}),
            );
        }
        any::create(
            &ns,
            "Role",
            json!({"metadata": {"name": name}, "rules": rules}),
        )
        .await;
        let binding = json!({"metadata": {"name": name},
            "subjects": [{"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": name}],
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name}});
        any::create(&ns, "RoleBinding", binding).await;
    }
    for user in ["olga", "writer", "welcomer"] {
        let subject = Subject::user(user);
        eventually(
            QUICK,
            &format!("{user} may write assignments"),
            async || {
                check(
                    subject
                        .can(
                            &ns.cluster,
                            "create",
                            "atelier.dev/roleassignments",
                            "",
                            &ns.name,
                        )
                        .await,
                    "no",
                )
            },
        )
        .await;
    }
    let mut n = 0;
    for (user, role, told) in [
        ("olga", "Owner", ""),
        ("olga", "Reader", ""),
        ("welcomer", "Reader", ""),
        (
            "welcomer",
            "Contributor",
            "may not give the role Contributor",
        ),
        ("welcomer", "Owner", "may not give the role Owner"),
        ("writer", "Reader", "only an Owner may"),
        ("carl", "Reader", "forbidden"),
        ("eve", "Reader", "forbidden"),
    ] {
        n += 1;
        let api = any::api_as(
            Subject::user(user).client(&ns.cluster),
            &ns.name,
            "RoleAssignment",
        );
        let object = any::object(
            "RoleAssignment",
            manifest::role(&format!("try-{n}"), role, "bob"),
        );
        let (code, message) = refusal(api.create(&PostParams::default(), &object).await);
        let expected = if told.is_empty() { 0 } else { 403 };
        assert!(
            code == expected && message.contains(told),
            "{user} {role}: {code} {message}"
        );
    }
    // Labels give nobody anything, so who may write may set them.
    let api = any::api_as(
        Subject::user("writer").client(&ns.cluster),
        &ns.name,
        "RoleAssignment",
    );
    let patch = Patch::Merge(json!({"metadata": {"labels": {"team": "vision"}}}));
    assert_eq!(
        refusal(api.patch("owner", &PatchParams::default(), &patch).await).0,
        0
    );
    ns.finish().await;
}

#[tokio::test]
async fn the_clusters_own_users_and_groups_get_no_role() {
    let _running = operator::undisturbed().await;
    let ns = TestNamespace::with_workspace("access-system").await;
    for (kind, name) in [
        ("Group", "system:masters"),
        ("Group", "system:authenticated"),
        ("Group", "system:unauthenticated"),
        ("User", "system:anonymous"),
        ("User", "system:serviceaccount:default:default"),
    ] {
        let object = assignment("cluster", "Reader", json!({"kind": kind, "name": name}));
        let (code, message) = refusal(ns.try_create::<RoleAssignment>(object).await);
        assert!(
            code >= 400 && message.contains("system:"),
            "{name}: {code} {message}"
        );
    }
    ns.finish().await;
}

#[tokio::test]
async fn a_service_account_of_another_namespace_needs_that_namespaces_consent() {
    let _running = operator::undisturbed().await;
    let ns = TestNamespace::with_workspace("access-here").await;
    let other = TestNamespace::with_labels("access-there", json!({})).await;
    let robot = json!({"kind": "ServiceAccount", "name": "robot", "namespace": other.name});
    let subject = Subject::service_account(&other.name, "robot");
    ns.create::<RoleAssignment>(assignment("robot", "Reader", robot))
        .await;
    ns.condition::<RoleAssignment>("robot", "Ready", "False", "NamespaceDoesNotConsent", QUICK)
        .await;
    assert!(
        ns.api::<RoleBinding>()
            .get_opt("robot-role")
            .await
            .unwrap()
            .is_none()
    );
    let namespaces: Api<Namespace> = Api::all(ns.cluster.client.clone());
    let consent = async |value: Value| {
        let label =
            json!({"metadata": {"labels": {format!("consent.atelier.dev/{}", ns.name): value}}});
        namespaces
            .patch(&other.name, &PatchParams::default(), &Patch::Merge(label))
            .await
            .unwrap();
    };
    consent(json!("true")).await;
    ns.ready::<RoleAssignment>("robot", QUICK).await;
    knows(&ns, &subject).await;
    consent(Value::Null).await;
    ns.condition::<RoleAssignment>("robot", "Ready", "False", "NamespaceDoesNotConsent", QUICK)
        .await;
    ns.gone::<RoleBinding>("robot-role", None, QUICK).await;
    ns.finish().await;
    other.finish().await;
}
