//! A web service that is reached from outside the cluster: its route is made, damaged, taken by a Gateway, led elsewhere,
//! and goes.

use atelier_api::conditions::{EXPOSED, reasons};
use atelier_api::{WebService, Workspace};
use atelier_testkit::manifest::{service, workspace};
use atelier_testkit::namespace::condition;
use atelier_testkit::wait::check;
use futures::FutureExt as _;
use futures::future::LocalBoxFuture;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{ApiResource, DynamicObject, GroupVersionKind, Patch, PatchParams};
use kube::{Api, ResourceExt as _};
use serde_json::{Value, json};

use crate::user::User;
use crate::{Scenario, Stage};

/// See above.
pub struct Expose;

impl Scenario for Expose {
    fn name(&self) -> &'static str {
        "expose"
    }

    fn play<'a>(&'a self, stage: &'a Stage<'a>) -> LocalBoxFuture<'a, anyhow::Result<()>> {
        play(stage).boxed_local()
    }
}

/// The kinds that are made, and their names.
const MADE: [(&str, &str); 3] = [
    ("HTTPRoute", "svc"),
    ("BackendTLSPolicy", "svc"),
    ("ConfigMap", "svc-gateway-ca"),
];

/// A kind of the Gateway API, or ConfigMap.
pub(crate) fn resource(kind: &str) -> ApiResource {
    match kind {
        "ConfigMap" => ApiResource::erase::<ConfigMap>(&()),
        kind => ApiResource::from_gvk(&GroupVersionKind::gvk(
            "gateway.networking.k8s.io",
            "v1",
            kind,
        )),
    }
}

fn api(user: &User, kind: &str) -> Api<DynamicObject> {
    Api::namespaced_with(user.client.clone(), &user.namespace, &resource(kind))
}

async fn told(user: &User, status: &str, reason: &str) -> anyhow::Result<()> {
    let sentence = format!("Exposed={status} {reason}");
    user.sees("svc", &sentence, |service: &WebService| {
        let told = condition(service, EXPOSED).ok_or("no such condition")?;
        check(told.status == status && told.reason == reason, &told)
    })
    .await
    .map(drop)
}

/// Waits until those, and no others, are there, with their labels.
async fn there_are(user: &User, wanted: &[&str]) -> anyhow::Result<()> {
    user.until(&format!("there are {wanted:?}"), async || {
        for (kind, name) in MADE {
            let found = api(user, kind).get_opt(name).await;
            let found = found.map_err(|error| error.to_string())?;
            let labelled = found.map(|object| !object.labels().is_empty());
            let expected = wanted.contains(&kind).then_some(true);
            check(labelled == expected, (kind, labelled))?;
        }
        Ok(())
    })
    .await
}

/// A Gateway says of the route as it stands that it takes it.
async fn take(user: &User) -> anyhow::Result<()> {
    user.until("the route's status is written", async || {
        let routes = api(user, "HTTPRoute");
        let route = routes.get("svc").await.map_err(|error| error.to_string())?;
        let says = |type_: &str| {
            json!({"type": type_, "status": "True", "reason": type_, "message": "", "observedGeneration": route.metadata.generation,
                   "lastTransitionTime": "2026-01-01T00:00:00Z"})
        };
        let parent = json!({"parentRef": route.data["spec"]["parentRefs"][0], "controllerName": "example.com/edge",
            "conditions": [says("Accepted"), says("ResolvedRefs")]});
        let status = Patch::Merge(json!({"status": {"parents": [parent]}}));
        let written = routes.patch_status("svc", &PatchParams::default(), &status).await;
        written.map(drop).map_err(|error| error.to_string())
    })
    .await
}

async fn play(stage: &Stage<'_>) -> anyhow::Result<()> {
    let user = &stage.user;
    let change = |spec: Value| user.patch::<WebService>("svc", json!({ "spec": spec }));
    let all = MADE.map(|(kind, _)| kind);
    stage
        .step("a service is to be reached from outside", async {
            user.create::<Workspace>(workspace("team")).await?;
            let mut manifest = service("svc");
            manifest["spec"]["expose"] = json!({"parentRefs": [{"name": "edge", "namespace": "infra"}],
                "hostnames": ["model.example.com"]});
            user.create::<WebService>(manifest).await?;
            user.ready::<WebService>("svc", "True", "").await?;
            told(user, "Unknown", reasons::ROUTE_PENDING).await?;
            there_are(user, &all).await
        })
        .await?;
    stage.settled("made").await?;
    stage
        .step("somebody takes all labels away", async {
            for (kind, name) in MADE {
                let none = Patch::Merge(json!({"metadata": {"labels": null}}));
                let api = api(user, kind);
                api.patch(name, &PatchParams::default(), &none).await?;
            }
            there_are(user, &all).await
        })
        .await?;
    stage.settled("put right").await?;
    stage
        .step("a Gateway takes it", async {
            take(user).await?;
            told(user, "True", reasons::ROUTE_ACCEPTED).await
        })
        .await?;
    stage.settled("taken").await?;
    stage
        .step("it is not encrypted any more", async {
            change(json!({"tls": {"mode": "Disabled"}})).await?;
            there_are(user, &["HTTPRoute"]).await?;
            // It is another route, of which the Gateway has said nothing.
            told(user, "Unknown", reasons::ROUTE_PENDING).await?;
            user.ready::<WebService>("svc", "True", "").await
        })
        .await?;
    stage.settled("plain").await?;
    stage
        .step("it is not to be reached any more", async {
            change(json!({"expose": null})).await?;
            there_are(user, &[]).await
        })
        .await?;
    stage.settled("inside").await?;
    stage
        .step("it is deleted", async {
            user.delete::<WebService>("svc").await?;
            user.gone::<Deployment>("svc").await
        })
        .await?;
    stage.settled("end").await
}
