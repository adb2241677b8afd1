//! Workspace: opens a namespace to everything else.
//!
//! Its children: the operator's own binding in the namespace, which comes first and is what gives us any right there;
//! the managed identity and its grants; the binding of the regional identity; the ServiceAccount, without a right, that
//! users' code runs as; and the storage and the claim of the file share, where the workspace has its own.

mod build;
pub mod files;
pub mod gate;
pub mod grants;
mod status;
pub mod storage;
pub mod sweep;
pub mod tally;
mod validate;
mod volume;

use std::sync::Arc;

use atelier_api::conditions::{FILE_SHARE_READY, STORAGE_READY, reasons};
use atelier_api::v1alpha1::{GrantResource, ProvisioningState};
use atelier_api::{Workspace, WorkspaceStatus};
use jiff::Timestamp;
use kube::ResourceExt as _;
use kube::runtime::controller::Action;

use crate::ctx::Ctx;
use crate::kit::apply::unowned_id;
use crate::kit::contest::{Contested, look_again};
use crate::kit::meta::Parent;
use crate::kit::triggers::NAMESPACE_CHANGED;
use crate::kit::{self, Error};
use grants::Grants;
use status::{Found, GrantChange, Progress};

pub use build::{identity_name, manager_binding_name, regional_binding_name, run_identity_name};

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
    let (mut storage, mut files) = (None, None);
    let (progress, next) = match validate::validate(workspace, &ctx) {
        Err(rejection) => (Progress::Rejected(rejection), None),
        Ok(parent) => match make(workspace, &parent, &ctx).await {
            Ok(Some(grants)) => {
                let granted = grants.state(GrantResource::Storage);
                let (state, next) = storage::settle(workspace, &parent, &ctx, granted).await?;
                storage = state;
                files = files::settle(workspace, &parent, &ctx).await?;
                (Progress::Complete(grants), next)
            }
            // After a start: what is not known yet says nothing of a workspace that was ready.
            Ok(None) if was_ready(workspace) => return Ok(Action::requeue(SOON)),
            Ok(None) => (Progress::Underway, Some(SOON)),
            Err(error) if error.needs_help() => (Progress::Blocked(error), Some(RARELY)),
            Err(error) => return Err(error),
        },
    };
    let now = (ctx.clock)();
    let found = Found {
        counts: status::count(workspace, &ctx),
        storage,
        files,
        contested: contested(workspace, &ctx, now),
    };
    let after = status::status(workspace, &progress, &found, now);
    let written = kit::status::write(
        &ctx.client,
        &ctx.claim,
        workspace,
        workspace.status.as_ref(),
        &after,
    )
    .await?;
    if written {
        tell(workspace, &after, &ctx).await;
    }
    Ok(look_again(next, found.contested.as_ref(), now))
}

/// Tells people of what has changed, and everything in the namespace if a grant has.
async fn tell(workspace: &Workspace, after: &WorkspaceStatus, ctx: &Ctx) {
    let before = workspace.status.as_ref();
    if let Some((reason, note)) = status::transition(before, after) {
        ctx.events
            .normal(workspace, "Reconcile", reason, &note)
            .await;
    }
    for (type_, no_more) in [
        (STORAGE_READY, "StorageNotReady"),
        (FILE_SHARE_READY, "FileShareNotReady"),
    ] {
        let events = &ctx.events;
        match status::turned(type_, before, after) {
            Some((true, note)) => events.normal(workspace, "Reconcile", type_, &note).await,
            Some((false, note)) => events.warning(workspace, "Reconcile", no_more, &note).await,
            None => {}
        }
    }
    for change in status::grant_changes(workspace, after) {
        match change {
            GrantChange::Revoked(note) => {
                let reason = reasons::GRANT_REVOKED;
                ctx.events
                    .warning(workspace, "Reconcile", reason, &note)
                    .await;
            }
            GrantChange::Restored(note) => {
                let reason = "GrantRestored";
                ctx.events
                    .normal(workspace, "Reconcile", reason, &note)
                    .await;
            }
        }
        let namespace = workspace.namespace().unwrap_or_default();
        ctx.triggers.fire(NAMESPACE_CHANGED, &namespace, "");
    }
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

/// Makes the children. `None` unless everything in the namespace is known, so that others may begin.
async fn make(
    workspace: &Workspace,
    parent: &Parent,
    ctx: &Arc<Ctx>,
) -> Result<Option<Grants>, Error> {
    let applier = ctx.applier(MANAGER);
    // First the binding: without it nothing else in the namespace may even be looked at.
    applier
        .apply(&build::manager_binding(parent, &ctx.settings)?)
        .await?;
    if !ctx.children.is_complete(&parent.namespace) {
        return Ok(None);
    }
    // Before the ServiceAccounts: as soon as those are there, everything else begins.
    let regional = build::regional_binding(parent, &workspace.spec.location, &ctx.settings)?;
    let mut written = applier.apply(&regional).await?.written;
    let (grants, changed) = grants::settle(workspace, parent, ctx, (ctx.clock)()).await?;
    written |= changed;
    for child in build::identities(parent)? {
        written |= applier.apply(&child).await?.written;
    }
    // No watch tells us of what we wrote ourselves, and everything else waits for these.
    if written {
        ctx.triggers.fire(NAMESPACE_CHANGED, &parent.namespace, "");
    }
    Ok(Some(grants))
}
