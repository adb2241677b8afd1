//! What a replica takes on.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a replica takes on.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Limits {
    /// Requests that the model server of one replica works on at a time.
    #[serde(default = "concurrency")]
    #[schemars(range(min = 1, max = 10_000))]
    pub concurrent_requests_per_replica: i32,
    /// Milliseconds a request waits for its turn before it is refused with 503.
    #[serde(default = "queue_wait")]
    #[schemars(range(min = 0, max = 600_000))]
    pub queue_wait_ms: i32,
    /// Milliseconds a request may take before it is ended with 504.
    #[serde(default = "timeout")]
    #[schemars(range(min = 1, max = 3_600_000))]
    pub timeout_ms: i32,
    /// Bytes that a request's body may have; more is refused with 413.
    #[serde(default = "max_body")]
    #[schemars(range(min = 0, max = 4_294_967_296_i64))]
    pub max_body_bytes: i64,
}

fn concurrency() -> i32 {
    1
}

fn queue_wait() -> i32 {
    500
}

fn timeout() -> i32 {
    60_000
}

fn max_body() -> i64 {
    10 * 1024 * 1024
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            concurrent_requests_per_replica: concurrency(),
            queue_wait_ms: queue_wait(),
            timeout_ms: timeout(),
            max_body_bytes: max_body(),
        }
    }
}
