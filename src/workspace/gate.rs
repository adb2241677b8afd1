//! Whether anything may happen in a namespace: asked first by every other kind.

use std::collections::BTreeMap;
use std::sync::Arc;

use atelier_api::conditions::reasons;
use atelier_api::{Workspace, labels};
use k8s_openapi::api::core::v1::Namespace;
use kube::ResourceExt as _;
use kube::api::PartialObjectMeta;
use kube::runtime::reflector::ObjectRef;

use crate::ctx::{Ctx, Stores};
use crate::kit::Error;

/// Whether anything may happen in a namespace.
#[derive(Clone, Debug)]
pub enum Gate {
    /// The workspace is there and everything in its namespace is known.
    Open(Arc<Workspace>),
    /// There is a workspace, but not everything in its namespace is known yet: wait, and judge nothing.
    Opening,
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
    let Some(workspace) = holder(&ctx.stores, namespace) else {
        return Gate::Closed(
            "there is no Workspace in this namespace; make one, or wait for it".into(),
        );
    };
    if !ctx.settings.locations.contains(&workspace.spec.location) {
        return Gate::NotEnabled(format!(
            "the Workspace {} is not ready",
            workspace.name_any()
        ));
    }
    if ctx.children.is_complete(namespace) {
        Gate::Open(workspace)
    } else {
        Gate::Opening
    }
}

/// The workspace that has a namespace: the oldest, then the one with the smaller uid. One that is being deleted has
/// it no longer.
pub fn holder(stores: &Stores, namespace: &str) -> Option<Arc<Workspace>> {
    let here = |w: &Workspace| {
        w.metadata.namespace.as_deref() == Some(namespace)
            && w.metadata.deletion_timestamp.is_none()
    };
    let all = stores.workspaces.state_filter(|workspace| here(workspace));
    all.into_iter()
        .min_by_key(|w| (w.metadata.creation_timestamp.clone().map(|t| t.0), w.uid()))
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
        Gate::Opening | Gate::Terminating => Ok(Admission::Hold),
        Gate::NotEnabled(why) => Ok(shut(reasons::NAMESPACE_NOT_ENABLED, why)),
        Gate::Closed(why) => {
            let applier = ctx.applier(manager);
            for (key, seen) in ctx.children.owned_by(namespace, uid.unwrap_or_default()) {
                if !seen.deleting {
                    applier.delete(&key, &seen).await?;
                }
            }
            Ok(shut(reasons::WORKSPACE_MISSING, why))
        }
    }
}
