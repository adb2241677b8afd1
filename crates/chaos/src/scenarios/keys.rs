//! A workspace that brings a store, which does not answer: its keys are made, are to go with it, are to stay, and go
//! with it in the end. Whatever happens, they are made once.

use std::sync::Mutex;

use atelier_api::Workspace;
use atelier_api::conditions::STORAGE_READY;
use atelier_testkit::cluster::SYSTEM;
use atelier_testkit::manifest::workspace;
use atelier_testkit::namespace::condition;
use atelier_testkit::wait::check;
use futures::FutureExt as _;
use futures::future::LocalBoxFuture;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::api::rbac::v1::RoleBinding;
use kube::Api;
use kube::api::ListParams;
use serde_json::{Value, json};

use crate::user::User;
use crate::{Scenario, Stage};

/// See above.
pub struct Keys;

impl Scenario for Keys {
    fn name(&self) -> &'static str {
        "keys"
    }

    fn play<'a>(&'a self, stage: &'a Stage<'a>) -> LocalBoxFuture<'a, anyhow::Result<()>> {
        play(stage).boxed_local()
    }
}

/// What the operator keeps for the workspace.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Kept {
    /// The ring, wrapped.
    pub(super) ring: Option<Vec<u8>>,
    /// Whether it is to go with the workspace.
    goes: bool,
}

/// What it keeps now.
pub(super) async fn kept(user: &User) -> Result<Kept, String> {
    let secrets: Api<Secret> = Api::namespaced(user.client.clone(), SYSTEM);
    let all = secrets.list(&ListParams::default()).await;
    let all = all.map_err(|e| e.to_string())?;
    let place = format!("{}.team", user.namespace);
    let mut found = Kept::default();
    for data in all.into_iter().filter_map(|secret| secret.data) {
        found.goes |= data.contains_key(&format!("{place}.goes"));
        found.ring = found.ring.or(data.get(&place).map(|ring| ring.0.clone()));
    }
    Ok(found)
}

/// Waits until the keys are there, and go with the workspace or stay; they are the ones that were there before.
async fn keys_are(user: &User, goes: bool, made: &Mutex<Option<Vec<u8>>>) -> anyhow::Result<()> {
    let sentence = format!("there are keys, and go with the workspace: {goes}");
    let found = user.until(&sentence, async || {
        let kept = kept(user).await?;
        let ring = kept.ring.clone().filter(|_| kept.goes == goes);
        ring.ok_or_else(|| format!("{kept:?}"))
    });
    let found = found.await?;
    let mut made = made.lock().map_err(|_| anyhow::anyhow!("poisoned"))?;
    let first = made.get_or_insert_with(|| found.clone());
    anyhow::ensure!(*first == found, "the keys were made anew");
    Ok(())
}

/// The store was tried.
pub(super) async fn nobody_answers(user: &User) -> anyhow::Result<()> {
    let sentence = "says that nobody answers";
    user.sees("team", sentence, |workspace: &Workspace| {
        let found = condition(workspace, STORAGE_READY).ok_or("no such condition")?;
        check(found.reason == "StorageUnreachable", &found)
    })
    .await
    .map(drop)
}

/// Makes the workspace `team` with a store that nobody answers for.
pub(super) async fn bring_a_store(user: &User, mut spec: Value) -> anyhow::Result<()> {
    let values = json!({"accessKeyId": "id", "secretAccessKey": "secret"});
    let secret = json!({"metadata": {"name": "credential"}, "stringData": values});
    user.create::<Secret>(secret).await?;
    spec["storage"] = json!({"type": "S3", "s3": {"endpoint": "https://127.0.0.1:1", "bucket": "bucket",
        "secretRef": {"name": "credential"}}});
    let mut team = workspace("team");
    team["spec"] = spec;
    user.create::<Workspace>(team).await.map(drop)
}

async fn play(stage: &Stage<'_>) -> anyhow::Result<()> {
    let user = &stage.user;
    let made = Mutex::default();
    let policy =
        |policy: &str| user.patch::<Workspace>("team", json!({"spec": {"deletionPolicy": policy}}));
    stage
        .step("a workspace brings a store", async {
            bring_a_store(user, json!({"deletionPolicy": "Delete"})).await?;
            keys_are(user, true, &made).await?;
            nobody_answers(user).await
        })
        .await?;
    stage.settled("made").await?;
    stage
        .step("its keys are to stay", async {
            policy("Retain").await?;
            keys_are(user, false, &made).await?;
            nobody_answers(user).await
        })
        .await?;
    stage.settled("retained").await?;
    stage
        .step("its keys are to go, and go with it", async {
            policy("Delete").await?;
            keys_are(user, true, &made).await?;
            user.delete::<Workspace>("team").await?;
            user.until("the keys are gone", async || {
                let kept = kept(user).await?;
                check(kept == Kept::default(), kept)
            })
            .await?;
            user.gone::<RoleBinding>("atelier-workspace-manager").await
        })
        .await?;
    stage.settled("end").await
}
