//! Calls the actions of one replica, in place of the API server: it has no way to a process of ours.

use std::net::SocketAddr;

use anyhow::Context as _;
use atelier_api::actions::{GROUP, VERSION};
use atelier_api::report::{LOAD_PATH, Load};
use kube::Client;
use kube::config::{KubeConfigOptions, Kubeconfig};
use serde_json::{Value, json};

use crate::{Lab, Operator};

/// Whom the API server would name.
const USER: &str = "lead@example.com";
/// May do everything.
const GROUPS: &str = "system:masters";

/// Shows the certificate by which the API server shows itself; and reports in place of gateways, for which there are no
/// machines.
#[derive(Clone)]
pub struct Caller {
    actions: Client,
    intake: Client,
}

impl Caller {
    /// Calls this replica, whenever it runs.
    pub async fn of(lab: &Lab, operator: &Operator) -> anyhow::Result<Self> {
        let address = operator.serving().context("it does not serve")?;
        let intake = operator.intake().context("it takes no reports")?;
        Ok(Self {
            actions: front_proxy(lab, address).await?,
            intake: nobody(intake).await?,
        })
    }

    /// Reports a load, as the pod whose token this is.
    pub async fn report(&self, token: &str, load: Load) -> anyhow::Result<()> {
        let request = http::Request::post(LOAD_PATH)
            .header("authorization", format!("Bearer {token}"))
            .header("content-type", "application/json")
            .body(serde_json::to_vec(&load)?)?;
        self.intake.request_text(request).await?;
        Ok(())
    }

    /// Posts an action on an object, `webservices/svc/regeneratekey` say, and gives back what was answered.
    pub async fn post(&self, namespace: &str, action: &str, body: &Value) -> kube::Result<Value> {
        let request = http::Request::post(path(namespace, action))
            .header("content-type", "application/json")
            .body(body.to_string().into_bytes());
        let answer = self.actions.request_text(identified(request)?).await?;
        serde_json::from_str(&answer).map_err(kube::Error::SerdeError)
    }

    /// Gets what an action shows, as text.
    pub async fn get(&self, namespace: &str, action: &str) -> kube::Result<String> {
        let request = http::Request::get(path(namespace, action)).body(vec![]);
        self.actions.request_text(identified(request)?).await
    }
}

fn path(namespace: &str, action: &str) -> String {
    format!("/apis/{GROUP}/{VERSION}/namespaces/{namespace}/{action}")
}

fn identified(
    request: http::Result<http::Request<Vec<u8>>>,
) -> kube::Result<http::Request<Vec<u8>>> {
    let mut request = request.map_err(kube::Error::HttpError)?;
    let headers = request.headers_mut();
    headers.insert("x-remote-user", http::HeaderValue::from_static(USER));
    headers.insert("x-remote-group", http::HeaderValue::from_static(GROUPS));
    Ok(request)
}

async fn front_proxy(lab: &Lab, address: SocketAddr) -> anyhow::Result<Client> {
    let folder = lab.cluster.kubeconfig.with_file_name("pki");
    let named = |end: &str| folder.join(format!("front-proxy-client.{end}"));
    let user = json!({"client-certificate": named("crt"), "client-key": named("key")});
    client(address, user).await
}

/// Whoever shows nothing beside what is in a request.
async fn nobody(address: SocketAddr) -> anyhow::Result<Client> {
    client(address, json!({})).await
}

async fn client(address: SocketAddr, user: Value) -> anyhow::Result<Client> {
    let config: Kubeconfig = serde_json::from_value(json!({
        "clusters": [{"name": "c", "cluster": {"server": format!("https://{address}"),
            "insecure-skip-tls-verify": true}}],
        "users": [{"name": "u", "user": user}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}], "current-context": "x"}))?;
    let options = KubeConfigOptions::default();
    let mut config = kube::Config::from_custom_kubeconfig(config, &options).await?;
    // Whoever calls decides whether to ask again: the library would go on for minutes.
    config.default_retry = false;
    Ok(Client::try_from(config)?)
}
