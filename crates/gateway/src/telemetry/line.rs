//! A record as it stands on stdout, read again by whoever makes something else of it: off the path of requests.

use std::borrow::Cow;

use jiff::Timestamp;
use serde::Deserialize;

/// What is exported of a record. What is the same in all of this process's is not read again.
#[derive(Debug, Deserialize)]
pub struct Line<'a> {
    /// When the request's header was complete.
    pub time: Timestamp,
    /// The path.
    #[serde(borrow)]
    pub name: Cow<'a, str>,
    /// The method.
    #[serde(borrow, rename = "HTTPMethod")]
    pub method: Cow<'a, str>,
    /// The `User-Agent`.
    #[serde(borrow, rename = "UserAgent")]
    pub user_agent: Cow<'a, str>,
    /// The status.
    #[serde(rename = "StatusCode")]
    pub status: u16,
    /// The request id.
    #[serde(borrow, rename = "RequestId")]
    pub request_id: Cow<'a, str>,
    /// The client's own id.
    #[serde(borrow, default, rename = "ClientRequestId")]
    pub client_request_id: Option<Cow<'a, str>>,
    /// Milliseconds.
    #[serde(rename = "Duration")]
    pub duration_ms: f64,
    /// The mode in force.
    #[serde(borrow, default, rename = "authMode")]
    pub auth_mode: Option<Cow<'a, str>>,
    /// The caller.
    #[serde(borrow, default)]
    pub subject: Option<Cow<'a, str>>,
    /// Bytes of the request's body.
    #[serde(rename = "bytesIn")]
    pub bytes_in: u64,
    /// Bytes of the answer's body.
    #[serde(rename = "bytesOut")]
    pub bytes_out: u64,
    /// Milliseconds.
    #[serde(default, rename = "modelMs")]
    pub model_ms: Option<f64>,
    /// Milliseconds.
    #[serde(default, rename = "queueMs")]
    pub queue_ms: Option<f64>,
    /// How it ended.
    #[serde(borrow)]
    pub outcome: Cow<'a, str>,
}

impl Line<'_> {
    /// When the header was complete, and when the answer ended, in nanoseconds since 1970.
    #[must_use]
    pub fn span(&self) -> (u64, u64) {
        let begun = u64::try_from(self.time.as_nanosecond()).unwrap_or_default();
        // The record's resolution is the microsecond, and a duration is never negative.
        let lasted = (self.duration_ms * 1e3).round() as u64 * 1000;
        (begun, begun.saturating_add(lasted))
    }

    /// Whether the path is one that the service has, and not anything that a client thought of.
    #[must_use]
    pub fn has_route(&self) -> bool {
        let before_the_path = ["NotFound", "BadRequest", "HeaderTooLarge", "NotReady"];
        !self.name.is_empty() && !before_the_path.contains(&&*self.outcome)
    }
}
