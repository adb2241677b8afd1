//! Version `v1alpha1`: one file per kind.

mod common;
mod compute_target;
mod file_share;
mod role_assignment;
mod run;
mod storage;
mod web_service;
mod workspace;

pub use common::{EnvVar, Resources, Toleration, TolerationOperator};
pub use compute_target::{
    AllocationState, ComputeTarget, ComputeTargetSpec, ComputeTargetStatus, Managed, NodeCounts,
    NodeError, Nodes, Priority,
};
pub use file_share::{
    AccessMode, BroughtClaim, EmbeddedFileShare, FileShare, FileShareStatus, FileShareType,
};
pub use role_assignment::{
    Principal, PrincipalKind, Role, RoleAssignment, RoleAssignmentSpec, RoleAssignmentStatus,
};
pub use run::{CancelRequest, Run, RunError, RunSpec, RunState, RunStatus};
pub use storage::{
    AzureBlobStorage, DeletionPolicy, EmbeddedStorage, Encryption, GcsStorage, S3Storage,
    SecretRef, Storage, StorageStatus, StorageType,
};
pub use web_service::{
    Archive, Auth, AuthMode, Autoscale, AutoscaleStatus, Class, CollectData, Expose, KeyGeneration,
    KeyStatus, KeysStatus, Limits, Otlp, OtlpCompression, ParentRef, Revoked, ServiceState,
    Telemetry, Tls, TlsMode, TlsStatus, TokenKeyStatus, Tokens, WebService, WebServiceSpec,
    WebServiceStatus,
};
pub use workspace::{
    Grant, GrantResource, GrantState, Identity, ProvisioningState, ResyncRequest, Resynced,
    Workspace, WorkspaceSpec, WorkspaceStatus,
};
