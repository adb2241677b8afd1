//! Workspace: what owns a namespace.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A workspace owns its namespace: its identity, its people's roles, compute targets, runs and services.
///
/// The namespace is the boundary, so there is one Workspace in each; an administrator opens a namespace with the
/// label `atelier.dev/resource-group`.
#[derive(CustomResource, Serialize, Deserialize, Clone, Debug, PartialEq, KubeSchema)]
#[kube(
    group = "atelier.dev",
    version = "v1alpha1",
    kind = "Workspace",
    namespaced,
    status = "WorkspaceStatus",
    shortname = "atws",
    category = "atelier",
    derive = "PartialEq",
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type=='Ready')].status"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.conditions[?(@.type=='Ready')].reason"),
    printcolumn(name = "Runs", type_ = "integer", json_path = ".status.runs"),
    printcolumn(name = "Services", type_ = "integer", json_path = ".status.services"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(name = "Location", type_ = "string", json_path = ".spec.location", priority = 1),
    printcolumn(name = "Identity", type_ = "string", json_path = ".status.identity.serviceAccount", priority = 1),
    validation = Rule::new("self.metadata.name.size() <= 40 && self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$') && self.metadata.name != 'default'")
        .message("a workspace's name has at most 40 characters, begins with a letter, holds only a-z, 0-9 and -, and is not \"default\": its ServiceAccount carries the same name")
)]
#[serde(rename_all = "camelCase")]
pub struct WorkspaceSpec {
    /// Where the workspace lives: one of the installation's `locations`.
    #[serde(default = "local")]
    #[schemars(
        length(min = 1, max = 40),
        regex(pattern = r"^[a-z]([-a-z0-9]*[a-z0-9])?$")
    )]
    #[x_kube(validation = Rule::new("self == oldSelf").message("location is fixed when the workspace is created; make a new workspace elsewhere"))]
    pub location: String,
}

fn local() -> String {
    "local".into()
}

/// What is known of a workspace.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WorkspaceStatus {
    /// The generation of the spec that this status describes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Identifies the workspace for ever: a UUID that no other workspace has or will have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 36))]
    pub workspace_id: Option<String>,
    /// Where the workspace is in its life.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provisioning_state: Option<ProvisioningState>,
    /// The workspace's managed identity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<Identity>,
    /// Runs that have not ended.
    #[serde(default)]
    pub runs: i32,
    /// Web services.
    #[serde(default)]
    pub services: i32,
    /// `Ready`, and `Reconciling` or `Stalled` while true.
    #[serde(default)]
    #[schemars(schema_with = "crate::schema::conditions")]
    pub conditions: Vec<Condition>,
}

/// Where a workspace is in its life.
///
/// `Creating`: its parts are being made. `Updating`: a part is being put right. `Succeeded`: all is there.
/// `Failed`: it cannot be made as it stands; the `Ready` condition says why.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
#[allow(missing_docs)]
pub enum ProvisioningState {
    Creating,
    Updating,
    Succeeded,
    Failed,
}

/// The workspace's managed identity.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Identity {
    /// Name of the ServiceAccount, the same as the workspace's.
    #[schemars(length(max = 253))]
    pub service_account: String,
    /// The name by which the API server knows it.
    #[schemars(length(max = 512))]
    pub principal: String,
}
