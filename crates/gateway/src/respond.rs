//! Every refusal and the answer it becomes: the one table from what went wrong to what is said.
//!
//! Nothing from inside reaches the client: messages are constants.

use bytes::Bytes;
use http::{
    HeaderValue, Response, StatusCode,
    header::{ALLOW, CONNECTION, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE},
};
use serde::Serialize;

use crate::{authn::Denied, record::Outcome};

/// The value of `Connection` by which a connection ends with its answer.
pub const CLOSE: HeaderValue = HeaderValue::from_static("close");

/// Why a request gets an answer of the gateway's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The request is not one that HTTP allows, or that could be forwarded safely.
    Malformed,
    /// Another protocol was asked for.
    Upgrade,
    /// No acceptable credential.
    Denied(Denied),
    /// On the operator's listener: not by the operator, or in nobody's name.
    Unvouched(Denied),
    /// No such path.
    NotFound,
    /// No such method on this path.
    MethodNotAllowed {
        /// The methods there are, as the `Allow` header lists them.
        allow: &'static str,
    },
    /// The body is larger than allowed.
    BodyTooLarge,
    /// A request id is longer than allowed.
    IdTooLong,
    /// The header is larger than allowed.
    HeaderTooLarge,
    /// No turn came in time.
    QueueTimeout,
    /// No policy was ever loaded, or the model can be reached around the gateway.
    NotReady,
    /// The model does not accept connections.
    ModelUnreachable,
    /// The model broke off, did not speak HTTP, or said that its function failed.
    ModelFailed,
    /// The request took longer than allowed.
    TimedOut,
}

/// One line of the table.
struct Row {
    status: StatusCode,
    code: &'static str,
    message: &'static str,
    outcome: Outcome,
}

impl Refusal {
    fn row(self) -> Row {
        use StatusCode as S;
        let (status, code, message, outcome) = match self {
            Self::Malformed => (
                S::BAD_REQUEST,
                "BadRequest",
                "The request is malformed.",
                Outcome::BadRequest,
            ),
            Self::Upgrade => (
                S::BAD_REQUEST,
                "UpgradeRefused",
                "Upgrades are not supported.",
                Outcome::BadRequest,
            ),
            // One text for every reason: nothing tells which half failed.
            Self::Denied(_) => (
                S::UNAUTHORIZED,
                "Unauthorized",
                "A valid credential is required.",
                Outcome::Unauthorized,
            ),
            // Not 401: the caller has shown all there is to show, to the API server.
            Self::Unvouched(_) => (
                S::SERVICE_UNAVAILABLE,
                "Unvouched",
                "Nobody who is known here vouches for the caller. Try again.",
                Outcome::Unauthorized,
            ),
            Self::NotFound => (
                S::NOT_FOUND,
                "NotFound",
                "There is nothing at this path.",
                Outcome::NotFound,
            ),
            Self::MethodNotAllowed { .. } => (
                S::METHOD_NOT_ALLOWED,
                "MethodNotAllowed",
                "This path does not allow the method.",
                Outcome::MethodNotAllowed,
            ),
            Self::BodyTooLarge => (
                S::PAYLOAD_TOO_LARGE,
                "PayloadTooLarge",
                "The body is larger than allowed.",
                Outcome::BodyTooLarge,
            ),
            Self::IdTooLong => (
                S::REQUEST_HEADER_FIELDS_TOO_LARGE,
                "RequestHeaderFieldsTooLarge",
                "A request id may have at most 100 characters.",
                Outcome::HeaderTooLarge,
            ),
            Self::HeaderTooLarge => (
                S::REQUEST_HEADER_FIELDS_TOO_LARGE,
                "RequestHeaderFieldsTooLarge",
                "The header is larger than allowed.",
                Outcome::HeaderTooLarge,
            ),
            Self::QueueTimeout => (
                S::SERVICE_UNAVAILABLE,
                "Busy",
                "Too many requests are waiting. Try again.",
                Outcome::QueueTimeout,
            ),
            Self::NotReady => (
                S::SERVICE_UNAVAILABLE,
                "NotReady",
                "The service is not ready. Try again.",
                Outcome::NotReady,
            ),
            Self::ModelUnreachable => (
                S::BAD_GATEWAY,
                "ModelUnreachable",
                "The model does not answer.",
                Outcome::ModelUnreachable,
            ),
            Self::ModelFailed => (
                S::BAD_GATEWAY,
                "ModelFailed",
                "The model failed to answer the request.",
                Outcome::ModelFailed,
            ),
            Self::TimedOut => (
                S::GATEWAY_TIMEOUT,
                "Timeout",
                "The request took longer than allowed.",
                Outcome::TimedOut,
            ),
        };
        Row {
            status,
            code,
            message,
            outcome,
        }
    }

