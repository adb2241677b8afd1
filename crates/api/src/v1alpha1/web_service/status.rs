//! What is known of a service.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{AuthMode, AutoscaleStatus, KeysStatus, TlsStatus, TokenKeyStatus};

/// What is known of a service.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WebServiceStatus {
    /// The generation of the spec that this status describes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// How the service is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<ServiceState>,
    /// Where scoring requests go.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    pub scoring_uri: Option<String>,
    /// Where its description is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    pub swagger_uri: Option<String>,
    /// The mode in force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth: Option<AuthMode>,
    /// How connections are encrypted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<TlsStatus>,
    /// The two keys, without their values.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keys: Option<KeysStatus>,
    /// The keys that sign tokens, without their private halves.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 12))]
    pub token_keys: Vec<TokenKeyStatus>,
    /// Replicas there are.
    #[serde(default)]
    pub replicas: i32,
    /// Replicas that answer.
    #[serde(default)]
    pub ready_replicas: i32,
    /// Replicas of the current version.
    #[serde(default)]
    pub updated_replicas: i32,
    /// How the replicas follow the load, where they do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub autoscale: Option<AutoscaleStatus>,
    /// Selects the service's pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    pub selector: Option<String>,
    /// `Ready`, `Available`, `TransportEncrypted`; `KeysAccepted` where the keys are your own, `RegionMatches` where a
    /// location is asked for, `Exposed` where it is to be reached from outside, `ScalingActive` where there is
    /// `autoscale`, `TelemetryExporting`, `TelemetryArchiving` and `DataCollecting` where that is asked for; and
    /// `Reconciling` or `Stalled` while true.
    #[serde(default)]
    #[schemars(schema_with = "crate::schema::conditions")]
    pub conditions: Vec<Condition>,
}

/// How a service is.
///
/// `Transitioning`: a rollout is under way. `Healthy`: all replicas answer. `Unhealthy`: some do not. `Failed`: the
/// version asked for cannot run; an older one may still answer. `Unschedulable`: a replica fits on no node.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
#[allow(missing_docs)]
pub enum ServiceState {
    Transitioning,
    Healthy,
    Unhealthy,
    Failed,
    Unschedulable,
}
