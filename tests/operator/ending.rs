//! Workspaces and namespaces that go away.

use std::time::{Duration, Instant};

use atelier_api::{ComputeTarget, RoleAssignment, Run, WebService, Workspace};
use atelier_testkit::audit::Audit;
use atelier_testkit::namespace::{QUICK, SLOW};
use atelier_testkit::wait::check;
use atelier_testkit::{TestNamespace, eventually, manifest, operator};
use k8s_openapi::api::core::v1::{Namespace, Secret};
use k8s_openapi::api::rbac::v1::RoleBinding;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use kube::{Api, ResourceExt as _};
use serde_json::{Value, json};

use crate::any::{self, normal};

/// A namespace with one of each kind, all of which do something.
async fn full(prefix: &str) -> TestNamespace {
    let ns = TestNamespace::with_workspace(prefix).await;
    ns.create::<RoleAssignment>(manifest::role("reader", "Reader", "ann"))
        .await;
    ns.create::<ComputeTarget>(manifest::target("cpu", 1, 2, 120))
        .await;
    ns.create::<Run>(manifest::run("long", "cpu", "sleep 600"))
        .await;
    ns.create::<WebService>(manifest::service("model")).await;
    ns.ready::<RoleAssignment>("reader", QUICK).await;
    eventually(SLOW, "the run runs", async || {
        let run: Run = ns.api().get("long").await.map_err(|e| e.to_string())?;
        let state = run.status.unwrap_or_default().state;
        check(
            state == Some(atelier_api::v1alpha1::RunState::Running),
            state,
        )
    })
    .await;
    ns.ready::<WebService>("model", SLOW).await;
    ns
}

/// Whatever of ours there is in a namespace, as `Kind name`.
async fn children(ns: &TestNamespace) -> Vec<String> {
    let mut found = vec![];
    for kind in any::CHILDREN {
        let ours = ListParams::default().labels("app.kubernetes.io/managed-by=atelier");
        let there = any::api(ns, kind).list(&ours).await.unwrap().items;
        found.extend(
            there
                .iter()
                .map(|object| format!("{kind} {}", object.name_any())),
        );
    }
    found
}

#[tokio::test]
async fn a_deleted_workspace_leaves_nothing_behind_and_a_new_one_revives_what_users_made() {
    let _running = operator::undisturbed().await;
    let ns = full("end-workspace").await;
    let key = |secret: &Secret| secret.data.as_ref().unwrap()["primary"].0.clone();
    let old_key = key(&ns.api::<Secret>().get("model-keys").await.unwrap());
    let audit = Audit::from_now(&ns.cluster);
    ns.delete::<Workspace>("team").await;
    ns.condition::<RoleAssignment>("reader", "Ready", "False", "WorkspaceMissing", QUICK)
        .await;
    ns.condition::<ComputeTarget>("cpu", "Ready", "False", "WorkspaceMissing", QUICK)
        .await;
    ns.condition::<Run>("long", "Ready", "False", "WorkspaceMissing", QUICK)
        .await;
    ns.condition::<WebService>("model", "Ready", "False", "WorkspaceMissing", QUICK)
        .await;
    let begun = Instant::now();
    eventually(SLOW, "nothing of ours is left", async || {
        let left = children(&ns).await;
        check(left.is_empty(), left)
    })
    .await;
    println!(
        "all gone {} ms after the conditions",
        begun.elapsed().as_millis()
    );
    let ours = audit.operator_writes(&ns.name);
    let deletes: Vec<_> = ours
        .iter()
        .filter(|e| e.verb == "delete")
        .map(|e| e.name.as_str())
        .collect();
    assert_eq!(
        deletes.last(),
        Some(&"atelier-workspace-manager"),
        "the operator gives up its rights last: {deletes:?}"
    );

    ns.create::<Workspace>(manifest::workspace("again")).await;
    ns.ready::<Workspace>("again", QUICK).await;
    ns.ready::<RoleAssignment>("reader", QUICK).await;
    ns.ready::<ComputeTarget>("cpu", SLOW).await;
    ns.ready::<Run>("long", QUICK).await;
    ns.ready::<WebService>("model", SLOW).await;
    let new_key = key(&ns.api::<Secret>().get("model-keys").await.unwrap());
    assert_ne!(old_key, new_key, "a revived service has new keys");
    ns.finish().await;
}

