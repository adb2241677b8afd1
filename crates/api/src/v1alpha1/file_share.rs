//! The volume that the people and the code of a workspace share files on.

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The volume that the people and the code of a workspace share files on: what they see in it is a folder. Unlike objects
/// of the storage, files are encrypted by nobody but the volume's own driver.
///
/// What it is, is fixed once it is set: files are not moved.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.persistentVolumeClaim) == (self.type == 'PersistentVolumeClaim') && (!has(self.embedded) || self.type == 'Embedded')")
        .message("fileShare has the fields of its type and of no other: embedded for Embedded, persistentVolumeClaim for PersistentVolumeClaim"),
    validation = Rule::new("oldSelf.type == 'None' || oldSelf.type == self.type")
        .message("fileShare.type is fixed once it is set: files are not moved; make a new workspace"),
    validation = Rule::new("oldSelf.type != 'Embedded' || has(oldSelf.embedded) == has(self.embedded)")
        .message("the volume of a file share is fixed once it is set; to enlarge it, enlarge its PersistentVolumeClaim")
)]
pub struct FileShare {
    /// `Embedded`: a PersistentVolumeClaim `<workspace>-files` of the workspace's own. `PersistentVolumeClaim`: one that
    /// the team brings, as for a share on a server by NFS or SMB. `None`: none; may be changed to another type later.
    #[serde(rename = "type", default)]
    pub type_: FileShareType,
    /// The claim of the workspace's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub embedded: Option<EmbeddedFileShare>,
    /// A claim in the same namespace, which is neither changed nor deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub persistent_volume_claim: Option<BroughtClaim>,
}

/// Kinds of file share.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema)]
#[allow(missing_docs)]
pub enum FileShareType {
    #[default]
    Embedded,
    PersistentVolumeClaim,
    None,
}

/// The claim of the workspace's own.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("self.size == oldSelf.size && has(self.storageClassName) == has(oldSelf.storageClassName) && (!has(self.storageClassName) || self.storageClassName == oldSelf.storageClassName) && has(self.accessMode) == has(oldSelf.accessMode) && (!has(self.accessMode) || self.accessMode == oldSelf.accessMode)")
    .message("the volume of a file share is fixed once it is set; to enlarge it, enlarge its PersistentVolumeClaim"))]
pub struct EmbeddedFileShare {
    /// How much is asked for, in bytes: `20Gi`.
    #[serde(default = "ten_gib")]
    #[schemars(schema_with = "crate::schema::quantity")]
    pub size: Quantity,
    /// The StorageClass; the cluster's default without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub storage_class_name: Option<String>,
    /// `ReadWriteMany`: for pods on all nodes at the same time. `ReadWriteOnce`: for those on one node. Without it,
    /// `ReadWriteMany` where the StorageClass's driver is known to be able to, else `ReadWriteOnce`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access_mode: Option<AccessMode>,
}

impl Default for EmbeddedFileShare {
    fn default() -> Self {
        Self {
            size: ten_gib(),
            storage_class_name: None,
            access_mode: None,
        }
    }
}

fn ten_gib() -> Quantity {
    Quantity("10Gi".into())
}

/// Which pods may use a volume at the same time.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
#[allow(missing_docs)]
pub enum AccessMode {
    ReadWriteMany,
    ReadWriteOnce,
}

impl AccessMode {
    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ReadWriteMany => "ReadWriteMany",
            Self::ReadWriteOnce => "ReadWriteOnce",
        }
    }
}

/// A claim that the team brings.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("self.claimName == oldSelf.claimName").message("the claim of a file share is fixed once it is set: files are not moved"))]
pub struct BroughtClaim {
    /// Its name.
    #[schemars(
        length(min = 1, max = 253),
        regex(pattern = r"^[a-z0-9]([-.a-z0-9]*[a-z0-9])?$")
    )]
    pub claim_name: String,
}

/// The file share as it is.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FileShareStatus {
    /// The PersistentVolumeClaim that pods mount.
    #[schemars(length(max = 253))]
    pub claim_name: String,
    /// How its volume may be mounted: `ReadWriteMany` by pods on all nodes at the same time, `ReadWriteOnce` by those on
    /// one.
    #[serde(default)]
    #[schemars(length(max = 8), inner(length(max = 32)))]
    pub access_modes: Vec<String>,
    /// How large the volume is; nothing while there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub capacity: Option<String>,
}
