//! Workspace: opens a namespace to everything else.
//!
//! Its children: the operator's own binding in the namespace, which comes first and is what gives us any right there;
//! the managed identity; and the ServiceAccount, without a right, that users' code runs as.

mod build;
pub mod gate;
mod status;
pub mod sweep;
mod validate;

use std::sync::Arc;

use atelier_api::Workspace;
use atelier_api::v1alpha1::ProvisioningState;
use jiff::Timestamp;
use kube::ResourceExt as _;
use kube::runtime::controller::Action;

use crate::ctx::Ctx;
use crate::kit::apply::unowned_id;
use crate::kit::contest::{Contested, look_again};
use crate::kit::meta::Parent;
use crate::kit::triggers::NAMESPACE_CHANGED;
use crate::kit::{self, Error};
use status::Progress;

pub use build::{identity_name, manager_binding_name, run_identity_name};

const MANAGER: &str = "atelier-workspace";
/// How often a workspace whose watches are not complete is looked at, should no watch tell.
const SOON: std::time::Duration = std::time::Duration::from_secs(2);
/// How often something that nobody tells us about is looked at: a foreign object in the way.
const RARELY: std::time::Duration = std::time::Duration::from_secs(30);

/// Makes what a workspace consists of, and says in its status how far that is.
pub async fn reconcile(workspace: Arc<Workspace>, ctx: Arc<Ctx>) -> Result<Action, Error> {
    let workspace = workspace.as_ref();
    if workspace.metadata.deletion_timestamp.is_some() {
        return Ok(Action::await_change());
    }
    let namespace = workspace.namespace().unwrap_or_default();
    if matches!(gate::gate(&ctx, &namespace), gate::Gate::Terminating) {
        return Ok(Action::await_change());
    }
    let (progress, next) = match validate::validate(workspace, &ctx) {
        Err(rejection) => (Progress::Rejected(rejection), None),
        Ok(parent) => match make(&parent, &ctx).await {
            Ok(true) => (Progress::Complete, None),
            // After a start: what is not known yet says nothing of a workspace that was ready.
            Ok(false) if was_ready(workspace) => return Ok(Action::requeue(SOON)),
            Ok(false) => (Progress::Underway, Some(SOON)),
            Err(error) if error.needs_help() => (Progress::Blocked(error), Some(RARELY)),
            Err(error) => return Err(error),
        },
    };
    let counts = status::count(workspace, &ctx);
    let now = (ctx.clock)();
    let contested = contested(workspace, &ctx, now);
    let after = status::status(workspace, &progress, counts, contested.as_ref(), now);
    let written = kit::status::write(
        &ctx.client,
        &ctx.claim,
        workspace,
        workspace.status.as_ref(),
        &after,
    )
    .await?;
    if written && let Some((reason, note)) = status::transition(workspace.status.as_ref(), &after) {
        ctx.events
            .normal(workspace, "Reconcile", reason, &note)
            .await;
    }
    Ok(look_again(next, contested.as_ref(), now))
}

fn was_ready(workspace: &Workspace) -> bool {
    let status = workspace.status.as_ref();
    status.and_then(|s| s.provisioning_state) == Some(ProvisioningState::Succeeded)
}

/// Our own binding has no owner, and is the workspace's all the same.
fn contested(workspace: &Workspace, ctx: &Ctx, now: Timestamp) -> Option<Contested> {
    let uid = workspace.metadata.uid.as_deref().unwrap_or_default();
    let namespace = workspace.namespace().unwrap_or_default();
    let unowned = unowned_id(&namespace, &workspace.name_any());
    let contests = &ctx.contests;
    contests.of(uid, now).or_else(|| contests.of(&unowned, now))
}

/// Makes the children. Says whether everything in the namespace is known, so that others may begin.
async fn make(parent: &Parent, ctx: &Ctx) -> Result<bool, Error> {
    let applier = ctx.applier(MANAGER);
    // First the binding: without it nothing else in the namespace may even be looked at.
    applier
        .apply(&build::manager_binding(parent, &ctx.settings)?)
        .await?;
    if !ctx.children.is_complete(&parent.namespace) {
        return Ok(false);
    }
    let mut written = false;
    for child in build::identities(parent)? {
        written |= applier.apply(&child).await?.written;
    }
    // No watch tells us of what we wrote ourselves, and everything else waits for these.
    if written {
        ctx.triggers.fire(NAMESPACE_CHANGED, &parent.namespace, "");
    }
    Ok(true)
}
