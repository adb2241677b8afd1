//! Whether anything may happen in a namespace: asked first by every other kind.

use std::collections::BTreeMap;
use std::sync::Arc;

use atelier_api::conditions::reasons;
use atelier_api::{Workspace, labels};
use k8s_openapi::api::core::v1::Namespace;
use kube::ResourceExt as _;
use kube::api::PartialObjectMeta;
use kube::runtime::reflector::ObjectRef;

use super::{identity_name, manager_binding_name, regional_binding_name, run_identity_name};
use crate::ctx::{Ctx, Stores};
use crate::kit::Error;
use crate::kit::child::{ChildKey, ChildKind};

/// Whether anything may happen in a namespace.
#[derive(Clone, Debug)]
pub enum Gate {
    /// The workspace is there and everything in its namespace is known.
    Open(Arc<Workspace>),
    /// There is a workspace, but not everything in its namespace is known yet, or its ServiceAccounts are not there:
    /// wait, and judge nothing.
    Opening(Arc<Workspace>),
    /// There is no workspace in the namespace: what was made here for others has to go.
    Closed(String),
    /// The namespace is not open to us (any more): hands off, whatever is there.
    NotEnabled(String),
    /// The namespace is going away by itself.
    Terminating,
}

/// Asks whether anything may happen in a namespace.
pub fn gate(ctx: &Ctx, namespace: &str) -> Gate {
    match namespace_object(&ctx.stores, namespace) {
        Some(object) if object.metadata.deletion_timestamp.is_some() => return Gate::Terminating,
        Some(object) if object.labels().contains_key(labels::RESOURCE_GROUP) => {}
        _ => {
            return Gate::NotEnabled(format!(
                "the namespace lacks the label {}",
                labels::RESOURCE_GROUP
            ));
        }
    }
    let workspace = match holder(ctx, namespace) {
        Holder::Workspace(workspace) => workspace,
        Holder::Nobody => {
            return Gate::Closed(
                "there is no Workspace in this namespace; make one, or wait for it".into(),
            );
        }
    };
    if !ctx.settings.locations.contains(&workspace.spec.location) {
        return Gate::NotEnabled(format!(
            "the Workspace {} is not ready",
            workspace.name_any()
        ));
    }
    if ctx.children.is_complete(namespace) && has_identities(ctx, &workspace, namespace) {
        Gate::Open(workspace)
    } else {
        Gate::Opening(workspace)
    }
}

/// Whether the ServiceAccounts are there, since the API server takes no pod without its own, and the binding of the
/// identity that makes placeholders.
fn has_identities(ctx: &Ctx, workspace: &Workspace, namespace: &str) -> bool {
    let name = workspace.name_any();
    let names = [identity_name(&name).to_owned(), run_identity_name(&name)];
    let accounts = names.map(|name| (ChildKind::ServiceAccount, name));
    let regional = (ChildKind::RoleBinding, regional_binding_name().to_owned());
    let mut all = accounts.into_iter().chain([regional]);
    all.all(|(kind, name)| {
        let key = ChildKey::new(kind, namespace, &name);
        ctx.children.get(&key).is_some_and(|seen| !seen.deleting)
    })
}

/// Who has a namespace.
#[derive(Clone, Debug)]
pub enum Holder {
    /// This workspace.
    Workspace(Arc<Workspace>),
    /// Nobody: there is no workspace.
    Nobody,
}

impl Holder {
    /// Whether it is this workspace.
    pub fn is(&self, workspace: &Workspace) -> bool {
        matches!(self, Self::Workspace(holder) if holder.uid() == workspace.uid())
    }
}

/// The workspace that has a namespace. Our own binding there says which that is; where it says nothing, or names one
/// that is not there, it is the oldest, then the one with the smaller uid. So who tampers with that label takes nothing
/// away: it decides only between workspaces that are there.
pub fn holder(ctx: &Ctx, namespace: &str) -> Holder {
    let live = |w: &Workspace| {
        w.metadata.namespace.as_deref() == Some(namespace)
            && w.metadata.deletion_timestamp.is_none()
    };
    let all = ctx.stores.workspaces.state_filter(|w| live(w));
    let binding = ChildKey::new(ChildKind::RoleBinding, namespace, manager_binding_name());
    let recorded = ctx.children.get(&binding).and_then(|seen| seen.workspace);
    choose(all, recorded)
}

