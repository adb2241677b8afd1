//! The children of a workspace.

use k8s_openapi::api::core::v1::ServiceAccount;
use k8s_openapi::api::rbac::v1::{RoleBinding, RoleRef, Subject};

use crate::ctx::Settings;
use crate::kit::Error;
use crate::kit::child::{ChildKind, Desired};
use crate::kit::meta::Parent;

/// The ClusterRole, shipped with the chart, that holds our rights in one workspace's namespace.
const MANAGER_ROLE: &str = "atelier-workspace-manager";

/// Name of the binding by which the operator gets its rights in a workspace's namespace.
pub fn manager_binding_name() -> &'static str {
    "atelier-workspace-manager"
}

/// Name of the managed identity's ServiceAccount: the workspace's own.
pub fn identity_name(workspace: &str) -> &str {
    workspace
}

/// Name of the ServiceAccount that users' code runs as.
pub fn run_identity_name(workspace: &str) -> String {
    format!("{workspace}-run")
}

/// The operator's own binding. It has no owner: after the workspace is gone it is still needed, to clear away what
/// the workspace's runs and services left; the sweep removes it last.
pub fn manager_binding(parent: &Parent, settings: &Settings) -> Result<Desired, Error> {
    let binding = RoleBinding {
        metadata: parent.unowned(manager_binding_name()),
        role_ref: RoleRef {
            api_group: "rbac.authorization.k8s.io".into(),
            kind: "ClusterRole".into(),
            name: MANAGER_ROLE.into(),
        },
        subjects: Some(vec![Subject {
            kind: "ServiceAccount".into(),
            name: settings.service_account.clone(),
            namespace: Some(settings.namespace.clone()),
            ..Subject::default()
        }]),
    };
    Desired::new(ChildKind::RoleBinding, &binding)
}

/// The managed identity, and the ServiceAccount without any right that users' code runs as. Neither is mounted.
pub fn identities(parent: &Parent) -> Result<[Desired; 2], Error> {
    let account = |name: String| {
        let account = ServiceAccount {
            metadata: parent.child(name),
            automount_service_account_token: Some(false),
            ..ServiceAccount::default()
        };
        Desired::new(ChildKind::ServiceAccount, &account)
    };
    Ok([
        account(identity_name(&parent.name).into())?,
        account(run_identity_name(&parent.name))?,
    ])
}
