//! Workspace: what owns a namespace.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::file_share::{FileShare, FileShareStatus};
use super::storage::{DeletionPolicy, Encryption, Storage, StorageStatus};

/// A workspace owns its namespace: its identity, its people's roles, compute targets, runs and services.
///
/// The namespace is the boundary, so there is one Workspace in each; an administrator opens a namespace with the
/// label `atelier.dev/resource-group`.
#[derive(CustomResource, Serialize, Deserialize, Clone, Debug, Default, PartialEq, KubeSchema)]
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
    printcolumn(name = "Storage", type_ = "string", json_path = ".status.conditions[?(@.type=='StorageReady')].reason", priority = 1),
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
    /// Raise it to give the managed identity back the grants that were revoked: what the action `resynckeys` does, for
    /// those who write down what they want. Lowering it does nothing.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub resync_keys: i64,
    /// Where the workspace keeps its objects.
    #[serde(default)]
    pub storage: Storage,
    /// The volume that people and code share files on.
    #[serde(default)]
    pub file_share: FileShare,
    /// By which key the workspace's keys are wrapped; the installation's own unless it says otherwise.
    #[serde(default)]
    pub encryption: Encryption,
    /// What becomes of what the workspace kept, when it is deleted. `Retain`: the volumes of an embedded storage and
    /// of an embedded file share stay, and so do the workspace's keys, and a new Workspace of the same name has all of it
    /// again. `Delete`: all of it goes; what a brought store holds can be read by nobody any more.
    #[serde(default)]
    pub deletion_policy: DeletionPolicy,
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
    /// Who last asked for a resync by the action `resynckeys`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resync_requested: Option<ResyncRequest>,
    /// The last resync.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resynced: Option<Resynced>,
    /// Where its objects are, and what encrypts them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage: Option<StorageStatus>,
    /// The volume that people and code share files on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file_share: Option<FileShareStatus>,
    /// Runs that have not ended.
    #[serde(default)]
    pub runs: i32,
    /// Web services.
    #[serde(default)]
    pub services: i32,
    /// `Ready`, `IdentityAccess`, `StorageReady`, `FileShareReady`, `VolumeEncrypted`, and `Reconciling` or `Stalled` while true.
    #[serde(default)]
    #[schemars(schema_with = "crate::schema::conditions")]
    pub conditions: Vec<Condition>,
}

impl Workspace {
    /// What is recorded of a grant of its managed identity; `None` before it was given for the first time.
    pub fn grant(&self, resource: GrantResource) -> Option<GrantState> {
        let identity = self.status.as_ref()?.identity.as_ref()?;
        let grant = identity.grants.iter().find(|g| g.resource == resource);
        grant.map(|grant| grant.state)
    }

    /// Whether somebody asked for a resync that has not been done: by the counter of the spec, or by the action.
    pub fn is_to_resync(&self) -> bool {
        let status = self.status.as_ref();
        let done = status.and_then(|s| s.resynced.as_ref());
        let asked = status.and_then(|s| s.resync_requested.as_ref());
        self.spec.resync_keys > done.map_or(0, |d| d.counter)
            || asked.map_or(0, |a| a.number) > done.map_or(0, |d| d.request)
    }
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
    /// What it may do where: each one an object that can be taken away and given back.
    #[serde(default)]
    #[schemars(length(max = 16))]
    pub grants: Vec<Grant>,
}

/// Something that the managed identity may do.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Grant {
    /// Where.
    pub resource: GrantResource,
    /// The name of what it may do there.
    #[schemars(length(max = 64))]
    pub role: String,
    /// Whether it has it.
    pub state: GrantState,
}

/// Where a grant is. `Workspace`: the workspace's own namespace, for the pods of runs. `Storage`: the objects of the
/// workspace's storage, and its keys.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, Hash, JsonSchema)]
#[allow(missing_docs)]
pub enum GrantResource {
    Workspace,
    Storage,
}

impl GrantResource {
    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Workspace => "Workspace",
            Self::Storage => "Storage",
        }
    }
}

/// Whether the identity has a grant. `Revoked`: somebody took it away; only a resync gives it back.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
#[allow(missing_docs)]
pub enum GrantState {
    Granted,
    Revoked,
}

/// Who asked for a resync, and when.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ResyncRequest {
    /// Counts the requests, from 1.
    #[schemars(range(min = 0))]
    pub number: i64,
    /// The user's name.
    #[schemars(length(max = 1024))]
    pub by: String,
    /// When the request came.
    pub at: Time,
}

/// A resync that was done.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Resynced {
    /// `spec.resyncKeys` at that time.
    #[schemars(range(min = 0))]
    pub counter: i64,
    /// The number of the last request that it fulfilled; 0 if none was made.
    #[schemars(range(min = 0))]
    pub request: i64,
    /// When.
    pub at: Time,
}