/// Deletes a namespace with everything in it, and waits until it is gone.
async fn namespace_goes(ns: &TestNamespace) {
    for kind in any::OURS.iter().chain(&any::CHILDREN) {
        for object in any::api(ns, kind)
            .list(&ListParams::default())
            .await
            .unwrap()
        {
            assert!(
                object.finalizers().is_empty(),
                "{kind} {} has a finalizer",
                object.name_any()
            );
        }
    }
    let api: Api<Namespace> = Api::all(ns.cluster.client.clone());
    api.delete(&ns.name, &DeleteParams::default())
        .await
        .unwrap();
}

async fn namespace_is_gone(ns: &TestNamespace) {
    let begun = Instant::now();
    let api: Api<Namespace> = Api::all(ns.cluster.client.clone());
    eventually(
        Duration::from_secs(60),
        "the namespace is gone",
        async || {
            let there = api.get_opt(&ns.name).await.map_err(|e| e.to_string())?;
            check(
                there.is_none(),
                there.and_then(|ns| ns.status).and_then(|s| s.conditions),
            )
        },
    )
    .await;
    println!(
        "the namespace was gone after {} ms",
        begun.elapsed().as_millis()
    );
}

#[tokio::test]
async fn a_namespace_with_everything_in_it_goes_within_a_minute() {
    let _running = operator::undisturbed().await;
    let ns = full("end-namespace").await;
    namespace_goes(&ns).await;
    namespace_is_gone(&ns).await;
}

/// An object as it is, without what is not ours.
async fn form(ns: &TestNamespace, kind: &str, name: &str) -> Result<Value, String> {
    let object = any::api(ns, kind).get(name).await;
    object
        .map(|object| normal(any::json_of(&object)))
        .map_err(|e| e.to_string())
}

#[tokio::test]
async fn what_is_done_while_the_operator_is_down_is_made_good() {
    let going = full("end-down").await;
    let ns = TestNamespace::with_workspace("end-drift").await;
    let mut service = manifest::service("model");
    service["spec"]["replicas"] = json!(0);
    ns.create::<WebService>(service).await;
    for name in ["stays", "leaves"] {
        ns.create::<RoleAssignment>(manifest::role(name, "Reader", "ann"))
            .await;
        ns.ready::<RoleAssignment>(name, QUICK).await;
    }
    let edited = [
        ("RoleBinding", "atelier-workspace-manager"),
        ("RoleBinding", "stays-role"),
        ("Secret", "model-gateway"),
        ("Service", "model"),
    ];
    let mut wanted = vec![];
    for (kind, name) in edited {
        let sentence = format!("{kind} {name} is there");
        wanted.push(eventually(QUICK, &sentence, async || form(&ns, kind, name).await).await);
    }

    let away = operator::away(&ns.cluster).await;
    namespace_goes(&going).await;
    let merge = async |kind: &str, name: &str, patch: Value| {
        let patch = Patch::Merge(patch);
        any::api(&ns, kind)
            .patch(name, &PatchParams::default(), &patch)
            .await
            .unwrap();
    };
    let unlabelled = json!({"metadata": {"labels": {"app.kubernetes.io/managed-by": null}}});
    merge(
        "RoleBinding",
        "atelier-workspace-manager",
        unlabelled.clone(),
    )
    .await;
    merge("Service", "model", unlabelled).await;
    merge(
        "Secret",
        "model-gateway",
        json!({"data": {"policy.json": "e30=", "more": "eA=="}}),
    )
    .await;
    any::api(&ns, "RoleBinding")
        .delete("stays-role", &DeleteParams::default())
        .await
        .unwrap();
    ns.delete::<RoleAssignment>("leaves").await;
    away.back().await;
    drop(away);

    for ((kind, name), wanted) in edited.into_iter().zip(wanted) {
        eventually(
            QUICK,
            &format!("{kind} {name} is right again"),
            async || {
                let now = form(&ns, kind, name).await?;
                check(now == wanted, format_args!("now {now}\nwanted {wanted}"))
            },
        )
        .await;
    }
    ns.gone::<RoleBinding>("leaves-role", None, QUICK).await;
    ns.ready::<Workspace>("team", QUICK).await;
    namespace_is_gone(&going).await;
    ns.finish().await;
}
