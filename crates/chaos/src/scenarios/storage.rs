//! A workspace with a storage of its own, as far as it comes without a machine: nothing binds the volume, so its server
//! never runs. The grant on it is taken away and given back; the workspace goes and takes the volume with it.

use atelier_api::Workspace;
use atelier_api::conditions::STORAGE_READY;
use atelier_testkit::manifest::workspace;
use atelier_testkit::namespace::condition;
use atelier_testkit::wait::check;
use futures::FutureExt as _;
use futures::future::LocalBoxFuture;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use k8s_openapi::api::rbac::v1::RoleBinding;
use kube::ResourceExt as _;
use serde_json::json;

use crate::user::User;
use crate::{Scenario, Stage};

const NAME: &str = "team-storage";

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
    user.sees(NAME, &sentence, |claim: &PersistentVolumeClaim| {
        let mark = claim.annotations().get("atelier.dev/goes-with");
        check(mark.is_some_and(|uid| uid.is_empty() != wanted), mark)
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
            user.create::<Workspace>(own).await?;
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
            user.gone::<Deployment>(NAME).await?;
            user.gone::<RoleBinding>("atelier-workspace-manager").await
        })
        .await?;
    stage.settled("end").await
}
