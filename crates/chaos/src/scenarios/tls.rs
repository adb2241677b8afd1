//! The encryption of a web service: by the installation's own authority, by a certificate that its team brings, good and
//! bad, by another, and none.

use atelier_api::conditions::reasons;
use atelier_api::{WebService, Workspace};
use atelier_testkit::certificate::Authority;
use atelier_testkit::manifest::{service, workspace};
use futures::FutureExt as _;
use futures::future::LocalBoxFuture;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Secret;
use serde_json::{Value, json};

use crate::{Scenario, Stage};

const HOSTNAME: &str = "svc.example.com";

/// See above.
pub struct Tls;

impl Scenario for Tls {
    fn name(&self) -> &'static str {
        "tls"
    }

    fn play<'a>(&'a self, stage: &'a Stage<'a>) -> LocalBoxFuture<'a, anyhow::Result<()>> {
        play(stage).boxed_local()
    }
}

async fn play(stage: &Stage<'_>) -> anyhow::Result<()> {
    let (user, authority) = (&stage.user, Authority::new("team"));
    let tls = |tls: Value| user.patch::<WebService>("svc", json!({"spec": {"tls": tls}}));
    let good = authority.secret("svc-own", HOSTNAME);
    let other = authority.secret("svc-own", "other.example.com");
    stage
        .step("a service is made", async {
            user.create::<Workspace>(workspace("team")).await?;
            user.create::<WebService>(service("svc")).await?;
            user.ready::<WebService>("svc", "True", "").await
        })
        .await?;
    stage.settled("generated").await?;
    stage
        .step("it is to serve by a certificate that is not there", async {
            tls(json!({"mode": "Secret", "secretRef": {"name": "svc-own"}, "hostname": HOSTNAME}))
                .await?;
            user.ready::<WebService>("svc", "False", reasons::CERTIFICATE_MISSING)
                .await
        })
        .await?;
    stage.settled("missing").await?;
    stage
        .step("the certificate is made, for another name", async {
            user.create::<Secret>(serde_json::to_value(&other)?).await?;
            user.ready::<WebService>("svc", "False", reasons::CERTIFICATE_REFUSED)
                .await
        })
        .await?;
    stage.settled("refused").await?;
    stage
        .step("it is made anew, for the right one", async {
            let data = serde_json::to_value(&good.data)?;
            user.patch::<Secret>("svc-own", json!({ "data": data }))
                .await?;
            user.ready::<WebService>("svc", "True", "").await
        })
        .await?;
    stage.settled("brought").await?;
    stage
        .step("it is not encrypted any more", async {
            tls(json!({"mode": "Disabled", "secretRef": null, "hostname": null})).await?;
            user.ready::<WebService>("svc", "True", "").await
        })
        .await?;
    stage.settled("disabled").await?;
    stage
        .step("it is deleted", async {
            user.delete::<WebService>("svc").await?;
            user.delete::<Secret>("svc-own").await?;
            user.gone::<Deployment>("svc").await?;
            user.gone::<Secret>("svc-gateway-tls").await
        })
        .await?;
    stage.settled("end").await
}
