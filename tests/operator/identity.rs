//! The managed identity's grants: what is taken away stays away, and says so, until a resync. And regional identities.

use atelier_api::v1alpha1::{GrantResource, GrantState, RunState};
use atelier_api::{ComputeTarget, Run, Workspace};
use atelier_testkit::audit::Audit;
use atelier_testkit::cluster::SYSTEM;
use atelier_testkit::namespace::{QUICK, SLOW};
use atelier_testkit::wait::check;
use atelier_testkit::{TestNamespace, eventually, manifest, operator};
use k8s_openapi::api::core::v1::{Pod, ServiceAccount};
use k8s_openapi::api::rbac::v1::RoleBinding;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube::{Api, ResourceExt as _};
use serde_json::json;

const GRANT: &str = "team-identity";
/// The location that only this test uses.
const ELSEWHERE: &str = "elsewhere";

async fn state(ns: &TestNamespace) -> Option<GrantState> {
    let workspace: Workspace = ns.api().get("team").await.unwrap();
    workspace.grant(GrantResource::Workspace)
}

async fn is(ns: &TestNamespace, wanted: GrantState) {
    let (status, reason) = match wanted {
        GrantState::Granted => ("True", "Granted"),
        GrantState::Revoked => ("False", "GrantRevoked"),
    };
    ns.condition::<Workspace>("team", "IdentityAccess", status, reason, QUICK)
        .await;
    assert_eq!(state(ns).await, Some(wanted));
}

async fn resync(ns: &TestNamespace, counter: i64) {
    ns.patch::<Workspace>("team", json!({"spec": {"resyncKeys": counter}}))
        .await
        .unwrap();
    is(ns, GrantState::Granted).await;
}

async fn told(ns: &TestNamespace, run: &str, wanted: RunState, sentence: &str) {
    eventually(
        SLOW,
        &format!("{run} is {wanted:?}: {sentence}"),
        async || {
            let run: Run = ns.api().get(run).await.unwrap();
            let status = run.status.unwrap_or_default();
            let message = status.message.clone().unwrap_or_default();
            check(
                status.state == Some(wanted) && message.contains(sentence),
                (status.state, message),
            )
        },
    )
    .await;
}

#[tokio::test]
async fn a_grant_that_is_taken_away_stops_runs_and_nothing_else_until_a_resync() {
    let _running = operator::undisturbed().await;
    let ns = TestNamespace::with_workspace("grant-runs").await;
    is(&ns, GrantState::Granted).await;
    ns.create::<ComputeTarget>(manifest::target("cpu", 0, 1, 120))
        .await;
    ns.create::<Run>(manifest::run("first", "cpu", "exec sleep 3600"))
        .await;
    told(&ns, "first", RunState::Running, "").await;

    ns.delete::<RoleBinding>(GRANT).await;
    is(&ns, GrantState::Revoked).await;
    let workspace: Workspace = ns.ready("team", QUICK).await;
    assert!(workspace.status.unwrap().runs == 1);
    // What runs is not touched. What would have to start, waits, and says what for; and nobody puts the grant back.
    ns.patch::<ComputeTarget>("cpu", json!({"spec": {"managed": {"nodes": {"max": 2}}}}))
        .await
        .unwrap();
    ns.create::<Run>(manifest::run("second", "cpu", "exec sleep 3600"))
        .await;
    told(&ns, "second", RunState::Queued, "GrantMissing/Workspace").await;
    ns.condition::<ComputeTarget>("cpu", "Ready", "True", "GrantMissing", QUICK)
        .await;
    told(&ns, "first", RunState::Running, "").await;
    let pod: Pod = ns.api().get("first-1-0").await.unwrap();
    assert!(
        ns.api::<RoleBinding>()
            .get_opt(GRANT)
            .await
            .unwrap()
            .is_none()
    );

    let audit = Audit::from_now(&ns.cluster);
    resync(&ns, 1).await;
    told(&ns, "second", RunState::Running, "").await;
    let same: Pod = ns.api().get("first-1-0").await.unwrap();
    assert_eq!(
        same.metadata.resource_version,
        pod.metadata.resource_version
    );
    // One binding and the pod that waited for it: nothing is made anew for it.
    let made: Vec<_> = audit
        .operator_writes(&ns.name)
        .into_iter()
        .filter(|e| !e.resource.ends_with("/status"))
        .map(|e| format!("{} {} {}", e.verb, e.resource, e.name))
        .collect();
    assert_eq!(
        made,
        [
            "create rolebindings team-identity",
            "create pods second-1-0"
        ]
    );
    ns.finish().await;
}

#[tokio::test]
async fn who_edits_a_grant_revokes_it_and_who_puts_it_back_by_hand_restores_nothing() {
    let _running = operator::undisturbed().await;
    let ns = TestNamespace::with_workspace("grant-edits").await;
    is(&ns, GrantState::Granted).await;
    let bindings: Api<RoleBinding> = ns.api();
    let grant = bindings.get(GRANT).await.unwrap();

    let other =
        json!({"subjects": [{"kind": "ServiceAccount", "name": "other", "namespace": ns.name}]});
    ns.patch::<RoleBinding>(GRANT, other).await.unwrap();
    is(&ns, GrantState::Revoked).await;
    // What was left of it would have given the other what the identity had.
    ns.gone::<RoleBinding>(GRANT, None, QUICK).await;

    let mut again = grant.clone();
    again.metadata.resource_version = None;
    again.metadata.uid = None;
    let made = bindings
        .create(&PostParams::default(), &again)
        .await
        .unwrap();
    ns.gone::<RoleBinding>(GRANT, made.uid().as_deref(), QUICK)
        .await;
    assert_eq!(state(&ns).await, Some(GrantState::Revoked));

    resync(&ns, 3).await;
    // Lowered, it does nothing.
    ns.patch::<Workspace>("team", json!({"spec": {"resyncKeys": 1}}))
        .await
        .unwrap();
    ns.delete::<RoleBinding>(GRANT).await;
    is(&ns, GrantState::Revoked).await;
    resync(&ns, 4).await;
    ns.finish().await;
}

