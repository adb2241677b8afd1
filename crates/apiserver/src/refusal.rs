//! Why a request was not done, in the words of Kubernetes.

use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Status, StatusCause, StatusDetails};

use crate::action::ObjectRef;

/// What Kubernetes calls a reason: one word that programs understand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Reason {
    BadRequest,
    Unauthorized,
    Forbidden,
    NotFound,
    MethodNotAllowed,
    NotAcceptable,
    AlreadyExists,
    Conflict,
    Gone,
    RequestEntityTooLarge,
    UnsupportedMediaType,
    Invalid,
    TooManyRequests,
    InternalError,
    ServiceUnavailable,
    Timeout,
}

impl Reason {
    /// The HTTP status that goes with it.
    #[must_use]
    pub fn code(self) -> u16 {
        match self {
            Self::BadRequest => 400,
            Self::Unauthorized => 401,
            Self::Forbidden => 403,
            Self::NotFound => 404,
            Self::MethodNotAllowed => 405,
            Self::NotAcceptable => 406,
            Self::AlreadyExists | Self::Conflict => 409,
            Self::Gone => 410,
            Self::RequestEntityTooLarge => 413,
            Self::UnsupportedMediaType => 415,
            Self::Invalid => 422,
            Self::TooManyRequests => 429,
            Self::InternalError => 500,
            Self::ServiceUnavailable => 503,
            Self::Timeout => 504,
        }
    }
}

/// Why a request was not done. Becomes a `Status`, which kubectl prints well.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    reason: Reason,
    message: String,
    details: Option<Box<StatusDetails>>,
    retry_after: Option<Duration>,
}

impl Refusal {
    /// A refusal. The message is a sentence for whoever asked, and holds nothing they may not see.
    pub fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self {
            reason,
            message: message.into(),
            details: None,
            retry_after: None,
        }
    }

    /// 400: what was sent makes no sense.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(Reason::BadRequest, message)
    }

    /// 404: there is no such object.
    #[must_use]
    pub fn not_found(object: &ObjectRef, resource: &str, group: &str) -> Self {
        let name = &object.name;
        Self::new(
            Reason::NotFound,
            format!("{resource}.{group} \"{name}\" not found"),
        )
        .about(object, resource, group)
    }

    /// 409: the object is in no state for this, or somebody wrote first.
    pub fn conflict(message: impl Into<String>) -> Self {
        Self::new(Reason::Conflict, message)
    }

    /// 500: a defect, or an answer that nobody expected.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(Reason::InternalError, message)
    }

    /// 503: somebody else did not answer; it may go well in a moment.
    pub fn unavailable(message: impl Into<String>, retry_after: Duration) -> Self {
        Self::new(Reason::ServiceUnavailable, message).retry_after(retry_after)
    }

    /// What follows from an error of the API server when an action asks it. `what` says what was being done. The
    /// operator's own lack of rights is a defect of ours and not the caller's.
    pub fn from_api(what: &str, error: &kube::Error) -> Self {
        match error {
            kube::Error::Api(status) => match status.code {
                404 => Self::new(Reason::NotFound, format!("{what}: not found")),
                409 => Self::conflict(format!("{what}: {}", status.message)),
                429 | 500..=599 => Self::unavailable(
                    format!("{what}: the API server is not well ({})", status.code),
                    Duration::from_secs(1),
                ),
                code => Self::internal(format!("{what}: the API server refused it ({code})")),
            },
            _ => Self::unavailable(
                format!("{what}: the API server did not answer"),
                Duration::from_secs(1),
            ),
        }
    }

    /// Says which object it is about.
    #[must_use]
    pub fn about(mut self, object: &ObjectRef, resource: &str, group: &str) -> Self {
        let details = self.details.get_or_insert_default();
        details.name = Some(object.name.clone());
        details.group = Some(group.to_owned());
        details.kind = Some(resource.to_owned());
        self
    }

    /// Names a field and what is wrong with it.
    #[must_use]
    pub fn cause(
        mut self,
        field: impl Into<String>,
        reason: &str,
        message: impl Into<String>,
    ) -> Self {
        let causes = &mut self.details.get_or_insert_default().causes;
        causes.get_or_insert_default().push(StatusCause {
            field: Some(field.into()),
            reason: Some(reason.to_owned()),
            message: Some(message.into()),
        });
        self
    }

    /// When to try again.
    #[must_use]
    pub fn retry_after(mut self, after: Duration) -> Self {
        let seconds = i32::try_from(after.as_secs().max(1)).unwrap_or(i32::MAX);
        self.details.get_or_insert_default().retry_after_seconds = Some(seconds);
        self.retry_after = Some(after);
        self
    }

    /// The reason.
    #[must_use]
    pub fn reason(&self) -> Reason {
        self.reason
    }

    /// The HTTP status.
    #[must_use]
    pub fn code(&self) -> u16 {
        self.reason.code()
    }

    /// Seconds for the header `Retry-After`.
    pub(crate) fn retry_seconds(&self) -> Option<u64> {
        self.retry_after.map(|after| after.as_secs().max(1))
    }

    /// As Kubernetes writes it.
    #[must_use]
    pub fn status(&self) -> Status {
        Status {
            code: Some(i32::from(self.code())),
            details: self.details.as_deref().cloned(),
            message: Some(self.message.clone()),
            reason: Some(format!("{:?}", self.reason)),
            status: Some("Failure".into()),
            ..Status::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_refusal_is_a_status_as_kubectl_knows_it() {
        let object = ObjectRef {
            namespace: "vision".into(),
            name: "digits".into(),
        };
        let refusal = Refusal::not_found(&object, "webservices", "actions.atelier.dev");
        assert_eq!(
            serde_json::to_value(refusal.status()).unwrap(),
            json!({
                "apiVersion": "v1", "kind": "Status", "metadata": {}, "status": "Failure", "reason": "NotFound",
                "code": 404, "message": "webservices.actions.atelier.dev \"digits\" not found",
                "details": {"name": "digits", "group": "actions.atelier.dev", "kind": "webservices"},
            })
        );
    }

    #[test]
    fn what_others_refuse_us_is_not_the_callers_fault() {
        let api = |code| {
            let status = kube::core::Status {
                code,
                ..kube::core::Status::failure("no", "Reason")
            };
            Refusal::from_api("reading the keys", &kube::Error::Api(status.boxed())).code()
        };
        assert_eq!(
            [403, 404, 409, 422, 429, 503].map(api),
            [500, 404, 409, 500, 503, 503]
        );
    }
}
