//! Condition types, and the reasons each kind gives. All are stable: scripts may match on them.

/// Always there; `Unknown` until the first decision.
pub const READY: &str = "Ready";
/// There while, and only while, work towards the spec is under way (kstatus).
pub const RECONCILING: &str = "Reconciling";
/// There while, and only while, nothing will change without somebody's help (kstatus).
pub const STALLED: &str = "Stalled";
/// There while, and only while, somebody changes a child again and again. It is put right less and less often.
pub const DRIFT_CONTESTED: &str = "DriftContested";
/// WebService: at least one replica answers, possibly of the previous version.
pub const AVAILABLE: &str = "Available";
/// WebService: requests come over TLS only.
pub const TRANSPORT_ENCRYPTED: &str = "TransportEncrypted";
/// WebService with keys of its team's own: the two keys in the Secret that it names open the service.
pub const KEYS_ACCEPTED: &str = "KeysAccepted";
/// WebService that is to be reached from outside the cluster: every Gateway that it names leads to it.
pub const EXPOSED: &str = "Exposed";
/// WebService that asks for a location: it is the one where the workspace is.
pub const REGION_MATCHES: &str = "RegionMatches";
/// WebService with `autoscale`: the replicas follow the load, up and down.
pub const SCALING_ACTIVE: &str = "ScalingActive";
/// WebService: its gateways are told where to export records. There while, and only while, the spec asks for it. What
/// becomes of the records stands in the gateways' metrics.
pub const TELEMETRY_EXPORTING: &str = "TelemetryExporting";
/// WebService: its gateways are told to archive records, and the workspace's storage takes them. There while, and only
/// while, records are to be archived. What becomes of them stands in the gateways' metrics.
pub const TELEMETRY_ARCHIVING: &str = "TelemetryArchiving";
/// WebService with `collectData`: its gateways are told to keep inputs and predictions, and the workspace's storage takes
/// them. What becomes of them stands in the gateways' metrics.
pub const DATA_COLLECTING: &str = "DataCollecting";
/// Workspace: the managed identity has all its grants.
pub const IDENTITY_ACCESS: &str = "IdentityAccess";
/// Workspace: objects can be written, read and deleted in its storage, as it was last tried.
pub const STORAGE_READY: &str = "StorageReady";
/// Workspace: the volume of its file share is there. `Unknown` while nobody has mounted one that is made by the first who
/// does.
pub const FILE_SHARE_READY: &str = "FileShareReady";
/// Workspace: what is on its volumes is encrypted at rest, as far as their StorageClass shows; `Unknown` where it does not.
/// There while the workspace has such a volume: that of its file share. Objects of its storage are encrypted in any case.
pub const VOLUME_ENCRYPTED: &str = "VolumeEncrypted";
/// Run: the outcome. `Unknown` until the run has ended.
pub const SUCCEEDED: &str = "Succeeded";

