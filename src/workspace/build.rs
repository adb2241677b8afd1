//! The children of a workspace.

use atelier_api::v1alpha1::GrantResource;
use k8s_openapi::api::core::v1::ServiceAccount;
use k8s_openapi::api::rbac::v1::{RoleBinding, RoleRef, Subject};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::ctx::Settings;
use crate::kit::Error;
use crate::kit::child::{ChildKind, Desired};
use crate::kit::meta::Parent;
use crate::region;

/// The ClusterRole, shipped with the chart, that holds our rights in one workspace's namespace.
const MANAGER_ROLE: &str = "atelier-workspace-manager";
/// The ClusterRole, shipped with the chart, of a regional identity in the namespace of each workspace there, and the
/// name of the binding to it.
const REGIONAL_ROLE: &str = "atelier-regional";

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

/// What a grant makes the managed identity, by the name that people know.
pub fn role(resource: GrantResource) -> &'static str {
    match resource {
        GrantResource::Workspace => "Contributor",
        GrantResource::Storage => "DataContributor",
    }
}

/// The ClusterRole, shipped with the chart, that a grant binds.
fn identity_role(resource: GrantResource) -> &'static str {
    match resource {
        GrantResource::Workspace => "atelier-identity",
        GrantResource::Storage => "atelier-identity-storage",
    }
}

/// Name of the binding that is a grant.
pub fn identity_binding_name(workspace: &str, resource: GrantResource) -> String {
    match resource {
        GrantResource::Workspace => format!("{workspace}-identity"),
        GrantResource::Storage => format!("{workspace}-identity-storage"),
    }
}

/// Name of the binding that lets the regional identity make placeholders.
pub fn regional_binding_name() -> &'static str {
    REGIONAL_ROLE
}

/// The operator's own binding. It has no owner: after the workspace is gone it is still needed, to clear away what
/// the workspace's runs and services left; the sweep removes it last.
pub fn manager_binding(parent: &Parent, settings: &Settings) -> Result<Desired, Error> {
    let metadata = parent.unowned(manager_binding_name());
    let subject = account(&settings.service_account, &settings.namespace);
    let binding = binding(metadata, MANAGER_ROLE, subject);
    Desired::new(ChildKind::RoleBinding, &binding)
}

/// A grant of the managed identity.
pub fn identity_binding(parent: &Parent, resource: GrantResource) -> RoleBinding {
    let metadata = parent.child(identity_binding_name(&parent.name, resource));
    let subject = account(identity_name(&parent.name), &parent.namespace);
    binding(metadata, identity_role(resource), subject)
}

/// The regional identity's binding.
pub fn regional_binding(
    parent: &Parent,
    location: &str,
    settings: &Settings,
) -> Result<Desired, Error> {
    let metadata = parent.child(regional_binding_name());
    let subject = account(&region::identity_name(location), &settings.namespace);
    let binding = binding(metadata, REGIONAL_ROLE, subject);
    Desired::new(ChildKind::RoleBinding, &binding)
}

fn binding(metadata: ObjectMeta, role: &str, subject: Subject) -> RoleBinding {
    RoleBinding {
        metadata,
        role_ref: RoleRef {
            api_group: "rbac.authorization.k8s.io".into(),
            kind: "ClusterRole".into(),
            name: role.into(),
        },
        subjects: Some(vec![subject]),
    }
}

fn account(name: &str, namespace: &str) -> Subject {
    Subject {
        kind: "ServiceAccount".into(),
        name: name.into(),
        namespace: Some(namespace.into()),
        ..Subject::default()
    }
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
