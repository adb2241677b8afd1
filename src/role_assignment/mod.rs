//! RoleAssignment: one RoleBinding to one of the chart's ClusterRoles.
//!
//! Who may give which role is decided at admission, against the requester (charts: ValidatingAdmissionPolicy).

mod build;
mod status;
mod validate;

use std::sync::Arc;
use std::time::Duration;

use atelier_api::RoleAssignment;
use kube::runtime::controller::Action;
use kube::{Resource as _, ResourceExt as _};

use crate::ctx::Ctx;
use crate::kit::{self, Error};
use crate::workspace::gate::{Admission, admit};
use status::Outcome;

const MANAGER: &str = "atelier-roleassignment";
/// How often a foreign object in the way is looked at: no watch tells of it.
const RARELY: Duration = Duration::from_secs(30);

/// Makes the binding, and says in the status whether it is there.
pub async fn reconcile(assignment: Arc<RoleAssignment>, ctx: Arc<Ctx>) -> Result<Action, Error> {
    let assignment = assignment.as_ref();
    if assignment.meta().deletion_timestamp.is_some() {
        return Ok(Action::await_change());
    }
    let namespace = assignment.namespace().unwrap_or_default();
    let uid = assignment.uid();
    let (outcome, next) = match admit(&ctx, &namespace, uid.as_deref(), MANAGER).await? {
        Admission::Hold => return Ok(Action::await_change()),
        Admission::Shut(shut) => (
            Outcome::Rejected(shut.reason, shut.message),
            Action::await_change(),
        ),
        Admission::Admitted(workspace) => match validate::validate(assignment, &ctx.stores) {
            Err((reason, message)) => {
                withdraw(assignment, &ctx).await?;
                (Outcome::Rejected(reason, message), Action::await_change())
            }
            Ok(subject) => {
                let binding = build::build(assignment, &workspace.name_any(), subject)?;
                match ctx.applier(MANAGER).apply(&binding).await {
                    Ok(_) => (Outcome::Bound, Action::await_change()),
                    Err(error @ (Error::NameConflict(_) | Error::Refused { .. })) => {
                        (Outcome::Blocked(error), Action::requeue(RARELY))
                    }
                    Err(error) => return Err(error),
                }
            }
        },
    };
    let after = status::status(assignment, &outcome, (ctx.clock)());
    kit::status::write(
        &ctx.client,
        &ctx.claim,
        assignment,
        assignment.status.as_ref(),
        &after,
    )
    .await?;
    Ok(next)
}

/// A role that may no longer be given is taken back.
async fn withdraw(assignment: &RoleAssignment, ctx: &Ctx) -> Result<(), Error> {
    let namespace = assignment.namespace().unwrap_or_default();
    for (key, seen) in ctx
        .children
        .owned_by(&namespace, &assignment.uid().unwrap_or_default())
    {
        ctx.applier(MANAGER).delete(&key, &seen).await?;
    }
    Ok(())
}

/// Takes back the role of an assignment that was deleted, at once: the garbage collector takes its time.
pub async fn deleted(ctx: &Ctx, namespace: &str, uid: &str) {
    for (key, seen) in ctx.children.owned_by(namespace, uid) {
        if let Err(error) = ctx.applier(MANAGER).delete(&key, &seen).await
            && !error.is_ordinary()
        {
            tracing::warn!(%error, "the garbage collector has to remove the binding of a deleted assignment");
        }
    }
}
