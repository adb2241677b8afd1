//! Answers.

use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, Response, StatusCode};
use serde::Serialize;

use crate::body::{Body, full};
use crate::refusal::{Reason, Refusal};

const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// An answer in JSON that nobody keeps: it may hold a key.
pub(crate) fn json(status: StatusCode, value: &impl Serialize) -> Response<Body> {
    match serde_json::to_vec(value) {
        Ok(bytes) => {
            let mut response = Response::new(full(bytes));
            *response.status_mut() = status;
            let headers = response.headers_mut();
            headers.insert(CONTENT_TYPE, JSON);
            headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
            response
        }
        // A `Status` is plain text and can always be written, so this ends.
        Err(error) => refuse(&Refusal::internal(format!(
            "the answer cannot be written: {error}"
        ))),
    }
}

/// A refusal.
pub(crate) fn refuse(refusal: &Refusal) -> Response<Body> {
    let status = StatusCode::from_u16(refusal.code()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = json(status, &refusal.status());
    if let Some(seconds) = refusal.retry_seconds() {
        response.headers_mut().insert(RETRY_AFTER, seconds.into());
    }
    response
}

/// 405, and which methods there are.
pub(crate) fn method_not_allowed(allowed: &str) -> Response<Body> {
    let mut response = refuse(&Refusal::new(
        Reason::MethodNotAllowed,
        "the server does not allow this method on the requested resource",
    ));
    if let Ok(allowed) = HeaderValue::from_str(allowed) {
        response.headers_mut().insert(ALLOW, allowed);
    }
    response
}

/// 404 for a path that leads nowhere.
pub(crate) fn nowhere() -> Refusal {
    Refusal::new(
        Reason::NotFound,
        "the server could not find the requested resource",
    )
}

/// Plain text.
pub(crate) fn text(status: StatusCode, text: &'static str) -> Response<Body> {
    let mut response = Response::new(full(text));
    *response.status_mut() = status;
    response.headers_mut().insert(
        CONTENT_TYPE,
        HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    response
}
