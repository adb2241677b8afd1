//! Labels and annotations that Atelier reads and writes.

/// On a namespace: the resource group it belongs to. Set by an administrator; it opens the namespace to Atelier.
pub const RESOURCE_GROUP: &str = "atelier.dev/resource-group";

/// Prefix of a label on a namespace that lets workspaces of another namespace assign roles to its
/// ServiceAccounts: `consent.atelier.dev/<workspace namespace>: "true"`.
pub const CONSENT_PREFIX: &str = "consent.atelier.dev/";

/// The workspace a child belongs to.
pub const WORKSPACE: &str = "atelier.dev/workspace";

/// The slot (node) of a compute target that a pod holds: a whole number from 0.
pub const SLOT: &str = "atelier.dev/slot";

/// The compute target whose slot a pod holds.
pub const COMPUTE_TARGET: &str = "atelier.dev/compute-target";

/// The attempt of a run that a pod is: a whole number from 1.
pub const ATTEMPT: &str = "atelier.dev/attempt";

/// Annotation of a placeholder: since when its slot has been idle (RFC 3339).
pub const IDLE_SINCE: &str = "atelier.dev/idle-since";

/// Annotation of a child: the generation of its owner's spec that its content was last made from. An older spec, seen by
/// a view that lags behind, is not put into it.
pub const OWNER_GENERATION: &str = "atelier.dev/owner-generation";

/// Annotation of a pod template: the uid of the ServiceAccount it runs as. A remade ServiceAccount kills the
/// tokens that are mounted, so its new uid has to roll the pods.
pub const SERVICE_ACCOUNT_UID: &str = "atelier.dev/service-account-uid";

/// Annotation of a gateway's Secret: the uid of the keys Secret it was made from.
pub const KEYS_UID: &str = "atelier.dev/keys-uid";

/// Annotation of a gateway's Secret: the name of the Secret with its team's own keys, if it was made from those.
pub const KEYS_SECRET: &str = "atelier.dev/keys-secret";

/// Annotation of a Deployment whose `spec.replicas` is the autoscaler's: what stands there is no part of what it should be.
pub const AUTOSCALED: &str = "atelier.dev/autoscaled";

/// Annotation of a volume: the uid of the Workspace that it goes with; empty if it stays.
pub const GOES_WITH: &str = "atelier.dev/goes-with";

/// Annotation of a StorageClass, by its administrator: whether what is on its volumes is encrypted (`"true"` or `"false"`),
/// where that does not show in the class.
pub const VOLUMES_ENCRYPTED: &str = "atelier.dev/volumes-encrypted";

/// `app.kubernetes.io/managed-by`, by which secondary watches are limited.
pub const MANAGED_BY: &str = "app.kubernetes.io/managed-by";

/// The value of [`MANAGED_BY`] on everything that Atelier makes.
pub const MANAGER: &str = "atelier";

/// `app.kubernetes.io/name`.
pub const NAME: &str = "app.kubernetes.io/name";

/// `app.kubernetes.io/instance`: the name of the custom resource a child was made for.
pub const INSTANCE: &str = "app.kubernetes.io/instance";

/// `app.kubernetes.io/component`: the kind, in lower case, of the custom resource a child was made for.
pub const COMPONENT: &str = "app.kubernetes.io/component";

/// `app.kubernetes.io/part-of`.
pub const PART_OF: &str = "app.kubernetes.io/part-of";
