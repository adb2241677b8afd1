//! What a workspace needs, and what it gives.

use atelier_api::v1alpha1::ProvisioningState;
use atelier_api::{RoleAssignment, Workspace};
use atelier_testkit::audit::Audit;
use atelier_testkit::namespace::QUICK;
use atelier_testkit::wait::check;
use atelier_testkit::{TestNamespace, eventually, manifest, operator};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Namespace, PersistentVolumeClaim, ServiceAccount};
use kube::api::{ListParams, Patch, PatchParams};
use kube::{Api, ResourceExt as _};
use serde_json::json;

use crate::any;

#[tokio::test]
async fn a_workspace_becomes_ready_with_its_identity_and_a_full_status() {
    let _running = operator::undisturbed().await;
    let ns = TestNamespace::open("ws-ready").await;
    let made: Workspace = ns.create(manifest::workspace("team")).await;
    let workspace: Workspace = ns.ready("team", QUICK).await;
    let status = workspace.status.clone().unwrap();
    assert_eq!(status.workspace_id, made.uid());
    assert_eq!(status.observed_generation, made.metadata.generation);
    assert_eq!(
        status.provisioning_state,
        Some(ProvisioningState::Succeeded)
    );
    let identity = status.identity.unwrap();
    assert_eq!(identity.service_account, "team");
    assert_eq!(
        identity.principal,
        format!("system:serviceaccount:{}:team", ns.name)
    );
    let account: ServiceAccount = ns.api().get("team").await.unwrap();
    assert_eq!(account.automount_service_account_token, Some(false));
    assert_eq!(account.owner_references()[0].uid, made.uid().unwrap());
    assert_eq!(
        account.owner_references()[0].block_owner_deletion,
        Some(false)
    );
    assert!(workspace.finalizers().is_empty());
    ns.finish().await;
}

#[tokio::test]
async fn without_anybody_who_signs_certificates_a_workspace_is_ready_and_its_storage_says_why_not()
{
    let _running = operator::undisturbed().await;
    let ns = TestNamespace::open("ws-unsigned").await;
    let workspace = json!({"apiVersion": "atelier.dev/v1alpha1", "kind": "Workspace", "metadata": {"name": "team"}, "spec": {"fileShare": {"type": "None"}}});
    ns.create::<Workspace>(workspace).await;
    ns.ready::<Workspace>("team", QUICK).await;
    ns.condition::<Workspace>("team", "StorageReady", "False", "NoAuthority", QUICK)
        .await;
    let claims: Api<PersistentVolumeClaim> = ns.api();
    let made = claims.list(&ListParams::default()).await.unwrap();
    assert!(made.items.is_empty(), "nothing is made that is of no use");
    ns.finish().await;
}

#[tokio::test]
async fn without_the_label_nothing_at_all_is_made_until_the_label_comes() {
    let _running = operator::undisturbed().await;
    let ns = TestNamespace::with_labels("ws-closed", json!({})).await;
    let audit = Audit::from_now(&ns.cluster);
    ns.create::<Workspace>(manifest::workspace("team")).await;
    ns.create::<RoleAssignment>(manifest::role("reader", "Reader", "ann"))
        .await;
    let workspace: Workspace = ns
        .condition("team", "Ready", "False", "NamespaceNotEnabled", QUICK)
        .await;
    assert_eq!(
        workspace.status.unwrap().provisioning_state,
        Some(ProvisioningState::Failed)
    );
    ns.condition::<RoleAssignment>("reader", "Ready", "False", "NamespaceNotEnabled", QUICK)
        .await;
    let made: Vec<_> = audit
        .operator_writes(&ns.name)
        .into_iter()
        .filter(|e| !e.resource.ends_with("/status"))
        .collect();
    assert!(made.is_empty(), "the operator wrote {made:?}");
    for kind in any::CHILDREN {
        let there = any::api(&ns, kind)
            .list(&ListParams::default())
            .await
            .unwrap()
            .items;
        let ours: Vec<_> = there
            .iter()
            .map(|o| o.name_any())
            .filter(|name| name != "default")
            .collect();
        assert!(ours.is_empty(), "{kind}: {ours:?}");
    }

    let label = json!({"metadata": {"labels": {"atelier.dev/resource-group": "tests"}}});
    let namespaces: Api<Namespace> = Api::all(ns.cluster.client.clone());
    namespaces
        .patch(&ns.name, &PatchParams::default(), &Patch::Merge(label))
        .await
        .unwrap();
    ns.ready::<Workspace>("team", QUICK).await;
    ns.ready::<RoleAssignment>("reader", QUICK).await;
    ns.finish().await;
}

#[tokio::test]
async fn a_second_workspace_finds_the_namespace_taken_and_the_first_untouched() {
    let _running = operator::undisturbed().await;
    let ns = TestNamespace::with_workspace("ws-second").await;
    let before: Workspace = ns.api().get("team").await.unwrap();
    // Creation times have a resolution of one second, and of two equal ones the uid decides.
    let made = before.creation_timestamp().unwrap().0;
    eventually(QUICK, "another second has begun", async || {
        let now = Timestamp::now();
        check(now.as_second() > made.as_second(), now)
    })
    .await;
    ns.create::<Workspace>(manifest::workspace("other")).await;
    let other: Workspace = ns
        .condition("other", "Ready", "False", "NamespaceTaken", QUICK)
        .await;
    let message = &atelier_testkit::namespace::condition(&other, "Ready")
        .unwrap()
        .message;
    assert!(message.contains("team"), "{message}");
    assert!(
        ns.api::<ServiceAccount>()
            .get_opt("other")
            .await
            .unwrap()
            .is_none()
    );
    let after: Workspace = ns.api().get("team").await.unwrap();
    assert_eq!(after.resource_version(), before.resource_version());
    ns.finish().await;
}

#[tokio::test]
async fn an_unknown_location_is_told_with_those_that_there_are() {
    let _running = operator::undisturbed().await;
    let ns = TestNamespace::open("ws-moon").await;
    let mut workspace = manifest::workspace("team");
    workspace["spec"]["location"] = json!("moon");
    ns.create::<Workspace>(workspace).await;
    let workspace: Workspace = ns
        .condition("team", "Ready", "False", "UnknownLocation", QUICK)
        .await;
    let message = atelier_testkit::namespace::condition(&workspace, "Ready")
        .unwrap()
        .message;
    assert!(
        message.contains("moon") && message.contains("local"),
        "{message}"
    );
    assert!(
        ns.api::<ServiceAccount>()
            .get_opt("team")
            .await
            .unwrap()
            .is_none()
    );
    ns.finish().await;
}
