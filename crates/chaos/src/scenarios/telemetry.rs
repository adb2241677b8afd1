//! What a web service's gateways are told to export, to archive and to collect: on, where the collector's credential is
//! missing and the storage does not work; with the credential; otherwise; and off.

use atelier_api::conditions::{DATA_COLLECTING, TELEMETRY_ARCHIVING, TELEMETRY_EXPORTING, reasons};
use atelier_api::{WebService, Workspace};
use atelier_testkit::manifest::{service, workspace};
use atelier_testkit::namespace::condition;
use atelier_testkit::wait::check;
use futures::FutureExt as _;
use futures::future::LocalBoxFuture;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Secret;
use serde_json::{Value, json};

use crate::user::User;
use crate::{Scenario, Stage};

/// See above.
pub struct Telemetry;

impl Scenario for Telemetry {
    fn name(&self) -> &'static str {
        "telemetry"
    }

    fn play<'a>(&'a self, stage: &'a Stage<'a>) -> LocalBoxFuture<'a, anyhow::Result<()>> {
        play(stage).boxed_local()
    }
}

/// Waits until a condition has this reason, or is not there.
async fn says(user: &User, type_: &str, reason: Option<&str>) -> anyhow::Result<()> {
    let sentence = format!("says {reason:?} of {type_}");
    user.sees("svc", &sentence, |service: &WebService| {
        let found = condition(service, type_).map(|found| found.reason);
        check(found.as_deref() == reason, found)
    })
    .await
    .map(drop)
}

async fn play(stage: &Stage<'_>) -> anyhow::Result<()> {
    let user = &stage.user;
    let spec = |spec: Value| user.patch::<WebService>("svc", json!({ "spec": spec }));
    stage
        .step("a service is made whose storage lacks its credential", async {
            let mut team = workspace("team");
            team["spec"]["storage"] = json!({"type": "S3", "s3": {"endpoint": "https://127.0.0.1:1",
                "bucket": "bucket", "secretRef": {"name": "store"}}});
            user.create::<Workspace>(team).await?;
            user.create::<WebService>(service("svc")).await?;
            user.ready::<WebService>("svc", "True", "").await
        })
        .await?;
    stage.settled("made").await?;
    stage
        .step("it is to export, to archive and to collect", async {
            let collector = json!({"endpoint": "https://collector.invalid:4318", "headersSecretRef": {"name": "headers"}});
            spec(json!({"telemetry": {"enabled": true, "otlp": collector}, "collectData": {}})).await?;
            says(user, TELEMETRY_EXPORTING, Some(reasons::CREDENTIAL_MISSING)).await?;
            for type_ in [TELEMETRY_ARCHIVING, DATA_COLLECTING] {
                says(user, type_, Some(reasons::CREDENTIAL_MISSING)).await?;
            }
            Ok(())
        })
        .await?;
    stage.settled("asked").await?;
    stage
        .step("the collector's credential is made", async {
            let headers = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "headers"},
                "stringData": {"authorization": "Bearer one"}});
            user.create::<Secret>(headers).await?;
            says(user, TELEMETRY_EXPORTING, Some(reasons::EXPORTING)).await
        })
        .await?;
    stage.settled("exporting").await?;
    stage
        .step("it changes, and less is to be collected", async {
            let other = json!({"stringData": {"authorization": "Bearer two"}});
            user.patch::<Secret>("headers", other).await?;
            spec(json!({"telemetry": {"archive": {"maxDelaySeconds": 5}}, "collectData": {"samplePercent": 10}}))
                .await?;
            user.ready::<WebService>("svc", "True", "").await
        })
        .await?;
    stage.settled("otherwise").await?;
    stage
        .step("all of it is turned off", async {
            spec(json!({"telemetry": null, "collectData": null})).await?;
            for type_ in [TELEMETRY_EXPORTING, TELEMETRY_ARCHIVING, DATA_COLLECTING] {
                says(user, type_, None).await?;
            }
            Ok(())
        })
        .await?;
    stage.settled("off").await?;
    stage
        .step("it is deleted", async {
            user.delete::<WebService>("svc").await?;
            user.delete::<Secret>("headers").await?;
            user.gone::<Deployment>("svc").await
        })
        .await?;
    stage.settled("end").await
}
