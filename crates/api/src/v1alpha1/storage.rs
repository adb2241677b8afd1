//! Where a workspace keeps its objects, and by which key they are encrypted.

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where a workspace keeps its objects: snapshots, outputs, logs, archives. Every object is encrypted before it leaves
/// Atelier, wherever it goes.
///
/// The place is fixed once it is set: objects are not moved. Which Secret has the credential may change.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.s3) == (self.type == 'S3') && has(self.azureBlob) == (self.type == 'AzureBlob') && has(self.gcs) == (self.type == 'Gcs')")
        .message("storage has the fields of its type and of no other: s3 for S3, azureBlob for AzureBlob, gcs for Gcs"),
    validation = Rule::new("!has(self.embedded) || self.type == 'Embedded'")
        .message("storage.embedded is for the type Embedded"),
    validation = Rule::new("oldSelf.type == 'None' || oldSelf.type == self.type")
        .message("storage.type is fixed once it is set: objects are not moved; make a new workspace"),
    validation = Rule::new("oldSelf.type != 'Embedded' || has(oldSelf.embedded) == has(self.embedded)")
        .message("the volume of an embedded storage is fixed once it is set; to enlarge it, enlarge its PersistentVolumeClaim")
)]
pub struct Storage {
    /// `Embedded`: an S3 server of the workspace's own, with a volume. `S3`, `AzureBlob`, `Gcs`: a store that the team
    /// brings. `None`: nothing is kept; may be changed to another type later.
    #[serde(rename = "type", default)]
    pub type_: StorageType,
    /// The volume of the workspace's own server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub embedded: Option<EmbeddedStorage>,
    /// A bucket of Amazon S3 or of any server with the same API.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub s3: Option<S3Storage>,
    /// A container of Azure Blob Storage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub azure_blob: Option<AzureBlobStorage>,
    /// A bucket of Google Cloud Storage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gcs: Option<GcsStorage>,
}

impl Storage {
    /// The Secret with the credential of a store that the team brings.
    pub fn secret(&self) -> Option<&str> {
        let s3 = self.s3.as_ref().map(|s3| &s3.secret_ref);
        let azure = self.azure_blob.as_ref().map(|azure| &azure.secret_ref);
        let gcs = self.gcs.as_ref().map(|gcs| &gcs.secret_ref);
        s3.or(azure).or(gcs).map(|secret| secret.name.as_str())
    }
}

/// Kinds of storage.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema)]
#[allow(missing_docs)]
pub enum StorageType {
    #[default]
    Embedded,
    S3,
    AzureBlob,
    Gcs,
    None,
}

impl StorageType {
    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Embedded => "Embedded",
            Self::S3 => "S3",
            Self::AzureBlob => "AzureBlob",
            Self::Gcs => "Gcs",
            Self::None => "None",
        }
    }
}

/// The volume of the workspace's own server.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("self.size == oldSelf.size && has(self.storageClassName) == has(oldSelf.storageClassName) && (!has(self.storageClassName) || self.storageClassName == oldSelf.storageClassName)")
    .message("the volume of an embedded storage is fixed once it is set; to enlarge it, enlarge its PersistentVolumeClaim"))]
pub struct EmbeddedStorage {
    /// How much is asked for, in bytes: `20Gi`.
    #[serde(default = "ten_gib")]
    #[schemars(schema_with = "crate::schema::quantity")]
    pub size: Quantity,
    /// The StorageClass; the cluster's default without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub storage_class_name: Option<String>,
}

impl Default for EmbeddedStorage {
    fn default() -> Self {
        Self {
            size: ten_gib(),
            storage_class_name: None,
        }
    }
}

fn ten_gib() -> Quantity {
    Quantity("10Gi".into())
}

/// A bucket of Amazon S3 or of any server with the same API.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("self.bucket == oldSelf.bucket && self.region == oldSelf.region && has(self.endpoint) == has(oldSelf.endpoint) && (!has(self.endpoint) || self.endpoint == oldSelf.endpoint) && has(self.prefix) == has(oldSelf.prefix) && (!has(self.prefix) || self.prefix == oldSelf.prefix)").message("endpoint, region, bucket and prefix are fixed once they are set: objects are not moved; secretRef and caBundle may change"))]
pub struct S3Storage {
    /// URL of a server that is not Amazon's, for example `https://s3.example.com`: scheme, host and port. https only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512), regex(pattern = r"^https://"))]
    pub endpoint: Option<String>,
    /// The region that requests are signed for. Servers that are not Amazon's mostly accept this one.
    #[serde(default = "us_east_1")]
    #[schemars(length(min = 1, max = 64))]
    pub region: String,
    /// The bucket. Has to be there.
    #[schemars(length(min = 3, max = 63))]
    pub bucket: String,
    /// What the names of all objects begin with: a folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub prefix: Option<String>,
    /// Who signs the server's certificate, where that is not one of the public authorities: PEM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 65_536))]
    pub ca_bundle: Option<String>,
    /// The Secret with `accessKeyId` and `secretAccessKey`.
    pub secret_ref: SecretRef,
}

