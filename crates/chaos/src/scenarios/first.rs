//! The first workspace of an installation, and of a location: the key that wraps all others is made with it, and so is
//! the location's identity. Somebody spoils the identity and takes it away; in the end it goes with the workspace.

use std::sync::Mutex;

use atelier_api::Workspace;
use atelier_testkit::cluster::SYSTEM;
use atelier_testkit::wait::check;
use futures::FutureExt as _;
use futures::future::LocalBoxFuture;
use k8s_openapi::api::core::v1::{Secret, ServiceAccount};
use k8s_openapi::api::rbac::v1::RoleBinding;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use kube::{Api, ResourceExt as _};
use serde_json::json;

use super::keys::{Kept, bring_a_store, kept, nobody_answers};
use crate::disturber::{FAR, FAR_IDENTITY, KEK, RINGS};
use crate::user::User;
use crate::{Scenario, Stage};

/// See above.
pub struct First;

impl Scenario for First {
    fn name(&self) -> &'static str {
        "first"
    }

    fn play<'a>(&'a self, stage: &'a Stage<'a>) -> LocalBoxFuture<'a, anyhow::Result<()>> {
        play(stage).boxed_local()
    }
}

/// An installation that has kept nothing yet.
pub(super) async fn forget_keys(user: &User) -> anyhow::Result<()> {
    let secrets: Api<Secret> = Api::namespaced(user.client.clone(), SYSTEM);
    // The rings first: a key that is gone while rings are there is a loss, and is told as one.
    for of in [RINGS, KEK] {
        let all = secrets.list_metadata(&ListParams::default()).await?;
        let names = all.iter().map(|secret| secret.name_any());
        for name in names.filter(|name| name.starts_with(of)) {
            secrets.delete(&name, &DeleteParams::default()).await?;
        }
    }
    Ok(())
}

/// The key that wraps the rings, if there is one.
pub(super) async fn kek(user: &User) -> Result<Option<Vec<u8>>, String> {
    let secrets: Api<Secret> = Api::namespaced(user.client.clone(), SYSTEM);
    let secret = secrets.get_opt(KEK).await.map_err(|e| e.to_string())?;
    Ok(secret.and_then(|secret| Some(secret.data?.remove("key")?.0)))
}

/// The key that wraps the rings, and the workspace's ring. Both are made once.
async fn keys_are(user: &User, made: &Mutex<Option<[Vec<u8>; 2]>>) -> anyhow::Result<()> {
    let found = user
        .until("there are keys", async || {
            let kek = kek(user).await?.ok_or("none that wraps others")?;
            Ok([kek, kept(user).await?.ring.ok_or("no ring")?])
        })
        .await?;
    let mut made = made.lock().map_err(|_| anyhow::anyhow!("poisoned"))?;
    let first = made.get_or_insert_with(|| found.clone());
    anyhow::ensure!(*first == found, "the keys were made anew");
    Ok(())
}

async fn identity_is(
    user: &User,
    sentence: &str,
    is: impl Fn(Option<ServiceAccount>) -> bool,
) -> anyhow::Result<()> {
    let accounts: Api<ServiceAccount> = Api::namespaced(user.client.clone(), SYSTEM);
    let sentence = format!("the location's identity {sentence}");
    user.until(&sentence, async || {
        let found = accounts.get_opt(FAR_IDENTITY).await;
        let found = found.map_err(|e| e.to_string())?;
        let shown = format!("{found:?}");
        check(is(found), shown)
    })
    .await
}

fn is_right(account: Option<ServiceAccount>) -> bool {
    account.is_some_and(|account| account.automount_service_account_token == Some(false))
}

async fn play(stage: &Stage<'_>) -> anyhow::Result<()> {
    let user = &stage.user;
    let made = Mutex::default();
    let accounts: Api<ServiceAccount> = Api::namespaced(user.client.clone(), SYSTEM);
    stage
        .step("a workspace is made where none ever was", async {
            identity_is(user, "is not there", |found| found.is_none()).await?;
            forget_keys(user).await?;
            bring_a_store(user, json!({"location": FAR, "deletionPolicy": "Delete"})).await?;
            keys_are(user, &made).await?;
            identity_is(user, "is there", is_right).await?;
            nobody_answers(user).await
        })
        .await?;
    stage.settled("made").await?;
    stage
        .step("the location's identity is spoilt, and taken away", async {
            let spoilt = Patch::Merge(json!({"automountServiceAccountToken": true}));
            let params = PatchParams::default();
            accounts.patch(FAR_IDENTITY, &params, &spoilt).await?;
            identity_is(user, "is mended", is_right).await?;
            let before = accounts.get(FAR_IDENTITY).await?.uid();
            accounts
                .delete(FAR_IDENTITY, &DeleteParams::default())
                .await?;
            identity_is(user, "is made anew", |found| {
                found.as_ref().is_some_and(|found| found.uid() != before) && is_right(found)
            })
            .await
        })
        .await?;
    stage.settled("mended").await?;
    stage
        .step("the workspace is deleted", async {
            keys_are(user, &made).await?;
            user.delete::<Workspace>("team").await?;
            user.until("the keys are gone", async || {
                let kept = kept(user).await?;
                check(kept == Kept::default(), kept)
            })
            .await?;
            user.gone::<RoleBinding>("atelier-workspace-manager")
                .await?;
            identity_is(user, "is gone", |found| found.is_none()).await
        })
        .await?;
    stage.settled("end").await
}
