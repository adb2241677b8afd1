//! Replicas that follow the load.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Replicas that follow the load. Utilisation is the number of requests that are worked on or wait for their turn, as a
/// share of what the replicas that answer may work on at a time (`limits.concurrentRequestsPerReplica` each). Above the
/// target there are more replicas within about a second; below it there are fewer once it was so for a minute.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("self.min <= self.max").message("autoscale.min is at most autoscale.max"))]
pub struct Autoscale {
    /// Fewest replicas.
    #[serde(default = "min")]
    #[schemars(range(min = 1, max = 1000))]
    pub min: i32,
    /// Most replicas.
    #[serde(default = "max")]
    #[schemars(range(min = 1, max = 1000))]
    pub max: i32,
    /// Utilisation, in percent, that is aimed at. What is left is room for requests that come while a new replica
    /// starts.
    #[serde(default = "target")]
    #[schemars(range(min = 1, max = 100))]
    pub target_utilization: i32,
    /// Seconds between two decisions at least.
    #[serde(default = "refresh")]
    #[schemars(range(min = 1, max = 3600))]
    pub refresh_seconds: i32,
}

fn min() -> i32 {
    1
}

fn max() -> i32 {
    10
}

fn target() -> i32 {
    70
}

fn refresh() -> i32 {
    1
}

impl Default for Autoscale {
    fn default() -> Self {
        Self {
            min: min(),
            max: max(),
            target_utilization: target(),
            refresh_seconds: refresh(),
        }
    }
}

/// How the replicas follow the load.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AutoscaleStatus {
    /// Replicas that there are to be.
    pub desired_replicas: i32,
    /// Utilisation, in percent, when this was last written: when the desired number changed, or the utilisation by much.
    /// Absent while no replica has told of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub utilization: Option<i32>,
}
