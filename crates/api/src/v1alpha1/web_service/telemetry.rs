//! Where a service's records go, beside stdout.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::v1alpha1::SecretRef;

/// Where a service's records go. That they are on stdout, and metrics are there to be scraped, is always so.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Telemetry {
    /// Whether records go where the rest says. Turning it on or off restarts nothing.
    #[serde(default)]
    pub enabled: bool,
    /// A collector that takes them as logs and spans.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub otlp: Option<Otlp>,
    /// The archive in the workspace's storage. There is one unless this says otherwise, where the workspace has a
    /// storage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub archive: Option<Archive>,
}

/// The archive of a service's records in its workspace's storage: encrypted objects, by day, of one line of JSON for
/// each request.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Archive {
    /// Whether there is one.
    #[serde(default = "yes")]
    pub enabled: bool,
    /// After how many seconds a record is written at the latest. Fewer seconds make more and smaller objects; a replica
    /// that is killed loses what it has not written, and says so on stdout alone.
    #[serde(default = "a_minute")]
    #[schemars(range(min = 5, max = 3600))]
    pub max_delay_seconds: i32,
    /// For how many days records are kept, beside today's. Then they are deleted.
    #[serde(default = "three_months")]
    #[schemars(range(min = 1, max = 3650))]
    pub keep_days: i32,
}

fn yes() -> bool {
    true
}

fn a_minute() -> i32 {
    60
}

fn three_months() -> i32 {
    90
}

impl Default for Archive {
    fn default() -> Self {
        Self {
            enabled: yes(),
            max_delay_seconds: a_minute(),
            keep_days: three_months(),
        }
    }
}

/// A collector that speaks OTLP over HTTP with protobuf.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!has(self.caBundle) || self.endpoint.startsWith('https://')")
        .message("telemetry.otlp.caBundle says who signs the collector's certificate: it goes with an endpoint of https://")
)]
pub struct Otlp {
    /// Where it is, as `https://collector.example.com:4318`. `/v1/logs` and `/v1/traces` are added to it. Outside the
    /// pod: on its loopback is the model.
    #[schemars(
        length(min = 8, max = 512),
        regex(
            pattern = r"^https?://(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9_]([A-Za-z0-9._-]*[A-Za-z0-9.])?)(:[0-9]{1,5})?(/[A-Za-z0-9/._~-]*)?$"
        )
    )]
    #[x_kube(validation = Rule::new(r"!self.matches('^https?://(([^/:]*[.])?localhost[.]?|127[.][0-9.]*|0|0[.][0-9.]*|\\[::1?\\]|\\[::[fF]{4}:127[.][0-9.]*\\])(:[0-9]+)?(/.*)?$')").message("telemetry.otlp.endpoint is on the pod's own loopback, where the model is; name a collector outside the pod"))]
    pub endpoint: String,
    /// How what is sent is compressed. `Gzip` sends fewer bytes for more CPU.
    #[serde(default)]
    pub compression: OtlpCompression,
    /// Who signs the collector's certificate, where that is not one of the public authorities: PEM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 65_536))]
    pub ca_bundle: Option<String>,
    /// The Secret with the headers of each request to the collector, credentials among them: each entry is one, as
    /// `authorization`. A change in it is taken over without a restart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub headers_secret_ref: Option<SecretRef>,
}

/// How what is sent to a collector is compressed.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema)]
#[allow(missing_docs)]
pub enum OtlpCompression {
    #[default]
    None,
    Gzip,
}
