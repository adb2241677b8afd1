//! Which path leads where.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures::FutureExt as _;
use http::{Method, Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use kube::Client;
use rustls::pki_types::CertificateDer;
use tracing::error;

use super::Phases;
use crate::action::Actions;
use crate::admission::Admission;
use crate::body::Body;
use crate::discovery::Discovery;
use crate::front_proxy::FrontProxy;
use crate::openapi::OpenApi;
use crate::refusal::Refusal;
use crate::reply;

/// Everything that answers requests.
pub(super) struct App {
    pub(super) actions: Actions,
    pub(super) front_proxy: FrontProxy,
    pub(super) client: Client,
    /// Time for a request that is not long-running.
    pub(super) limit: Duration,
    pub(super) phases: Phases,
    admission: Admission,
    discovery: Discovery,
    openapi: OpenApi,
    /// `/apis/{group}` and `/apis/{group}/{version}`.
    group: String,
    version: String,
}

impl App {
    pub(super) fn new(
        actions: Actions,
        admission: Admission,
        front_proxy: FrontProxy,
        client: Client,
        limit: Duration,
        phases: Phases,
    ) -> Self {
        let group = format!("/apis/{}", Actions::GROUP);
        Self {
            discovery: Discovery::new(&actions),
            openapi: OpenApi::new(&actions),
            version: format!("{group}/{}", Actions::VERSION),
            group,
            actions,
            front_proxy,
            client,
            limit,
            phases,
            admission,
        }
    }

    /// Answers a request. Whatever goes wrong, there is an answer.
    pub(super) async fn answer(
        &self,
        chain: &[CertificateDer<'static>],
        request: Request<Incoming>,
    ) -> Response<Body> {
        let request = request.map(|body| body.map_err(Into::into).boxed_unsync());
        let answer = AssertUnwindSafe(self.route(chain, request)).catch_unwind();
        answer.await.unwrap_or_else(|_| {
            error!("an answer ended in a panic");
            reply::refuse(&Refusal::internal("a defect of the server"))
        })
    }

    async fn route(
        &self,
        chain: &[CertificateDer<'static>],
        request: Request<Body>,
    ) -> Response<Body> {
        let path = request.uri().path().to_owned();
        if let Some(action) = path
            .strip_prefix(&self.version)
            .filter(|rest| rest.len() > 1)
        {
            return self.act(chain, action, request).await;
        }
        if let Some(webhook) = path.strip_prefix("/admit/") {
            return self.admit(webhook, request).await;
        }
        if self.is_document(&path) && !matches!(*request.method(), Method::GET | Method::HEAD) {
            return reply::method_not_allowed("GET");
        }
        self.document(&path, &request)
            .unwrap_or_else(|| reply::refuse(&reply::nowhere()))
    }

    /// What anybody may see: it says nothing about anything in the cluster. The API server asks before it knows who.
    fn document(&self, path: &str, request: &Request<Body>) -> Option<Response<Body>> {
        let headers = request.headers();
        Some(match path.trim_end_matches('/') {
            "/healthz" | "/livez" => reply::text(StatusCode::OK, "ok"),
            "/readyz" => self.ready(),
            "/apis" => self.discovery.groups(headers),
            path if path == self.group => self.discovery.group(),
            path if path == self.version => self.discovery.resources(),
            "/openapi/v2" => self.openapi.swagger(headers),
            "/openapi/v3" => self.openapi.index(headers),
            path if path.strip_prefix("/openapi/v3") == Some(&self.version) => {
                self.openapi.group(headers, request.uri().query())
            }
            _ => return None,
        })
    }

    fn is_document(&self, path: &str) -> bool {
        self.document(path, &Request::new(crate::body::empty()))
            .is_some()
    }

    fn ready(&self) -> Response<Body> {
        if self.phases.leaving.is_cancelled() {
            reply::text(StatusCode::SERVICE_UNAVAILABLE, "going")
        } else if !self.front_proxy.is_known() {
            reply::text(
                StatusCode::SERVICE_UNAVAILABLE,
                "kube-system/extension-apiserver-authentication has not been read",
            )
        } else {
            reply::text(StatusCode::OK, "ok")
        }
    }

    async fn admit(&self, webhook: &str, request: Request<Body>) -> Response<Body> {
        if request.method() != Method::POST && self.admission.has(webhook) {
            return reply::method_not_allowed("POST");
        }
        let _running = self.phases.requests.token();
        let answer = self.admission.answer(webhook, request).await;
        answer.unwrap_or_else(|refusal| reply::refuse(&refusal))
    }
}