    /// The status the client sees.
    #[must_use]
    pub fn status(self) -> StatusCode {
        self.row().status
    }

    /// How record and metrics call it.
    #[must_use]
    pub fn outcome(self) -> Outcome {
        self.row().outcome
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ErrorBody<'a> {
    code: &'a str,
    message: &'a str,
    request_id: &'a str,
}

/// The answer to a refused request.
#[must_use]
pub fn refuse(refusal: Refusal, request_id: &str) -> Response<Bytes> {
    let Row {
        status,
        code,
        message,
        outcome: _,
    } = refusal.row();
    let body = serde_json::to_vec(&ErrorBody {
        code,
        message,
        request_id,
    })
    .unwrap_or_default();
    let mut response = json(status, Bytes::from(body));
    let headers = response.headers_mut();
    match refusal {
        Refusal::Denied(_) => {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        Refusal::MethodNotAllowed { allow } => {
            headers.insert(ALLOW, HeaderValue::from_static(allow));
            // CONNECT among them.
            headers.insert(CONNECTION, CLOSE);
        }
        // The client may mean what follows as something other than the next request.
        Refusal::Malformed | Refusal::Upgrade => {
            headers.insert(CONNECTION, CLOSE);
        }
        Refusal::Unvouched(_) => {
            headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
            headers.insert(CONNECTION, CLOSE);
        }
        Refusal::QueueTimeout | Refusal::NotReady => {
            headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        _ => {}
    }
    response
}

/// The answer to `GET /`.
#[must_use]
pub fn healthy() -> Response<Bytes> {
    let mut response = Response::new(Bytes::from_static(b"Healthy"));
    response.headers_mut().insert(
        CONTENT_TYPE,
        HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    response
}

/// The description of a model that brings none of its own.
#[must_use]
pub fn generic_openapi(service: &str, score_path: &str) -> Response<Bytes> {
    let any_json = serde_json::json!({"application/json": {"schema": {}}});
    let document = serde_json::json!({
        "openapi": "3.0.3",
        "info": {"title": service, "version": "1"},
        "security": [{"bearer": []}, {"apiKey": []}],
        "components": {"securitySchemes": {
            "bearer": {"type": "http", "scheme": "bearer"},
            "apiKey": {"type": "apiKey", "in": "header", "name": "x-api-key"},
        }},
        "paths": {score_path: {"post": {
            "operationId": "score",
            "requestBody": {"required": true, "content": any_json},
            "responses": {
                "200": {"description": "The model's answer.", "content": any_json},
                "default": {"description": "An error.", "content": any_json},
            },
        }}},
    });
    json(StatusCode::OK, Bytes::from(document.to_string()))
}

fn json(status: StatusCode, body: Bytes) -> Response<Bytes> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_refusal_has_its_status_and_headers() {
        let allow = "GET";
        for (refusal, status, header) in [
            (Refusal::Malformed, 400, None),
            (Refusal::Upgrade, 400, None),
            (
                Refusal::Denied(Denied::Missing),
                401,
                Some((WWW_AUTHENTICATE, "Bearer")),
            ),
            (
                Refusal::Unvouched(Denied::Wrong),
                503,
                Some((CONNECTION, "close")),
            ),
            (Refusal::NotFound, 404, None),
            (
                Refusal::MethodNotAllowed { allow },
                405,
                Some((ALLOW, "GET")),
            ),
            (Refusal::BodyTooLarge, 413, None),
            (Refusal::IdTooLong, 431, None),
            (Refusal::HeaderTooLarge, 431, None),
            (Refusal::ModelUnreachable, 502, None),
            (Refusal::ModelFailed, 502, None),
            (Refusal::QueueTimeout, 503, Some((RETRY_AFTER, "1"))),
            (Refusal::NotReady, 503, Some((RETRY_AFTER, "1"))),
            (Refusal::TimedOut, 504, None),
        ] {
            let response = refuse(refusal, "id-1");
            assert_eq!(response.status(), status, "{refusal:?}");
            if let Some((name, value)) = header {
                assert_eq!(response.headers()[name], value, "{refusal:?}");
            }
            let body: serde_json::Value = serde_json::from_slice(response.body()).expect("JSON");
            let mut members: Vec<_> = body
                .as_object()
                .expect("an object")
                .keys()
                .map(String::as_str)
                .collect();
            members.sort_unstable();
            assert_eq!(members, ["code", "message", "requestId"]);
            assert_eq!(body["requestId"], "id-1");
        }
    }

    #[test]
    fn every_denial_looks_the_same() {
        let answer = |denied| format!("{:?}", refuse(Refusal::Denied(denied), "id"));
        for denied in [Denied::Malformed, Denied::Ambiguous, Denied::Wrong] {
            assert_eq!(answer(denied), answer(Denied::Missing));
        }
    }
}