fn us_east_1() -> String {
    "us-east-1".into()
}

/// A container of Azure Blob Storage.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("self.account == oldSelf.account && self.container == oldSelf.container && has(self.endpoint) == has(oldSelf.endpoint) && (!has(self.endpoint) || self.endpoint == oldSelf.endpoint) && has(self.prefix) == has(oldSelf.prefix) && (!has(self.prefix) || self.prefix == oldSelf.prefix)").message("endpoint, account, container and prefix are fixed once they are set: objects are not moved; secretRef and caBundle may change"))]
pub struct AzureBlobStorage {
    /// URL, where it is not the account's in the public cloud: scheme, host and port, and the account's name as the path
    /// where the server knows it by that. https only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512), regex(pattern = r"^https://"))]
    pub endpoint: Option<String>,
    /// The storage account.
    #[schemars(length(min = 3, max = 24))]
    pub account: String,
    /// The container. Has to be there.
    #[schemars(length(min = 3, max = 63))]
    pub container: String,
    /// What the names of all blobs begin with: a folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub prefix: Option<String>,
    /// Who signs the server's certificate, where that is not one of the public authorities: PEM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 65_536))]
    pub ca_bundle: Option<String>,
    /// The Secret with `accountKey`.
    pub secret_ref: SecretRef,
}

/// A bucket of Google Cloud Storage.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("self.bucket == oldSelf.bucket && has(self.endpoint) == has(oldSelf.endpoint) && (!has(self.endpoint) || self.endpoint == oldSelf.endpoint) && has(self.prefix) == has(oldSelf.prefix) && (!has(self.prefix) || self.prefix == oldSelf.prefix)").message("endpoint, bucket and prefix are fixed once they are set: objects are not moved; secretRef and caBundle may change"))]
pub struct GcsStorage {
    /// URL, where it is not Google's public one, as for access by a private network: scheme, host and port. https only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512), regex(pattern = r"^https://"))]
    pub endpoint: Option<String>,
    /// The bucket. Has to be there.
    #[schemars(length(min = 3, max = 222))]
    pub bucket: String,
    /// What the names of all objects begin with: a folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub prefix: Option<String>,
    /// Who signs the server's certificate, where that is not one of the public authorities: PEM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 65_536))]
    pub ca_bundle: Option<String>,
    /// The Secret with `serviceAccount.json`: a service account's key file.
    pub secret_ref: SecretRef,
}

/// A Secret in the same namespace. Whoever names it has to be allowed to read it, or its name begins with
/// `atelier-credential-`: then it was stored by the action `storecredential`.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecretRef {
    /// Its name.
    #[schemars(
        length(min = 1, max = 253),
        regex(pattern = r"^[a-z0-9]([-.a-z0-9]*[a-z0-9])?$")
    )]
    pub name: String,
}

/// By which key the workspace's keys are wrapped.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Encryption {
    /// The Secret with `key`: 32 random bytes, or base64 of them. It takes the place of the installation's own key. With
    /// another key in it, and the one before as `previous`, or with another Secret, the workspace's keys are wrapped
    /// anew; without it, nothing can be read or written any more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_ref: Option<SecretRef>,
}

/// What becomes of what a workspace kept, when the workspace is deleted.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema)]
#[allow(missing_docs)]
pub enum DeletionPolicy {
    #[default]
    Retain,
    Delete,
}

/// Where the workspace's objects are.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StorageStatus {
    /// URL of the server.
    #[schemars(length(max = 1024))]
    pub endpoint: String,
    /// Bucket or container.
    #[schemars(length(max = 256))]
    pub bucket: String,
    /// What wraps the workspace's keys: the Secret that the spec named, or nothing for the installation's own key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_ref: Option<SecretRef>,
    /// Which key that is: the first 16 hexadecimal digits of a digest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16))]
    pub wrapped_by: Option<String>,
    /// The generation of the workspace's keys that new objects are encrypted with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub generation: Option<i64>,
}
