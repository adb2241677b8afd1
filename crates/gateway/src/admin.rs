//! What the cluster asks the gateway: health, metrics, and the model's health, which the kubelet
//! cannot ask for itself since the model listens on loopback.

use std::sync::Arc;

use atelier_pki::Reloading;
use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header::CONTENT_TYPE};
use hyper::body::Incoming;

use crate::{
    body::ReplyBody, lifecycle::Lifecycle, loopback::gate::Gate, metrics::Metrics, model::Model,
    policy::Store, server::Handler,
};

const TEXT: &str = "text/plain; charset=utf-8";
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Answers on the admin listener.
#[derive(Debug)]
pub struct Admin {
    /// Whether there is a policy.
    pub policy: Arc<Store>,
    /// Whether there is a certificate, where one is needed to be reached.
    pub certificate: Option<Arc<Reloading>>,
    /// Whether the gateway is the only way in.
    pub gate: Arc<Gate>,
    /// Whether the gateway is going away.
    pub lifecycle: Lifecycle,
    /// Whether the model is there.
    pub model: Model,
    /// What was counted.
    pub metrics: Arc<Metrics>,
}

impl Handler for Admin {
    async fn handle(&self, request: Request<Incoming>) -> Response<ReplyBody> {
        if request.method() != Method::GET {
            return text(StatusCode::METHOD_NOT_ALLOWED, "only GET\n");
        }
        match request.uri().path() {
            "/livez" => text(StatusCode::OK, "ok\n"),
            "/readyz" => verdict(self.not_ready().await),
            "/metrics" => reply(
                StatusCode::OK,
                OPEN_METRICS,
                Bytes::from(self.metrics.encode()),
            ),
            "/probe/model/live" | "/probe/model/ready" => verdict(self.model_silent().await),
            _ => text(StatusCode::NOT_FOUND, "not found\n"),
        }
    }

    fn failed(&self, error: &hyper::Error) {
        tracing::debug!(%error, "a connection to the admin listener failed");
    }
}

impl Admin {
    /// Why requests should not come here now.
    async fn not_ready(&self) -> Option<&'static str> {
        if self.lifecycle.is_draining() {
            return Some("draining\n");
        }
        if self.policy.current().is_none() {
            return Some("no policy was loaded yet\n");
        }
        if self.certificate.as_ref().is_some_and(|one| !one.is_ready()) {
            return Some("no certificate was loaded yet\n");
        }
        let silent = self.model_silent().await;
        if silent.is_some() {
            return silent;
        }
        // After the model has answered: before, it might not have listened yet.
        (!self.gate.look().await).then_some("the model may be reached around the gateway\n")
    }

    async fn model_silent(&self) -> Option<&'static str> {
        (!self.model.accepts_connections().await)
            .then_some("the model does not accept connections\n")
    }
}

fn verdict(objection: Option<&'static str>) -> Response<ReplyBody> {
    match objection {
        None => text(StatusCode::OK, "ok\n"),
        Some(objection) => text(StatusCode::SERVICE_UNAVAILABLE, objection),
    }
}

fn text(status: StatusCode, text: &'static str) -> Response<ReplyBody> {
    reply(status, TEXT, Bytes::from_static(text.as_bytes()))
}

fn reply(status: StatusCode, content_type: &'static str, body: Bytes) -> Response<ReplyBody> {
    let mut response = Response::new(ReplyBody::unrecorded(body));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}