#[tokio::test]
async fn what_others_add_to_a_grant_is_drift_and_what_they_note_on_it_stays() {
    let _running = operator::undisturbed().await;
    let ns = TestNamespace::with_workspace("grant-drift").await;
    is(&ns, GrantState::Granted).await;
    let bindings: Api<RoleBinding> = ns.api();
    let mut edited = bindings.get(GRANT).await.unwrap();
    let wanted = edited.subjects.clone();
    let mut eve = wanted.clone().unwrap().remove(0);
    eve.name = "eve".into();
    edited.subjects.get_or_insert_default().push(eve);
    edited.labels_mut().insert("theirs".into(), "x".into());
    bindings
        .replace(GRANT, &PostParams::default(), &edited)
        .await
        .unwrap();
    eventually(QUICK, "the addition is gone", async || {
        let binding = bindings.get(GRANT).await.unwrap();
        check(binding.subjects == wanted, binding.subjects)
    })
    .await;
    assert_eq!(state(&ns).await, Some(GrantState::Granted));
    ns.finish().await;
}

#[tokio::test]
async fn who_takes_a_grant_away_is_told_what_stops_and_how_to_give_it_back() {
    let _running = operator::undisturbed().await;
    let ns = TestNamespace::with_workspace("grant-warning").await;
    is(&ns, GrantState::Granted).await;
    let delete = ["-n", &ns.name, "delete", "rolebinding", GRANT];
    let (ok, said) = ns.cluster.kubectl(&delete, "");
    let warning = format!(
        "no run will start there until it is given back, by kubectl atelier resync -n {}",
        ns.name
    );
    assert!(
        ok && said.contains("Warning") && said.contains(&warning),
        "{said}"
    );
    is(&ns, GrantState::Revoked).await;
    ns.finish().await;
}

#[tokio::test]
async fn a_workspace_that_is_made_anew_has_its_grants_whatever_was_taken_from_the_last_one() {
    let _running = operator::undisturbed().await;
    let ns = TestNamespace::with_workspace("grant-anew").await;
    is(&ns, GrantState::Granted).await;
    ns.delete::<RoleBinding>(GRANT).await;
    is(&ns, GrantState::Revoked).await;
    ns.delete::<Workspace>("team").await;
    ns.gone::<Workspace>("team", None, QUICK).await;
    ns.create::<Workspace>(manifest::workspace("team")).await;
    is(&ns, GrantState::Granted).await;
    ns.finish().await;
}

#[tokio::test]
async fn a_location_has_an_identity_as_long_as_it_has_a_workspace() {
    let _running = operator::undisturbed().await;
    let ns = TestNamespace::open("region").await;
    let accounts: Api<ServiceAccount> = Api::namespaced(ns.cluster.client.clone(), SYSTEM);
    let name = format!("aml-{ELSEWHERE}");
    let account = async |there: bool| {
        eventually(QUICK, &format!("{name} is there: {there}"), async || {
            let found = accounts.get_opt(&name).await.unwrap();
            check(found.is_some() == there, found.map(|a| a.metadata))
        })
        .await
    };
    account(false).await;
    let mut workspace = manifest::workspace("team");
    workspace["spec"] = json!({"location": ELSEWHERE});
    ns.create::<Workspace>(workspace).await;
    ns.ready::<Workspace>("team", QUICK).await;
    account(true).await;
    // It comes back, and as it was.
    accounts
        .delete(&name, &DeleteParams::default())
        .await
        .unwrap();
    account(true).await;
    let damage = Patch::Merge(json!({"automountServiceAccountToken": true}));
    accounts
        .patch(&name, &PatchParams::default(), &damage)
        .await
        .unwrap();
    eventually(QUICK, "it is not mounted", async || {
        let found = accounts.get(&name).await.unwrap();
        check(
            found.automount_service_account_token == Some(false),
            found.automount_service_account_token,
        )
    })
    .await;

    // Placeholders are made by it: the audit log tells.
    let audit = Audit::from_now(&ns.cluster);
    ns.create::<ComputeTarget>(manifest::target("cpu", 1, 1, 120))
        .await;
    eventually(SLOW, "there is a placeholder", async || {
        let pods = ns.pods("atelier.dev/compute-target=cpu").await;
        check(!pods.is_empty(), pods.len())
    })
    .await;
    let made =
        audit.entries(|e| e.namespace == ns.name && e.resource == "pods" && e.verb == "create");
    let region = format!("system:serviceaccount:{SYSTEM}:{name}");
    assert!(
        !made.is_empty() && made.iter().all(|e| e.acts_as == region),
        "{made:?}"
    );

    ns.delete::<Workspace>("team").await;
    account(false).await;
    ns.finish().await;
}
