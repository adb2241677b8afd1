//! ComputeTarget: nodes that come with a queue of runs and go when it is empty.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Resources, Toleration};

/// A place where runs execute. Its nodes grow with the queue of runs and leave when they have been idle.
///
/// `kubectl scale` sets `spec.managed.nodes.min`, the number of nodes kept when nothing runs.
#[derive(CustomResource, Serialize, Deserialize, Clone, Debug, PartialEq, KubeSchema)]
#[kube(
    group = "atelier.dev",
    version = "v1alpha1",
    kind = "ComputeTarget",
    namespaced,
    status = "ComputeTargetStatus",
    shortname = "atct",
    category = "atelier",
    derive = "PartialEq",
    scale(spec_replicas_path = ".spec.managed.nodes.min", status_replicas_path = ".status.currentNodes"),
    printcolumn(name = "Type", type_ = "string", json_path = ".status.type"),
    printcolumn(name = "Nodes", type_ = "string", json_path = ".status.nodes"),
    printcolumn(name = "Queued", type_ = "integer", json_path = ".status.queued"),
    printcolumn(name = "State", type_ = "string", json_path = ".status.allocationState"),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type=='Ready')].status"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(name = "Min", type_ = "integer", json_path = ".spec.managed.nodes.min", priority = 1),
    printcolumn(name = "Idle-after", type_ = "integer", json_path = ".spec.managed.idleSecondsBeforeScaleDown", priority = 1),
    printcolumn(name = "Priority", type_ = "string", json_path = ".spec.managed.priority", priority = 1),
    validation = Rule::new("self.metadata.name.size() <= 40 && self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')")
        .message("a compute target's name has at most 40 characters, begins with a letter and holds only a-z, 0-9 and -")
)]
#[serde(rename_all = "camelCase")]
pub struct ComputeTargetSpec {
    /// Nodes that the service makes and removes by itself.
    pub managed: Managed,
}

/// Nodes that the service makes and removes by itself.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("self.priority == oldSelf.priority && self.resources == oldSelf.resources").message("priority and resources are fixed; make another compute target"))]
#[x_kube(validation = Rule::new("has(self.nodeSelector) == has(oldSelf.nodeSelector) && (!has(self.nodeSelector) || self.nodeSelector == oldSelf.nodeSelector)").message("nodeSelector is fixed; make another compute target"))]
#[x_kube(validation = Rule::new("has(self.tolerations) == has(oldSelf.tolerations) && (!has(self.tolerations) || self.tolerations == oldSelf.tolerations)").message("tolerations are fixed; make another compute target"))]
pub struct Managed {
    /// How many nodes there may be.
    pub nodes: Nodes,
    /// Seconds a node stays idle before it leaves.
    #[serde(default = "idle_seconds")]
    #[schemars(range(min = 0, max = 604_800))]
    pub idle_seconds_before_scale_down: i64,
    /// `Dedicated` nodes are kept; `LowPriority` nodes may be taken by more urgent work, and their run restarts.
    #[serde(default)]
    pub priority: Priority,
    /// Size of one node.
    pub resources: Resources,
    /// Labels that the machines must carry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "node_selector")]
    pub node_selector: Option<BTreeMap<String, String>>,
    /// Taints that are accepted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16))]
    pub tolerations: Option<Vec<Toleration>>,
}

fn idle_seconds() -> i64 {
    120
}

fn node_selector(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({
        "type": "object", "nullable": true, "maxProperties": 16,
        "additionalProperties": {"type": "string", "maxLength": 63}
    })
}

/// How many nodes there may be.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("self.min <= self.max").message("nodes.min must not be greater than nodes.max"))]
pub struct Nodes {
    /// Nodes kept even when nothing runs.
    #[serde(default)]
    #[schemars(range(min = 0, max = 1000))]
    pub min: i32,
    /// Nodes there may be at most. 0 pauses the queue.
    #[schemars(range(min = 0, max = 1000))]
    pub max: i32,
}

/// How much a node's place is worth to the scheduler.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema)]
#[allow(missing_docs)]
pub enum Priority {
    #[default]
    Dedicated,
    LowPriority,
}

/// What is known of a compute target.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ComputeTargetStatus {
    /// The generation of the spec that this status describes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// `Managed`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16))]
    pub r#type: Option<String>,
    /// Busy and idle nodes and the maximum, as `busy+idle/max`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub nodes: Option<String>,
    /// Whether the number of nodes is changing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allocation_state: Option<AllocationState>,
    /// Nodes there are.
    #[serde(default)]
    pub current_nodes: i32,
    /// Nodes there should be.
    #[serde(default)]
    pub target_nodes: i32,
    /// The nodes by what they are doing.
    #[serde(default)]
    pub node_counts: NodeCounts,
    /// Runs that wait for a node.
    #[serde(default)]
    pub queued: i32,
    /// Why nodes are unusable, one entry a node, 10 at most.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 10))]
    pub errors: Vec<NodeError>,
    /// `Ready`, and `Reconciling` or `Stalled` while true.
    #[serde(default)]
    #[schemars(schema_with = "crate::schema::conditions")]
    pub conditions: Vec<Condition>,
}

/// Whether the number of nodes is changing.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
#[allow(missing_docs)]
pub enum AllocationState {
    Steady,
    Resizing,
}

/// The nodes by what they are doing.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NodeCounts {
    /// Being made, or fetching an image.
    pub preparing: i32,
    /// Ready for a run.
    pub idle: i32,
    /// Executing a run.
    pub running: i32,
    /// Going away.
    pub leaving: i32,
    /// Cannot start; `errors` says why.
    pub unusable: i32,
}

/// Why a node is unusable.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NodeError {
    /// The node's slot.
    pub slot: i32,
    /// A stable reason.
    #[schemars(length(max = 64))]
    pub reason: String,
    /// What happened.
    #[schemars(length(max = 512))]
    pub message: String,
}
