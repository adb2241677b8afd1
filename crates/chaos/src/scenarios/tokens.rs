//! A web service that takes tokens: the key that signs them is made, damaged, forgotten on purpose, and kept while keys
//! are asked for. Somebody is revoked.

use atelier_api::WebService;
use atelier_api::gateway_policy::{GatewayPolicy, POLICY_KEY};
use atelier_testkit::manifest::{service, workspace};
use atelier_testkit::wait::check;
use futures::FutureExt as _;
use futures::future::LocalBoxFuture;
use k8s_openapi::api::core::v1::Secret;
use serde_json::{Value, json};

use crate::user::User;
use crate::{Scenario, Stage};

/// See above.
pub struct Tokens;

impl Scenario for Tokens {
    fn name(&self) -> &'static str {
        "tokens"
    }

    fn play<'a>(&'a self, stage: &'a Stage<'a>) -> LocalBoxFuture<'a, anyhow::Result<()>> {
        play(stage).boxed_local()
    }
}

/// What gateways go by.
pub(super) async fn policy(user: &User) -> Result<GatewayPolicy, String> {
    let secret = user.api::<Secret>().get("svc-gateway").await;
    let data = secret.map_err(|e| e.to_string())?.data.unwrap_or_default();
    let document = data.get(POLICY_KEY).ok_or("no policy")?;
    GatewayPolicy::from_json(&document.0).map_err(|e| e.to_string())
}

/// The names of the keys whose tokens are accepted.
async fn signers(user: &User) -> Result<Vec<String>, String> {
    match policy(user).await? {
        GatewayPolicy::Token { tokens, .. } => Ok(tokens.keys.into_iter().map(|k| k.id).collect()),
        other => Err(format!("{:?}", other.mode())),
    }
}

/// Waits until gateways accept tokens of another key alone, and the status tells of it.
async fn another_signs(user: &User, before: &[String]) -> anyhow::Result<Vec<String>> {
    let now = user
        .until("another key signs", async || {
            let now = signers(user).await?;
            check(now.len() == 1 && now != before, &now)?;
            Ok(now)
        })
        .await?;
    user.sees("svc", "tells of the key", |service: &WebService| {
        let status = service.status.as_ref();
        let told: Vec<_> = status
            .map(|status| status.token_keys.iter().map(|key| key.id.clone()).collect())
            .unwrap_or_default();
        check(told == now, told)
    })
    .await?;
    Ok(now)
}

async fn mode_is(user: &User, wanted: &str) -> anyhow::Result<()> {
    user.until(&format!("mode {wanted}"), async || {
        let mode = format!("{:?}", policy(user).await?.mode());
        check(mode == wanted, mode)
    })
    .await?;
    user.ready::<WebService>("svc", "True", "").await.map(drop)
}

async fn play(stage: &Stage<'_>) -> anyhow::Result<()> {
    let user = &stage.user;
    let auth = |auth: Value| user.patch::<WebService>("svc", json!({"spec": {"auth": auth}}));
    let first = stage
        .step("a service that takes tokens", async {
            user.create::<atelier_api::Workspace>(workspace("team"))
                .await?;
            let mut manifest = service("svc");
            manifest["spec"]["auth"] = json!({"mode": "Token"});
            user.create::<WebService>(manifest).await?;
            user.ready::<WebService>("svc", "True", "").await?;
            another_signs(user, &[]).await
        })
        .await?;
    stage.settled("made").await?;
    let second = stage
        .step("all tokens are forgotten, and somebody revoked", async {
            auth(json!({"tokens": {"generation": 2}, "revoked": {"subjects": ["eve"]}})).await?;
            another_signs(user, &first).await
        })
        .await?;
    stage.settled("forgotten").await?;
    stage
        .step("somebody takes the key away", async {
            user.delete::<Secret>("svc-tokens").await?;
            another_signs(user, &second).await
        })
        .await?;
    stage.settled("made anew").await?;
    stage
        .step("keys are asked for, and tokens again", async {
            let kept = signers(user).await.map_err(anyhow::Error::msg)?;
            auth(json!({"mode": "Key"})).await?;
            mode_is(user, "Key").await?;
            auth(json!({"mode": "Token"})).await?;
            mode_is(user, "Token").await?;
            let now = signers(user).await.map_err(anyhow::Error::msg)?;
            anyhow::ensure!(now == kept, "another key signs");
            Ok(())
        })
        .await?;
    stage.settled("turned").await?;
    stage
        .step("it is deleted", async {
            user.delete::<WebService>("svc").await?;
            user.gone::<Secret>("svc-tokens").await?;
            user.gone::<Secret>("svc-keys").await
        })
        .await?;
    stage.settled("end").await
}
