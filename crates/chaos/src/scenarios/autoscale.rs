//! A web service whose replicas follow its load: none, much, none again; turned off and on. The laboratory has no
//! gateways: it reports in their place, with tokens of their pods.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::time::Duration;

use atelier_api::conditions::{SCALING_ACTIVE, reasons};
use atelier_api::report::{AUDIENCE, Load};
use atelier_api::{WebService, Workspace};
use atelier_testkit::manifest::{service, workspace};
use atelier_testkit::namespace::condition;
use atelier_testkit::wait::check;
use futures::FutureExt as _;
use futures::future::LocalBoxFuture;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::authentication::v1::{BoundObjectReference, TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::{Pod, Secret, ServiceAccount};
use kube::ResourceExt as _;
use kube::api::{ListParams, PostParams};
use serde_json::json;

use crate::user::User;
use crate::{Scenario, Stage};

const PODS: &str = "app.kubernetes.io/component=webservice,app.kubernetes.io/instance=svc";
/// How often each pod reports.
const EVERY: Duration = Duration::from_millis(300);
/// Twice what a replica may work on at a time.
const MUCH: Load = Load {
    busy_milli: 8_000,
    queued_milli: 8_000,
};
const NONE: Load = Load {
    busy_milli: 0,
    queued_milli: 0,
};

/// See above.
pub struct Autoscale;

impl Scenario for Autoscale {
    fn name(&self) -> &'static str {
        "autoscale"
    }

    fn play<'a>(&'a self, stage: &'a Stage<'a>) -> LocalBoxFuture<'a, anyhow::Result<()>> {
        play(stage).boxed_local()
    }
}

/// Reports the load of each pod there is, for as long as it is let. What fails is done again: so do gateways.
async fn report(stage: &Stage<'_>, load: &Cell<Load>) {
    let mut tokens: BTreeMap<String, String> = BTreeMap::new();
    loop {
        let ours = ListParams::default().labels(PODS);
        let pods = stage.user.api::<Pod>().list(&ours).await;
        for pod in pods.map(|list| list.items).unwrap_or_default() {
            let uid = pod.uid().unwrap_or_default();
            if !tokens.contains_key(&uid)
                && let Some(token) = token(&stage.user, &pod).await
            {
                tokens.insert(uid.clone(), token);
            }
            if let Some(token) = tokens.get(&uid) {
                let _ = stage.caller.report(token, load.get()).await;
            }
        }
        tokio::time::sleep(EVERY).await;
    }
}

async fn token(user: &User, pod: &Pod) -> Option<String> {
    let request = TokenRequest {
        spec: TokenRequestSpec {
            audiences: vec![AUDIENCE.into()],
            bound_object_ref: Some(BoundObjectReference {
                kind: Some("Pod".into()),
                api_version: Some("v1".into()),
                name: pod.metadata.name.clone(),
                uid: pod.metadata.uid.clone(),
            }),
            expiration_seconds: Some(600),
        },
        ..TokenRequest::default()
    };
    let accounts = user.api::<ServiceAccount>();
    let params = PostParams::default();
    let answer = accounts.create_token_request("svc-gateway", &params, &request);
    Some(answer.await.ok()?.status?.token)
}

/// Waits until there are so many replicas, and so it is told.
async fn follows(user: &User, replicas: i32, reason: &str) -> anyhow::Result<()> {
    user.sees(
        "svc",
        &format!("follows with {replicas}"),
        |service: &WebService| {
            let told = condition(service, SCALING_ACTIVE).ok_or("no such condition")?;
            let status = service.status.clone().unwrap_or_default();
            let desired = status.autoscale.map(|scale| scale.desired_replicas);
            let holds = desired == Some(replicas)
                && told.reason == reason
                && status.ready_replicas == replicas
                && status.replicas == replicas;
            check(holds, (desired, told.reason, status.ready_replicas))
        },
    )
    .await
    .map(drop)
}

async fn play(stage: &Stage<'_>) -> anyhow::Result<()> {
    let load = Cell::new(NONE);
    tokio::select! {
        played = steps(stage, &load) => played,
        () = report(stage, &load) => Ok(()),
    }
}

async fn steps(stage: &Stage<'_>, load: &Cell<Load>) -> anyhow::Result<()> {
    let user = &stage.user;
    let scale = json!({"min": 1, "max": 3});
    stage
        .step("a service that follows its load", async {
            user.create::<Workspace>(workspace("team")).await?;
            let mut manifest = service("svc");
            manifest["spec"]["autoscale"] = scale.clone();
            user.create::<WebService>(manifest).await?;
            user.ready::<WebService>("svc", "True", "").await?;
            follows(user, 1, reasons::FOLLOWING_LOAD).await
        })
        .await?;
    stage.settled("idle").await?;
    stage
        .step("there is much to do", async {
            load.set(MUCH);
            follows(user, 3, reasons::AT_MAXIMUM).await
        })
        .await?;
    stage.settled("busy").await?;
    stage
        .step("it is turned off, with two", async {
            let off = json!({"spec": {"autoscale": null, "replicas": 2}});
            user.patch::<WebService>("svc", off).await?;
            user.ready::<WebService>("svc", "True", "").await
        })
        .await?;
    stage.settled("off").await?;
    stage
        .step("it is turned on again", async {
            let on = json!({"spec": {"autoscale": scale, "replicas": 1}});
            user.patch::<WebService>("svc", on).await?;
            follows(user, 3, reasons::AT_MAXIMUM).await
        })
        .await?;
    stage.settled("on").await?;
    stage
        .step("there is nothing to do", async {
            load.set(NONE);
            follows(user, 1, reasons::FOLLOWING_LOAD).await
        })
        .await?;
    stage.settled("idle again").await?;
    stage
        .step("it is deleted", async {
            user.delete::<WebService>("svc").await?;
            user.gone::<Deployment>("svc").await?;
            user.gone::<Secret>("svc-keys").await
        })
        .await?;
    stage.settled("end").await
}
