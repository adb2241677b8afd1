//! Answers that the proxy gives by itself.

use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{Response, StatusCode};
use hyper::body::Bytes;
use serde_json::{Value, json};

/// A failure, as Kubernetes tells it.
pub(super) fn status(code: u16, reason: &str, message: &str) -> Value {
    json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": message, "reason": reason, "code": code,
    })
}

/// The reason that Kubernetes gives with a status.
pub(super) fn reason(code: u16) -> &'static str {
    match code {
        400 => "BadRequest",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "NotFound",
        409 => "Conflict",
        410 => "Expired",
        422 => "Invalid",
        429 => "TooManyRequests",
        500 => "InternalError",
        503 => "ServiceUnavailable",
        504 => "Timeout",
        _ => "Unknown",
    }
}

/// An answer with a `Status`.
pub(super) fn failure(code: u16, retry_after: Option<u32>, given: Option<&str>) -> Response<Bytes> {
    let reason = given.unwrap_or(reason(code));
    let body = status(code, reason, "the proxy says so").to_string();
    let mut answer = json_answer(body.into());
    *answer.status_mut() = StatusCode::from_u16(code).expect("a rule answers with an HTTP status");
    if let Some(seconds) = retry_after {
        answer.headers_mut().insert(RETRY_AFTER, seconds.into());
    }
    answer
}

/// An answer with JSON.
pub(super) fn json_answer(body: Bytes) -> Response<Bytes> {
    let mut answer = Response::new(body);
    let json = http::HeaderValue::from_static("application/json");
    answer.headers_mut().insert(CONTENT_TYPE, json);
    answer
}

#[cfg(test)]
mod tests {
    use super::failure;

    #[test]
    fn a_failure_is_a_status() {
        let answer = failure(429, Some(3), None);
        assert_eq!(answer.headers()["retry-after"], "3");
        let body: serde_json::Value = serde_json::from_slice(answer.body()).unwrap();
        assert_eq!(
            (&body["code"], &body["reason"]),
            (&429.into(), &"TooManyRequests".into())
        );
        let body: serde_json::Value =
            serde_json::from_slice(failure(409, None, Some("AlreadyExists")).body()).unwrap();
        assert_eq!(body["reason"], "AlreadyExists");
    }
}
