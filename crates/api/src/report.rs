//! What gateways tell the operator, and how they know that they are to.
//!
//! A report goes to the intake of every replica of the operator, by `POST` over TLS, with the token of the pod's
//! ServiceAccount as `Authorization: Bearer`. The token is for [`AUDIENCE`] alone.

use serde::{Deserialize, Serialize};

use crate::archive::Kind;

/// Whom the token is for with which a gateway says which pod it is in.
pub const AUDIENCE: &str = "atelier";

/// The path of a [`Load`].
pub const LOAD_PATH: &str = "/v1/load";

/// The longest body of a [`Load`], in bytes.
pub const LOAD_LONGEST: usize = 256;

/// The entry of the gateway's Secret that says what is to be reported: [`Wanted`]. Where there is none, nothing is.
pub const WANTED_KEY: &str = "report.json";

/// How often a gateway reports at most, in milliseconds.
pub const SHORTEST_MS: u64 = 100;

/// How often a gateway reports while it has requests, in milliseconds, if nothing changes.
pub const BUSY_MS: u64 = 5_000;

/// How often a gateway reports while it has none, in milliseconds: so that an idle one is told from a silent one.
pub const IDLE_MS: u64 = 7_000;

/// After how long without a report a gateway is silent, in milliseconds: two of an idle one's may be lost.
pub const SILENT_MS: u64 = 16_000;

/// What is to be reported. Others than those known here are ignored, so that an older gateway goes on.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Wanted {
    /// Whether a [`Load`] is.
    #[serde(default)]
    pub load: bool,
    /// Whether records are, for the archive ([`crate::archive`]): after so many seconds at the latest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub records_after_seconds: Option<u32>,
    /// Whether inputs and predictions are, and which.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<WantedData>,
}

/// Which inputs and predictions are wanted.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct WantedData {
    /// They are sent after so many seconds at the latest.
    pub after_seconds: u32,
    /// Of so many calls in a hundred.
    pub sample_percent: u32,
    /// The longest body, in bytes. Of one that is longer its length is told.
    pub max_bytes: u32,
}

impl Wanted {
    /// Reads the entry of a Secret. What is no such document asks for nothing.
    #[must_use]
    pub fn from_json(document: &[u8]) -> Self {
        serde_json::from_slice(document).unwrap_or_default()
    }

    /// Whether anything is to be reported.
    #[must_use]
    pub fn any(self) -> bool {
        self.load
            || Kind::ALL
                .iter()
                .any(|kind| self.after_seconds(*kind).is_some())
    }

    /// After how many seconds at the latest something is to be sent for keeping; `None` if it is not to be.
    #[must_use]
    pub fn after_seconds(self, kind: Kind) -> Option<u32> {
        match kind {
            Kind::Records => self.records_after_seconds,
            Kind::Data => self.data.map(|data| data.after_seconds),
        }
    }
}

/// How much one gateway had to do: means over the second before, in thousandths of a request.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Load {
    /// Requests that the model worked on.
    pub busy_milli: u32,
    /// Requests that waited for their turn.
    pub queued_milli: u32,
}

impl Load {
    /// Both together, in thousandths of a request.
    #[must_use]
    pub fn demand_milli(self) -> u64 {
        u64::from(self.busy_milli) + u64::from(self.queued_milli)
    }
}
