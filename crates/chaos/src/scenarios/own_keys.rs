//! A web service whose team keeps the keys: not there yet, bad, good, changed, gone, and given up for keys that are made.
//! Gateways ask for a key all the time.

use atelier_api::conditions::reasons;
use atelier_api::gateway_policy::{GatewayPolicy, KeySlots};
use atelier_api::{WebService, Workspace};
use atelier_testkit::manifest::{service, workspace};
use atelier_testkit::wait::check;
use futures::FutureExt as _;
use futures::future::LocalBoxFuture;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Secret;
use serde_json::{Value, json};

use super::tokens::policy;
use crate::user::User;
use crate::{Scenario, Stage};

/// See above.
pub struct OwnKeys;

impl Scenario for OwnKeys {
    fn name(&self) -> &'static str {
        "own-keys"
    }

    fn play<'a>(&'a self, stage: &'a Stage<'a>) -> LocalBoxFuture<'a, anyhow::Result<()>> {
        play(stage).boxed_local()
    }
}

/// The digests that gateways go by. Fails where they ask for no key.
async fn digests(user: &User) -> Result<KeySlots, String> {
    match policy(user).await? {
        GatewayPolicy::Key { keys } => Ok(keys),
        other => Err(format!("{:?}", other.mode())),
    }
}

/// Waits until gateways go by others than these.
async fn others(user: &User, before: Option<&KeySlots>) -> anyhow::Result<KeySlots> {
    user.until("gateways go by other keys", async || {
        let now = digests(user).await?;
        check(Some(&now) != before, "the same keys")?;
        Ok(now)
    })
    .await
}

fn pair(primary: &str, secondary: &str) -> Value {
    json!({"primary": primary.repeat(32), "secondary": secondary.repeat(32)})
}

async fn play(stage: &Stage<'_>) -> anyhow::Result<()> {
    let user = &stage.user;
    let store =
        |keys: Value| user.patch::<Secret>("own", json!({"data": null, "stringData": keys}));
    let made = stage
        .step("its keys are not there yet", async {
            user.create::<Workspace>(workspace("team")).await?;
            let mut manifest = service("svc");
            manifest["spec"]["auth"] = json!({"mode": "Key", "keysSecretRef": {"name": "own"}});
            user.create::<WebService>(manifest).await?;
            user.ready::<WebService>("svc", "False", reasons::KEYS_MISSING)
                .await?;
            others(user, None).await
        })
        .await?;
    stage.settled("missing").await?;
    stage
        .step("they are made, and are none", async {
            let keys = json!({"metadata": {"name": "own"}, "stringData": {"primary": "short"}});
            user.create::<Secret>(keys).await?;
            user.ready::<WebService>("svc", "False", reasons::KEYS_REFUSED)
                .await
        })
        .await?;
    stage.settled("refused").await?;
    let first = stage
        .step("they are good", async {
            store(pair("a", "b")).await?;
            user.ready::<WebService>("svc", "True", "").await?;
            others(user, Some(&made)).await
        })
        .await?;
    stage.settled("accepted").await?;
    let second = stage
        .step("one is changed", async {
            store(pair("c", "b")).await?;
            let second = others(user, Some(&first)).await?;
            anyhow::ensure!(second.secondary == first.secondary, "the other changed");
            Ok(second)
        })
        .await?;
    stage.settled("changed").await?;
    stage
        .step("their Secret goes", async {
            user.delete::<Secret>("own").await?;
            user.ready::<WebService>("svc", "False", reasons::KEYS_MISSING)
                .await?;
            let kept = digests(user).await.map_err(anyhow::Error::msg)?;
            anyhow::ensure!(kept == second, "the keys from before do not go on");
            Ok(())
        })
        .await?;
    stage.settled("kept").await?;
    stage
        .step("keys are to be made", async {
            let none = json!({"spec": {"auth": {"keysSecretRef": null}}});
            user.patch::<WebService>("svc", none).await?;
            user.ready::<WebService>("svc", "True", "").await?;
            others(user, Some(&second)).await
        })
        .await?;
    stage.settled("made").await?;
    stage
        .step("it is deleted", async {
            user.delete::<WebService>("svc").await?;
            user.gone::<Deployment>("svc").await?;
            user.gone::<Secret>("svc-keys").await
        })
        .await?;
    stage.settled("end").await
}
