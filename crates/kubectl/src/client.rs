//! Requests to the cluster. Every request goes through here, so that all have the same limit and the same errors.

use std::time::Duration;

use http::header::{ACCEPT, CONTENT_TYPE};
use http::{Method, Request};
use kube::Client;
use kube::client::Body;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::time::Instant;

use atelier_api::actions;

use crate::answer::Answer;
use crate::args::GlobalArgs;
use crate::config;
use crate::failure::{Failure, causes};
use crate::names::Name;

/// Plural of web services.
pub const SERVICES: &str = "webservices";
/// Plural of runs.
pub const RUNS: &str = "runs";
/// Plural of workspaces.
pub const WORKSPACES: &str = "workspaces";

/// A cluster, a namespace in it, and the limit of a request.
pub struct Cluster {
    client: Client,
    namespace: String,
    timeout: Option<Duration>,
}

impl Cluster {
    /// The cluster that the command line and the environment name. Nothing is asked of it yet.
    pub async fn open(global: &GlobalArgs) -> Result<Self, Failure> {
        let config = config::load(global).await?;
        let namespace = match &global.namespace {
            Some(name) => name.to_string(),
            None => config.default_namespace.clone(),
        };
        let client = Client::try_from(config).map_err(|error| unreachable(&error))?;
        Ok(Self {
            client,
            namespace,
            timeout: Some(global.request_timeout).filter(|limit| !limit.is_zero()),
        })
    }

    /// The namespace.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Asks an action that shows something.
    pub async fn show(&self, resource: &str, name: &Name, action: &str) -> Result<Value, Failure> {
        let request = request(Method::GET, &self.action(resource, name, action))?;
        self.value(request.body(Vec::new())?).await
    }

    /// Asks an action that changes or discloses something.
    pub async fn act(
        &self,
        resource: &str,
        name: &Name,
        action: &str,
        body: Option<&impl Serialize>,
    ) -> Result<Value, Failure> {
        let request = request(Method::POST, &self.action(resource, name, action))?;
        let request = match body {
            None => request.body(Vec::new())?,
            Some(body) => {
                let body = serde_json::to_vec(body).map_err(Failure::unprintable)?;
                request
                    .header(CONTENT_TYPE, "application/json")
                    .body(body)?
            }
        };
        self.value(request).await
    }

    /// Reads objects of our own kinds: one, or all of the namespace.
    pub async fn read(&self, resource: &str, name: Option<&Name>) -> Result<Value, Failure> {
        let path = path(atelier_api::GROUP, &self.namespace, resource);
        let path = match name {
            Some(name) => format!("{path}/{name}"),
            None => path,
        };
        self.value(request(Method::GET, &path)?.body(Vec::new())?)
            .await
    }

    /// The path of an action.
    pub fn action(&self, resource: &str, name: &Name, action: &str) -> String {
        let path = path(actions::GROUP, &self.namespace, resource);
        format!("{path}/{name}/{action}")
    }

    /// Sends a request. An answer comes back whatever its status.
    pub async fn send(&self, request: Request<Vec<u8>>) -> Result<Answer, Failure> {
        let group = group(request.uri().path()).to_owned();
        let limit = self.timeout.map(|limit| (limit, Instant::now() + limit));
        let sent = self.client.send(request.map(Body::from));
        let response = match limit {
            None => sent.await,
            Some((limit, end)) => tokio::time::timeout_at(end, sent)
                .await
                .map_err(|_| Failure::TimedOut(limit))?,
        };
        let response = response.map_err(|error| unreachable(&error))?;
        Ok(Answer::new(response, group, limit))
    }

    async fn value(&self, request: Request<Vec<u8>>) -> Result<Value, Failure> {
        let answer = self.send(request).await?.accepted().await?;
        let bytes = answer.whole().await?;
        serde_json::from_slice(&bytes).map_err(Failure::unprintable)
    }
}

/// A request for JSON.
fn request(method: Method, path: &str) -> Result<http::request::Builder, Failure> {
    Ok(Request::builder()
        .method(method)
        .uri(path)
        .header(ACCEPT, "application/json"))
}

/// What an answer holds, of which the caller prints no more than it knows.
pub fn typed<T: DeserializeOwned>(value: &Value) -> Result<T, Failure> {
    T::deserialize(value).map_err(Failure::unprintable)
}

/// Where the objects of a kind are. Every group of ours has the same one version.
fn path(group: &str, namespace: &str, resource: &str) -> String {
    format!(
        "/apis/{group}/{}/namespaces/{namespace}/{resource}",
        actions::VERSION
    )
}

/// The API group that a path names.
fn group(path: &str) -> &str {
    path.split('/').nth(2).unwrap_or_default()
}

fn unreachable(error: &kube::Error) -> Failure {
    match error {
        kube::Error::Service(inner) => Failure::Unreachable(causes(inner.as_ref())),
        kube::Error::HyperError(inner) => Failure::Unreachable(causes(inner)),
        kube::Error::ProxyProtocolDisabled { .. }
        | kube::Error::ProxyProtocolUnsupported { .. } => Failure::Config(
            "proxies are not supported; unset HTTPS_PROXY or the cluster's proxy-url".into(),
        ),
        other => Failure::Unreachable(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_group_is_read_from_the_path() {
        let path = path(actions::GROUP, "vision", RUNS);
        assert_eq!(
            path,
            "/apis/actions.atelier.dev/v1alpha1/namespaces/vision/runs"
        );
        assert_eq!(group(&path), "actions.atelier.dev");
        assert_eq!(group("/"), "");
    }
}
