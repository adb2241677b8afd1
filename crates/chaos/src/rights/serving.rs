//! Makes the operator do what serving the actions takes.

use std::net::SocketAddr;

use anyhow::Context as _;
use atelier_testkit::cluster::SYSTEM;
use atelier_testkit::wait::check;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::kube_aggregator::pkg::apis::apiregistration::v1::APIService;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client};
use serde_json::json;

use crate::user::until;
use crate::{Lab, Operator};

const CERTIFICATE: &str = "atelier-serving";
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
pub async fn read_log(lab: &Lab, operator: &Operator, namespace: &str) -> anyhow::Result<()> {
    let address = operator.serving().context("it does not serve")?;
    let client = front_proxy(lab, address).await?;
    let path = format!("/apis/actions.atelier.dev/v1alpha1/namespaces/{namespace}/runs/lives/log");
    let refusal = until("somebody answers for the log", async || {
        let request = http::Request::get(&path)
            .header("X-Remote-User", "admin")
            .header("X-Remote-Group", "system:masters")
            .body(Vec::new())
            .map_err(|e| e.to_string())?;
        match client.request_text(request).await {
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

/// A client with the certificate by which the API server shows itself.
async fn front_proxy(lab: &Lab, address: SocketAddr) -> anyhow::Result<Client> {
    let folder = lab.cluster.kubeconfig.with_file_name("pki");
    let named = |end: &str| folder.join(format!("front-proxy-client.{end}"));
    let config: Kubeconfig = serde_json::from_value(json!({
        "clusters": [{"name": "c", "cluster": {"server": format!("https://{address}"),
            "insecure-skip-tls-verify": true}}],
        "users": [{"name": "u", "user": {"client-certificate": named("crt"), "client-key": named("key")}}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}], "current-context": "x"}))?;
    let options = KubeConfigOptions::default();
    let config = kube::Config::from_custom_kubeconfig(config, &options).await?;
    Ok(Client::try_from(config)?)
}
