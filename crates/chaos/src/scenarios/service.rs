//! The life of a web service: made, another image, a new key, more replicas, deleted.

use atelier_api::{WebService, Workspace};
use atelier_testkit::manifest::{service, workspace};
use atelier_testkit::wait::check;
use futures::FutureExt as _;
use futures::future::LocalBoxFuture;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Secret;
use serde_json::json;

use crate::{Scenario, Stage};

/// See above.
pub struct Service;

impl Scenario for Service {
    fn name(&self) -> &'static str {
        "service"
    }

    fn play<'a>(&'a self, stage: &'a Stage<'a>) -> LocalBoxFuture<'a, anyhow::Result<()>> {
        play(stage).boxed_local()
    }
}

async fn play(stage: &Stage<'_>) -> anyhow::Result<()> {
    let user = &stage.user;
    let change = |spec: serde_json::Value| user.patch::<WebService>("svc", json!({"spec": spec}));
    stage
        .step("a service is made", async {
            user.create::<Workspace>(workspace("team")).await?;
            user.create::<WebService>(service("svc")).await?;
            user.ready::<WebService>("svc", "True", "").await
        })
        .await?;
    stage.settled("made").await?;
    stage
        .step("it gets another image", async {
            change(json!({"image": "atelier.dev/sklearn:another"})).await?;
            user.ready::<WebService>("svc", "True", "").await
        })
        .await?;
    stage.settled("another image").await?;
    stage
        .step("one key is made anew", async {
            change(json!({"auth": {"keyGeneration": {"primary": 2}}})).await?;
            user.sees("svc", "has a second primary key", |service: &WebService| {
                let keys = service.status.as_ref().and_then(|s| s.keys.as_ref());
                let generation = keys.map(|keys| keys.primary.generation);
                check(generation == Some(2), generation)
            })
            .await
        })
        .await?;
    stage
        .step("it gets a second replica", async {
            change(json!({"replicas": 2})).await?;
            user.ready::<WebService>("svc", "True", "").await
        })
        .await?;
    stage.settled("changed").await?;
    stage
        .step("it is deleted", async {
            user.delete::<WebService>("svc").await?;
            user.gone::<Deployment>("svc").await?;
            user.gone::<Secret>("svc-keys").await
        })
        .await?;
    stage.settled("end").await
}
