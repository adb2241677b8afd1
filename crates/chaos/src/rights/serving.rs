//! Makes the operator do what serving the actions takes.

use atelier_testkit::cluster::SYSTEM;
use atelier_testkit::wait::check;
use k8s_openapi::api::admissionregistration::v1::MutatingWebhookConfiguration;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::kube_aggregator::pkg::apis::apiregistration::v1::APIService;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube::{Api, Client};
use serde_json::json;

use crate::Caller;
use crate::user::until;

const CERTIFICATE: &str = "atelier-serving";
const WEBHOOK: &str = "atelier-operator";
const GROUP: &str = "v1alpha1.actions.atelier.dev";
/// `x` in base64.
const GARBAGE: &str = "eA==";

/// Spoils the certificate, which is made anew.
pub async fn damage(admin: &Client) -> anyhow::Result<()> {
    let secrets: Api<Secret> = Api::namespaced(admin.clone(), SYSTEM);
    let spoilt = Patch::Merge(json!({"data": {"tls.key": GARBAGE}}));
    let params = PatchParams::default();
    secrets.patch(CERTIFICATE, &params, &spoilt).await?;
    until("the certificate is made anew", async || {
        let secret = secrets.get(CERTIFICATE).await.map_err(|e| e.to_string())?;
        let key = secret.data.and_then(|mut data| data.remove("tls.key"));
        check(key.is_some_and(|key| key.0 != b"x"), "it is not")
    })
    .await
}

/// Tells the API server to trust nobody who answers for the webhook, which is put right: on a cluster where the operator
/// has run before there would be nothing to tell it.
pub async fn distrust(admin: &Client) -> anyhow::Result<()> {
    let webhooks: Api<MutatingWebhookConfiguration> = Api::all(admin.clone());
    let all = webhooks.get(WEBHOOK).await?.webhooks.unwrap_or_default();
    let spoilt = |name: String| json!({"name": name, "clientConfig": {"caBundle": null}});
    let spoilt: Vec<_> = all.into_iter().map(|one| spoilt(one.name)).collect();
    let spoilt = Patch::Strategic(json!({"webhooks": spoilt}));
    webhooks
        .patch(WEBHOOK, &PatchParams::default(), &spoilt)
        .await?;
    until("the webhook's caBundle is there", async || {
        let found = webhooks.get(WEBHOOK).await.map_err(|e| e.to_string())?;
        let webhook = found.webhooks.and_then(|all| all.into_iter().next());
        let told = webhook.and_then(|webhook| webhook.client_config.ca_bundle);
        check(told.is_some(), "it is not")
    })
    .await
}

/// Registers the API group for as long as it takes to be told whom to trust: nobody answers for it, and meanwhile no
/// namespace could be deleted.
pub async fn register(admin: &Client) -> anyhow::Result<()> {
    let services: Api<APIService> = Api::all(admin.clone());
    let service: APIService = serde_json::from_value(
        json!({"metadata": {"name": GROUP}, "spec": {
        "group": "actions.atelier.dev", "version": "v1alpha1", "groupPriorityMinimum": 100, "versionPriority": 100,
        "service": {"name": "atelier-operator", "namespace": SYSTEM, "port": 443}}}),
    )?;
    services.create(&PostParams::default(), &service).await?;
    let told = until("the API group's caBundle is there", async || {
        let spec = services.get(GROUP).await.map_err(|e| e.to_string())?.spec;
        check(spec.and_then(|spec| spec.ca_bundle).is_some(), "it is not")
    });
    let told = told.await;
    services.delete(GROUP, &DeleteParams::default()).await?;
    told
}

/// Asks for the log of a run as the API server would. The laboratory's machines have none; what counts is that the
/// operator may ask for it.
pub async fn read_log(caller: &Caller, namespace: &str) -> anyhow::Result<()> {
    let refusal = until("somebody answers for the log", async || {
        match caller.get(namespace, "runs/lives/log").await {
            Err(kube::Error::Api(status)) if matches!(status.code, 401 | 403) => {
                Ok(Some(status.message))
            }
            Ok(_) | Err(kube::Error::Api(_)) => Ok(None),
            // The certificate was made anew a moment ago.
            Err(error) => Err(error.to_string()),
        }
    })
    .await?;
    anyhow::ensure!(refusal.is_none(), "refused: {refusal:?}");
    Ok(())
}
