//! What people do by actions: a credential is stored, a key made anew, a run ended, a grant given back. Who gets no
//! answer looks whether it was done, and asks again if it was not.

use atelier_api::actions::CREDENTIAL_PREFIX;
use atelier_api::v1alpha1::{GrantState, RunState};
use atelier_api::{ComputeTarget, Run, WebService, Workspace};
use atelier_testkit::manifest::{run, service, target, workspace};
use atelier_testkit::wait::check;
use futures::FutureExt as _;
use futures::future::LocalBoxFuture;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::api::rbac::v1::RoleBinding;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::roles::grant_is;
use crate::user::User;
use crate::{Scenario, Stage};

/// See above.
pub struct Actions;

impl Scenario for Actions {
    fn name(&self) -> &'static str {
        "actions"
    }

    fn play<'a>(&'a self, stage: &'a Stage<'a>) -> LocalBoxFuture<'a, anyhow::Result<()>> {
        play(stage).boxed_local()
    }
}

/// Asks until it is answered, or seen to be done. What is refused as wrong is an error at once.
async fn ask(
    stage: &Stage<'_>,
    action: &str,
    body: Value,
    done: impl AsyncFn(&User) -> Result<bool, String>,
) -> anyhow::Result<()> {
    let user = &stage.user;
    user.until(&format!("{action} is answered"), async || {
        match stage.caller.post(&user.namespace, action, &body).await {
            Ok(_) => Ok(Ok(())),
            Err(kube::Error::Api(status))
                if (400..500).contains(&status.code)
                    && status.code != 409
                    && status.code != 429 =>
            {
                Ok(Err(status))
            }
            Err(_) if done(user).await? => Ok(Ok(())),
            Err(error) => Err(error.to_string()),
        }
    })
    .await?
    .map_err(|status| anyhow::anyhow!("{action} is refused: {}", status.message))
}

async fn value(user: &User, secret: &str, entry: &str) -> Result<Option<Vec<u8>>, String> {
    let found = user.api::<Secret>().get_opt(secret).await;
    let found = found.map_err(|e| e.to_string())?;
    let value = found.and_then(|secret| secret.data?.remove(entry));
    Ok(value.map(|ByteString(bytes)| bytes))
}

async fn store(stage: &Stage<'_>, password: &str) -> anyhow::Result<()> {
    let secret = format!("{CREDENTIAL_PREFIX}s3");
    let stored = async |user: &User| {
        let value = value(user, &secret, "password").await?;
        Ok(value.as_deref() == Some(password.as_bytes()))
    };
    let body = json!({"name": "s3", "data": {"password": password}});
    ask(stage, "workspaces/team/storecredential", body, &stored).await?;
    stage
        .user
        .until("the credential is stored", async || {
            check(stored(&stage.user).await?, "it is not")
        })
        .await
}

async fn regenerate(stage: &Stage<'_>) -> anyhow::Result<()> {
    const KEYS: &str = "svc-keys";
    let before = value(&stage.user, KEYS, "secondary").await;
    let before = before.map_err(anyhow::Error::msg)?;
    let changed = async |user: &User| {
        let now = value(user, KEYS, "secondary").await?;
        Ok(now.is_some() && now != before)
    };
    let body = json!({"keyType": "Secondary"});
    ask(stage, "webservices/svc/regeneratekey", body, changed).await?;
    let now = value(&stage.user, KEYS, "secondary").await;
    let digest = Sha256::digest(now.map_err(anyhow::Error::msg)?.unwrap_or_default());
    let wanted: String = digest[..4]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let sentence = "tells of the new key";
    stage
        .user
        .sees("svc", sentence, |service: &WebService| {
            let keys = service.status.as_ref().and_then(|s| s.keys.as_ref());
            let told = keys.map(|keys| keys.secondary.fingerprint.clone());
            check(told.as_ref() == Some(&wanted), told)
        })
        .await
        .map(drop)
}

async fn resync(stage: &Stage<'_>) -> anyhow::Result<()> {
    let noted = async |user: &User| {
        let workspace = user.api::<Workspace>().get("team").await;
        let status = workspace.map_err(|e| e.to_string())?.status;
        Ok(status.is_some_and(|status| status.resync_requested.is_some()))
    };
    ask(stage, "workspaces/team/resynckeys", json!({}), noted).await?;
    grant_is(&stage.user, GrantState::Granted).await
}

async fn play(stage: &Stage<'_>) -> anyhow::Result<()> {
    let user = &stage.user;
    stage
        .step("a service, and a run that waits for a node", async {
            user.create::<Workspace>(workspace("team")).await?;
            user.create::<WebService>(service("svc")).await?;
            user.create::<ComputeTarget>(target("cpu", 0, 0, 1)).await?;
            user.create::<Run>(run("waits", "cpu", "true")).await?;
            user.ready::<WebService>("svc", "True", "").await?;
            user.run_is("waits", RunState::Queued).await
        })
        .await?;
    stage.settled("made").await?;
    stage
        .step("a credential is stored, and stored again", async {
            store(stage, "Wc7-first-password").await?;
            store(stage, "Wc7-second-password").await
        })
        .await?;
    stage
        .step("a key is made anew", async { regenerate(stage).await })
        .await?;
    stage.settled("keys").await?;
    stage
        .step("the run is ended", async {
            let to_end = async |user: &User| {
                let run = user.api::<Run>().get("waits").await;
                Ok(run.map_err(|e| e.to_string())?.is_to_end())
            };
            ask(stage, "runs/waits/cancel", json!({}), to_end).await?;
            user.run_is("waits", RunState::Canceled).await
        })
        .await?;
    stage
        .step("a grant is taken away, and a resync gives it back", async {
            user.delete::<RoleBinding>("team-identity").await?;
            grant_is(user, GrantState::Revoked).await?;
            resync(stage).await
        })
        .await?;
    stage.settled("end").await
}