fn choose(all: Vec<Arc<Workspace>>, recorded: Option<String>) -> Holder {
    let age = |w: &Arc<Workspace>| w.metadata.creation_timestamp.clone().map(|t| t.0);
    let named = |w: &Arc<Workspace>| Some(w.name_any()) == recorded;
    let first = all.into_iter().min_by_key(|w| (!named(w), age(w), w.uid()));
    first.map_or(Holder::Nobody, Holder::Workspace)
}

/// Labels of a namespace, if it is known.
pub fn namespace_labels(stores: &Stores, namespace: &str) -> Option<BTreeMap<String, String>> {
    namespace_object(stores, namespace).map(|object| object.labels().clone())
}

fn namespace_object(stores: &Stores, namespace: &str) -> Option<Arc<PartialObjectMeta<Namespace>>> {
    stores.namespaces.get(&ObjectRef::new(namespace))
}

/// Why nothing happens in a namespace: what every kind tells in its `Ready` condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shut {
    /// A stable reason.
    pub reason: &'static str,
    /// What is wrong.
    pub message: String,
}

/// What an object may expect of its namespace.
#[derive(Debug)]
pub enum Admission {
    /// Go ahead.
    Admitted(Arc<Workspace>),
    /// Do nothing but tell why.
    Shut(Shut),
    /// Do nothing, tell nothing: look again when asked to.
    Hold,
}

/// Asks the gate on behalf of one object, and clears its children away where the workspace is gone.
pub async fn admit(
    ctx: &Ctx,
    namespace: &str,
    uid: Option<&str>,
    manager: &'static str,
) -> Result<Admission, Error> {
    let shut = |reason, why: String| {
        Admission::Shut(Shut {
            reason,
            message: format!("nothing happens here: {why}"),
        })
    };
    match gate(ctx, namespace) {
        Gate::Open(workspace) => Ok(Admission::Admitted(workspace)),
        Gate::Opening(_) | Gate::Terminating => Ok(Admission::Hold),
        Gate::NotEnabled(why) => Ok(shut(reasons::NAMESPACE_NOT_ENABLED, why)),
        Gate::Closed(why) => {
            let owner = uid.unwrap_or_default();
            ctx.applier(manager).delete_owned(namespace, owner).await?;
            Ok(shut(reasons::WORKSPACE_MISSING, why))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn workspace(name: &str, second: i64) -> Arc<Workspace> {
        let mut workspace = Workspace::new(
            name,
            atelier_api::WorkspaceSpec {
                location: "local".into(),
                ..atelier_api::WorkspaceSpec::default()
            },
        );
        let made = jiff::Timestamp::from_second(second).expect("a valid time");
        let made = k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(made);
        workspace.metadata.creation_timestamp = Some(made);
        workspace.metadata.uid = Some(name.into());
        workspace.into()
    }

    fn name(holder: Holder) -> String {
        match holder {
            Holder::Workspace(workspace) => workspace.name_any(),
            Holder::Nobody => "nobody".into(),
        }
    }

    #[test]
    fn the_oldest_takes_a_free_namespace() {
        let all = vec![workspace("b", 1), workspace("a", 2), workspace("c", 1)];
        assert_eq!(name(choose(all, None)), "b");
        assert_eq!(name(choose(vec![], None)), "nobody");
    }

    #[test]
    fn who_has_a_namespace_keeps_it_whatever_the_ages() {
        let all = vec![workspace("a", 1), workspace("b", 1)];
        assert_eq!(name(choose(all, Some("b".into()))), "b");
    }

    #[test]
    fn who_writes_another_name_into_our_binding_takes_the_namespace_from_nobody() {
        let all = vec![workspace("team", 1)];
        assert_eq!(name(choose(all, Some("nobody-knows".into()))), "team");
    }
}