/// Why a condition has the status it has.
pub mod reasons {
    /// Everything the spec asks for is there.
    pub const READY: &str = "Ready";
    /// Work towards the spec is under way.
    pub const PROGRESSING: &str = "Progressing";
    /// The namespace lacks the label `atelier.dev/resource-group`.
    pub const NAMESPACE_NOT_ENABLED: &str = "NamespaceNotEnabled";
    /// An older Workspace has the namespace.
    pub const NAMESPACE_TAKEN: &str = "NamespaceTaken";
    /// `spec.location` is none of the installation's locations.
    pub const UNKNOWN_LOCATION: &str = "UnknownLocation";
    /// Workspace: the StorageClass of its volume encrypts.
    pub const CLASS_ENCRYPTS: &str = "ClassEncrypts";
    /// Workspace: the StorageClass of its volume says that it does not encrypt.
    pub const CLASS_DOES_NOT_ENCRYPT: &str = "ClassDoesNotEncrypt";
    /// Workspace: whether its volume is encrypted does not show in a StorageClass.
    pub const CLASS_DOES_NOT_TELL: &str = "ClassDoesNotTell";
    /// The namespace has no Workspace, or none that is ready.
    pub const WORKSPACE_MISSING: &str = "WorkspaceMissing";
    /// Somebody changes or deletes a child again and again; the message says which.
    pub const CONTESTED: &str = "Contested";
    /// An object that is not ours has the name of a child. It is left alone.
    pub const NAME_CONFLICT: &str = "NameConflict";
    /// The API server refused a child; the message says which and why.
    pub const CHILD_REFUSED: &str = "ChildRefused";
    /// Workspace: the managed identity has all its grants.
    pub const GRANTED: &str = "Granted";
    /// Workspace: somebody took a grant of the managed identity away; the message says which, and what brings it back.
    pub const GRANT_REVOKED: &str = "GrantRevoked";
    /// Workspace: a small encrypted object was written, read and deleted in its storage.
    pub const PROBED: &str = "Probed";
    /// Workspace: its spec asks for no storage. WebService: inputs and predictions are to be kept, and there is none.
    pub const NO_STORAGE: &str = "NoStorage";
    /// Workspace: its storage's server is being made, or has not been tried yet.
    pub const STORAGE_STARTING: &str = "StorageStarting";
    /// Workspace: its own server needs a certificate, and nobody here signs one: the chart's `actions.enabled` is off, or
    /// somebody else keeps the certificates. WebService: likewise for its gateways.
    pub const NO_AUTHORITY: &str = "NoAuthority";
    /// Workspace: the Secret that its storage names is not there, or lacks a value. WebService: the Secret with the
    /// headers for its collector is not there.
    pub const CREDENTIAL_MISSING: &str = "CredentialMissing";
    /// Workspace: the store does not know the credential, or does not let it do what it takes. WebService: the Secret with
    /// the headers for its collector has an entry that can be none.
    pub const CREDENTIAL_REFUSED: &str = "CredentialRefused";
    /// Workspace: the store does not answer, or shows a certificate that is not trusted.
    pub const STORAGE_UNREACHABLE: &str = "StorageUnreachable";
    /// Workspace: the key that wraps the workspace's keys cannot be had, or is another.
    pub const KEY_UNAVAILABLE: &str = "KeyUnavailable";
    /// Workspace: what its spec says of the storage cannot work: an endpoint, a bucket, a prefix.
    pub const STORAGE_MISCONFIGURED: &str = "StorageMisconfigured";
    /// Workspace: the claim of its file share has a volume.
    pub const BOUND: &str = "Bound";
    /// Workspace: the volume of its file share is made when a pod first mounts it.
    pub const WAITS_FOR_FIRST_USE: &str = "WaitsForFirstUse";
    /// Workspace: the volume of its file share is being made.
    pub const PROVISIONING: &str = "Provisioning";
    /// Workspace: there is no StorageClass of the name that its file share gives; or none at all is the default.
    pub const NO_STORAGE_CLASS: &str = "NoStorageClass";
    /// Workspace: the volume behind its file share is gone.
    pub const VOLUME_LOST: &str = "VolumeLost";
    /// Workspace: the claim that its file share names is not there.
    pub const CLAIM_MISSING: &str = "ClaimMissing";
    /// Workspace: the claim that its file share names is a bare device, and no folder.
    pub const CLAIM_UNSUITABLE: &str = "ClaimUnsuitable";
    /// Workspace, ComputeTarget: the managed identity lacks the grant that it takes.
    pub const GRANT_MISSING: &str = "GrantMissing";
    /// WebService: its gateways are told where to export records.
    pub const EXPORTING: &str = "Exporting";
    /// WebService: its records go to the workspace's storage.
    pub const ARCHIVING: &str = "Archiving";
    /// WebService: inputs and predictions of its calls go to the workspace's storage.
    pub const COLLECTING: &str = "Collecting";
    /// WebService: its records are to be exported, and nothing says where to.
    pub const NOTHING_TO_EXPORT_TO: &str = "NothingToExportTo";
    /// WebService: the collector's endpoint, or who signs its certificate, cannot work.
    pub const ENDPOINT_REFUSED: &str = "EndpointRefused";
    /// RoleAssignment: the namespace of the ServiceAccount does not consent.
    pub const NAMESPACE_DOES_NOT_CONSENT: &str = "NamespaceDoesNotConsent";
    /// Run: its compute target does not exist.
    pub const COMPUTE_TARGET_NOT_FOUND: &str = "ComputeTargetNotFound";
    /// Run: taken into the queue of its compute target.
    pub const ACCEPTED: &str = "Accepted";
    /// Run: has not ended.
    pub const NOT_FINISHED: &str = "NotFinished";
    /// Run: the command ended with exit code 0.
    pub const COMPLETED: &str = "Completed";
    /// Run: ended because somebody asked for it.
    pub const CANCELED: &str = "Canceled";
    /// Run: the command ended with another exit code.
    pub const NON_ZERO_EXIT: &str = "NonZeroExit";
    /// Run: the command was ended by a signal.
    pub const SIGNALED: &str = "Signaled";
    /// Run: the kernel ended the command because it used more memory than the node has.
    pub const OUT_OF_MEMORY: &str = "OutOfMemory";
    /// Run: the command took longer than `maxDurationSeconds`.
    pub const MAX_DURATION_EXCEEDED: &str = "MaxDurationExceeded";
    /// Run: the command could not be started (for example, there is no such program in the image).
    pub const START_FAILED: &str = "StartFailed";
    /// ComputeTarget: the nodes that exist differ from those wanted.
    pub const RESIZING: &str = "Resizing";
    /// ComputeTarget: the nodes that exist are those wanted.
    pub const STEADY: &str = "Steady";
    /// ComputeTarget: some node cannot start; `status.errors` says why.
    pub const NODES_UNUSABLE: &str = "NodesUnusable";
    /// WebService: all replicas of the current version answer.
    pub const HEALTHY: &str = "Healthy";
    /// WebService: a rollout is under way.
    pub const ROLLING_OUT: &str = "RollingOut";
    /// WebService, ComputeTarget: an image cannot be pulled.
    pub const IMAGE_PULL_FAILED: &str = "ImagePullFailed";
    /// WebService: a replica's container ends again and again.
    pub const CRASH_LOOP: &str = "CrashLoop";
    /// WebService: the model listens on an address other than loopback and is therefore not served.
    pub const MODEL_NOT_ON_LOOPBACK: &str = "ModelNotOnLoopback";
    /// WebService: its certificate is of the installation's own authority.
    pub const GENERATED: &str = "Generated";
    /// WebService: its certificate is the one in the Secret that its spec names.
    pub const FROM_SECRET: &str = "FromSecret";
    /// WebService: its spec asks for no encryption.
    pub const DISABLED: &str = "Disabled";
    /// WebService: the Secret with its certificate is not there.
    pub const CERTIFICATE_MISSING: &str = "CertificateMissing";
    /// WebService: what is in the Secret cannot be served; the message says why.
    pub const CERTIFICATE_REFUSED: &str = "CertificateRefused";
    /// WebService: its certificate is over, or does not hold yet.
    pub const CERTIFICATE_EXPIRED: &str = "CertificateExpired";
    /// WebService: the Secret with the keys of its team's own is not there.
    pub const KEYS_MISSING: &str = "KeysMissing";
    /// WebService: what is in the Secret cannot be two keys; the message says why.
    pub const KEYS_REFUSED: &str = "KeysRefused";
    /// WebService: every Gateway that it names has taken its route.
    pub const ROUTE_ACCEPTED: &str = "RouteAccepted";
    /// WebService: a Gateway does not take its route; the message says which and why.
    pub const ROUTE_REFUSED: &str = "RouteRefused";
    /// WebService: a Gateway has said nothing of its route.
    pub const ROUTE_PENDING: &str = "RoutePending";
    /// WebService: the cluster has no Gateway API of version 1.4 or later.
    pub const GATEWAY_API_MISSING: &str = "GatewayApiMissing";
    /// WebService: it is in the workspace's location.
    pub const SAME_LOCATION: &str = "SameLocation";
    /// WebService: it is in another location than the workspace.
    pub const OTHER_LOCATION: &str = "OtherLocation";
    /// WebService: a replica fits on no node.
    pub const UNSCHEDULABLE: &str = "Unschedulable";
    /// WebService: replicas run but do not answer.
    pub const NOT_ANSWERING: &str = "NotAnswering";
    /// WebService: scaled to nothing.
    pub const SCALED_TO_ZERO: &str = "ScaledToZero";
    /// WebService: the replicas follow the load.
    pub const FOLLOWING_LOAD: &str = "FollowingLoad";
    /// WebService: there are as many replicas as `autoscale.max` allows, and the utilisation is above the target.
    pub const AT_MAXIMUM: &str = "AtMaximum";
    /// WebService: a replica answers but does not tell how much it has to do, so that none is taken away.
    pub const REPLICA_SILENT: &str = "ReplicaSilent";
    /// WebService: no replica answers, so that nothing is known of the load.
    pub const NO_REPLICA_READY: &str = "NoReplicaReady";
}
