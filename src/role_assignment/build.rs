//! The binding of an assignment.

use atelier_api::RoleAssignment;
use k8s_openapi::api::rbac::v1::{RoleBinding, RoleRef, Subject};
use kube::ResourceExt as _;

use crate::kit::Error;
use crate::kit::child::{ChildKind, Desired};
use crate::kit::meta::Parent;

/// The binding of an assignment.
pub fn build(
    assignment: &RoleAssignment,
    workspace: &str,
    subject: Subject,
) -> Result<Desired, Error> {
    let parent = Parent::of(assignment, workspace).ok_or(Error::Unnamed(ChildKind::RoleBinding))?;
    let binding = RoleBinding {
        metadata: parent.child(format!("{}-role", assignment.name_any())),
        role_ref: RoleRef {
            api_group: "rbac.authorization.k8s.io".into(),
            kind: "ClusterRole".into(),
            name: assignment.spec.role.cluster_role().into(),
        },
        subjects: Some(vec![subject]),
    };
    Desired::new(ChildKind::RoleBinding, &binding)
}
