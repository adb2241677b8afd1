//! The admission webhook: `POST /admit/{name}`.

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use http::{Request, Response, StatusCode};
use kube::core::DynamicObject;
use kube::core::admission::{
    AdmissionRequest, AdmissionResponse, AdmissionReview, META_API_VERSION_V1, META_KIND,
};
use tracing::error;

use crate::body::{Body, read};
use crate::escape::query_value;
use crate::refusal::{Reason, Refusal};
use crate::reply;

/// The API server stores objects of a megabyte and a half, and sends the old and the new one.
const BODY_LIMIT: usize = 3 * 1024 * 1024;
/// What the API server gives a webhook unless told otherwise, and the most it can be told.
const PATIENCE: Duration = Duration::from_secs(10);
const MOST_PATIENCE: Duration = Duration::from_secs(30);

/// Why a webhook came to no decision.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
pub struct AdmissionError(pub String);

/// What becomes of a request when its webhook fails: by an error, a panic, or for lack of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnFailure {
    /// It is denied, with an explanation.
    Deny,
    /// The API server is told, with an explanation, and does what the webhook's `failurePolicy` says. For what must not
    /// get in the way of a deletion.
    FailurePolicy,
}

type Handler = Arc<
    dyn Fn(
            AdmissionRequest<DynamicObject>,
        ) -> BoxFuture<'static, Result<AdmissionResponse, AdmissionError>>
        + Send
        + Sync,
>;

/// All webhooks.
#[derive(Clone, Default)]
pub struct Admission(BTreeMap<&'static str, (OnFailure, Handler)>);

impl std::fmt::Debug for Admission {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl Admission {
    /// None yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a webhook, which answers at `/admit/{name}`.
    #[must_use]
    pub fn with<F, Fut>(mut self, name: &'static str, on_failure: OnFailure, decide: F) -> Self
    where
        F: Fn(AdmissionRequest<DynamicObject>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<AdmissionResponse, AdmissionError>> + Send + 'static,
    {
        let handler: Handler = Arc::new(move |request| Box::pin(decide(request)));
        self.0.insert(name, (on_failure, handler));
        self
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// Answers a review.
    pub(crate) async fn answer(
        &self,
        name: &str,
        request: Request<Body>,
    ) -> Result<Response<Body>, Refusal> {
        let (on_failure, handler) = self.0.get(name).ok_or_else(reply::nowhere)?;
        let patience = patience(request.uri().query());
        let body = tokio::time::timeout(patience, read(request.into_body(), BODY_LIMIT)).await;
        let body = body.map_err(|_| {
            Refusal::new(Reason::Timeout, "the request body did not arrive in time")
        })?;
        let request = parse(&body?)?;
        let allowed = AdmissionResponse::from(&request);
        let decision = AssertUnwindSafe(async { handler(request).await }).catch_unwind();
        let (code, failure) = match tokio::time::timeout(patience, decision).await {
            Ok(Ok(Ok(mut response))) => {
                // The uid is that of the request whatever the handler made of it.
                response.types = allowed.types;
                response.uid = allowed.uid;
                return Ok(reply::json(StatusCode::OK, &response.into_review()));
            }
            Ok(Ok(Err(error))) => (500, error.to_string()),
            Ok(Err(_)) => (500, "a defect of the webhook".into()),
            Err(_) => (504, format!("no decision within {patience:?}")),
        };
        error!(webhook = name, failure, "a webhook came to no decision");
        let message = format!("Atelier could not decide: {failure}");
        match on_failure {
            OnFailure::Deny => {
                let mut denied = allowed.deny(message);
                denied.result.code = code;
                Ok(reply::json(StatusCode::OK, &denied.into_review()))
            }
            OnFailure::FailurePolicy => Err(Refusal::internal(message)),
        }
    }
}

fn parse(bytes: &[u8]) -> Result<AdmissionRequest<DynamicObject>, Refusal> {
    let review: AdmissionReview<DynamicObject> = serde_json::from_slice(bytes)
        // Without the value: a review holds whole objects.
        .map_err(|e| {
            let (line, column) = (e.line(), e.column());
            Refusal::bad_request(format!(
                "this is no AdmissionReview: line {line}, column {column}"
            ))
        })?;
    if review.types.kind != META_KIND || review.types.api_version != META_API_VERSION_V1 {
        return Err(Refusal::bad_request(format!(
            "this is no {META_KIND} of {META_API_VERSION_V1}"
        )));
    }
    review
        .try_into()
        .map_err(|_| Refusal::bad_request("the AdmissionReview holds no request"))
}

/// How long the API server waits, less what the answer needs to get there: an explanation that comes too late is none.
fn patience(query: Option<&str>) -> Duration {
    let told = query
        .and_then(|query| query_value(query, "timeout"))
        .and_then(|text| seconds(&text));
    let told = told.unwrap_or(PATIENCE).min(MOST_PATIENCE);
    told - (told / 10).min(Duration::from_millis(500))
}

/// A duration as Go writes whole numbers of seconds or milliseconds; a webhook's timeout is never another.
fn seconds(text: &str) -> Option<Duration> {
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit())?);
    let number = number.parse().ok()?;
    match unit {
        "s" => Some(Duration::from_secs(number)),
        "ms" => Some(Duration::from_millis(number)),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
