//! Which inputs and predictions of a service are kept.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Inputs and predictions of successful calls, kept in the workspace's storage: encrypted objects, by day, of one line of
/// JSON for each call, with its request id. They are what callers sent: whoever has the right on `webservices/data` reads
/// them.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CollectData {
    /// Of how many calls in a hundred. Which ones is decided by the request id: the same one is always taken, or never.
    #[serde(default = "all")]
    #[schemars(range(min = 1, max = 100))]
    pub sample_percent: i32,
    /// The longest input, and the longest prediction, in bytes. Of one that is longer only its length is kept. Only text
    /// is: of images, audio, video and whatever is compressed, the length.
    #[serde(default = "enough")]
    #[schemars(range(min = 1, max = 262_144))]
    pub max_bytes: i32,
    /// After how many seconds a call is written at the latest. Fewer seconds make more and smaller objects; a replica
    /// that is killed loses what it has not written.
    #[serde(default = "a_minute")]
    #[schemars(range(min = 5, max = 3600))]
    pub max_delay_seconds: i32,
    /// For how many days calls are kept, beside today's. Then they are deleted, for as long as this is here.
    #[serde(default = "three_months")]
    #[schemars(range(min = 1, max = 3650))]
    pub keep_days: i32,
}

fn all() -> i32 {
    100
}

fn enough() -> i32 {
    65_536
}

fn a_minute() -> i32 {
    60
}

fn three_months() -> i32 {
    90
}
