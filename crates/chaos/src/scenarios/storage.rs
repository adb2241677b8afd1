//! A workspace with a storage and a file share of its own, as far as they come without a machine: nothing binds a volume,
//! so the server never runs. The grant on it is taken away and given back; the workspace goes and takes the volumes with it.

use atelier_api::Workspace;
use atelier_api::conditions::{FILE_SHARE_READY, STORAGE_READY};
use atelier_testkit::manifest::workspace;
use atelier_testkit::namespace::condition;
use atelier_testkit::wait::check;
use futures::FutureExt as _;
use futures::future::LocalBoxFuture;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use k8s_openapi::api::rbac::v1::RoleBinding;
use k8s_openapi::api::storage::v1::StorageClass;
use kube::api::{Patch, PatchParams};
use kube::{Api, ResourceExt as _};
use serde_json::json;

use crate::user::User;
use crate::{Scenario, Stage};

const NAME: &str = "team-storage";
const FILES: &str = "team-files";
/// A StorageClass, and the driver that it names and that nobody runs: its volumes would be for all nodes.
const CLASS: (&str, &str) = ("chaos-files", "nfs.csi.k8s.io");

/// See above.
pub struct Storage;

impl Scenario for Storage {
    fn name(&self) -> &'static str {
        "storage"
    }

    fn play<'a>(&'a self, stage: &'a Stage<'a>) -> LocalBoxFuture<'a, anyhow::Result<()>> {
        play(stage).boxed_local()
    }
}

async fn says(user: &User, reason: &str, word: &str) -> anyhow::Result<()> {
    let sentence = format!("says {reason}: {word}");
    user.sees("team", &sentence, |workspace: &Workspace| {
        let found = condition(workspace, STORAGE_READY).ok_or("no such condition")?;
        check(
            found.reason == reason && found.message.contains(word),
            &found,
        )
    })
    .await
    .map(drop)
}

async fn goes(user: &User, wanted: bool) -> anyhow::Result<()> {
    let sentence = format!("goes with its workspace: {wanted}");
    for name in [NAME, FILES] {
        user.sees(name, &sentence, |claim: &PersistentVolumeClaim| {
            let mark = claim.annotations().get("atelier.dev/goes-with");
            check(mark.is_some_and(|uid| uid.is_empty() != wanted), mark)
        })
        .await?;
    }
    Ok(())
}

/// The class is the cluster's and may be there from another play.
async fn class(user: &User) -> anyhow::Result<()> {
    let api: Api<StorageClass> = Api::all(user.client.clone());
    let class = json!({"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": CLASS.0},
        // Nobody is in a hurry: a claim that waits is not annotated by others.
        "provisioner": CLASS.1, "volumeBindingMode": "WaitForFirstConsumer"});
    let params = PatchParams::apply("chaos");
    api.patch(CLASS.0, &params, &Patch::Apply(class)).await?;
    Ok(())
}

async fn files(user: &User) -> anyhow::Result<()> {
    user.sees("team", "has a claim for files", |workspace: &Workspace| {
        let found = condition(workspace, FILE_SHARE_READY).ok_or("no such condition")?;
        check(found.reason == "WaitsForFirstUse", &found)
    })
    .await
    .map(drop)
}

async fn play(stage: &Stage<'_>) -> anyhow::Result<()> {
    let user = &stage.user;
    let starting = ("StorageStarting", "PersistentVolumeClaim");
    stage
        .step("a workspace with storage is made", async {
            let mut own = workspace("team");
            own["spec"]["storage"] = json!({"type": "Embedded", "embedded": {"size": "1Gi"}});
            own["spec"]["fileShare"] = json!({"embedded": {"storageClassName": CLASS.0}});
            class(user).await?;
            user.create::<Workspace>(own).await?;
            files(user).await?;
            user.ready::<Workspace>("team", "True", "").await?;
            says(user, starting.0, starting.1).await
        })
        .await?;
    stage.settled("made").await?;
    stage
        .step("the grant on it is taken away", async {
            user.delete::<RoleBinding>("team-identity-storage").await?;
            says(user, "GrantMissing", "resync").await
        })
        .await?;
    stage.settled("revoked").await?;
    stage
        .step("a resync gives it back", async {
            let more = json!({"spec": {"resyncKeys": 1, "deletionPolicy": "Delete"}});
            user.patch::<Workspace>("team", more).await?;
            goes(user, true).await?;
            says(user, starting.0, starting.1).await
        })
        .await?;
    stage.settled("resynced").await?;
    stage
        .step("the workspace is deleted", async {
            user.delete::<Workspace>("team").await?;
            user.gone::<PersistentVolumeClaim>(NAME).await?;
            user.gone::<PersistentVolumeClaim>(FILES).await?;
            user.gone::<Deployment>(NAME).await?;
            user.gone::<RoleBinding>("atelier-workspace-manager").await
        })
        .await?;
    stage.settled("end").await
}
