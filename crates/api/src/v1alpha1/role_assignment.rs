//! RoleAssignment: who may do what in a workspace.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Gives a principal a role in the workspace of this namespace. Delete it to take the role back.
#[derive(CustomResource, Serialize, Deserialize, Clone, Debug, PartialEq, KubeSchema)]
#[kube(
    group = "atelier.dev",
    version = "v1alpha1",
    kind = "RoleAssignment",
    namespaced,
    status = "RoleAssignmentStatus",
    shortname = "atra",
    category = "atelier",
    derive = "PartialEq",
    printcolumn(name = "Role", type_ = "string", json_path = ".spec.role"),
    printcolumn(name = "Principal", type_ = "string", json_path = ".spec.principal.name"),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type=='Ready')].status"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(name = "Kind", type_ = "string", json_path = ".spec.principal.kind", priority = 1),
    validation = Rule::new("self.metadata.name.size() <= 52").message("a role assignment's name has at most 52 characters"),
    validation = Rule::new("self.spec == oldSelf.spec").message("a role assignment cannot be changed; delete it and make another")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!has(self.principal.namespace) || self.principal.kind == 'ServiceAccount'").message("principal.namespace is for ServiceAccounts only; users and groups have none"))]
#[x_kube(validation = Rule::new("!self.principal.name.startsWith('system:')").message("principals whose name begins with system: belong to the cluster and get no role; name a ServiceAccount with kind ServiceAccount"))]
pub struct RoleAssignmentSpec {
    /// The role given.
    pub role: Role,
    /// Who gets it.
    pub principal: Principal,
}

/// A built-in role.
///
/// `Owner` may do everything in the workspace, and share it. `Contributor` may do everything but share it.
/// `Reader` may look at everything.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
#[allow(missing_docs)]
pub enum Role {
    Owner,
    Contributor,
    Reader,
}

impl Role {
    /// Name of the ClusterRole, shipped with the chart, that the role is bound to.
    pub fn cluster_role(self) -> &'static str {
        match self {
            Self::Owner => "atelier-owner",
            Self::Contributor => "atelier-contributor",
            Self::Reader => "atelier-reader",
        }
    }
}

/// Somebody, or something, whom the API server can authenticate.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Principal {
    /// What `name` names.
    pub kind: PrincipalKind,
    /// The name the API server knows the user or group by, or the ServiceAccount's name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// The ServiceAccount's namespace; absent: this one. Another namespace has to consent with the label
    /// `consent.atelier.dev/<this namespace>: "true"`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(min = 1, max = 63),
        regex(pattern = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")
    )]
    pub namespace: Option<String>,
}

/// Kinds of principals.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
#[allow(missing_docs)]
pub enum PrincipalKind {
    User,
    Group,
    ServiceAccount,
}

/// What is known of a role assignment.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RoleAssignmentStatus {
    /// The generation of the spec that this status describes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// `Ready`, and `Reconciling` or `Stalled` while true.
    #[serde(default)]
    #[schemars(schema_with = "crate::schema::conditions")]
    pub conditions: Vec<Condition>,
}
