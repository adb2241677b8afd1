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
use crate::kit::contest::look_again;
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
        Admission::Shut(shut) => (Outcome::Rejected(shut.reason, shut.message), None),
        Admission::Admitted(workspace) => match validate::validate(assignment, &ctx.stores) {
            Err((reason, message)) => {
                // A role that may no longer be given is taken back.
                let owner = uid.as_deref().unwrap_or_default();
                ctx.applier(MANAGER).delete_owned(&namespace, owner).await?;
                (Outcome::Rejected(reason, message), None)
            }
            Ok(subject) => {
                let binding = build::build(assignment, &workspace.name_any(), subject)?;
                match ctx.applier(MANAGER).apply(&binding).await {
                    Ok(_) => (Outcome::Bound, None),
                    Err(error) if error.needs_help() => (Outcome::Blocked(error), Some(RARELY)),
                    Err(error) => return Err(error),
                }
            }
        },
    };
    let now = (ctx.clock)();
    let contested = ctx.contests.of(uid.as_deref().unwrap_or_default(), now);
    let after = status::status(assignment, &outcome, contested.as_ref(), now);
    kit::status::write(
        &ctx.client,
        &ctx.claim,
        assignment,
        assignment.status.as_ref(),
        &after,
    )
    .await?;
    Ok(look_again(next, contested.as_ref(), now))
}

/// Takes back the role of an assignment that was deleted, at once: the garbage collector takes its time.
pub async fn deleted(ctx: &Ctx, namespace: &str, uid: &str) {
    if let Err(error) = ctx.applier(MANAGER).delete_owned(namespace, uid).await
        && !error.is_ordinary()
    {
        tracing::warn!(%error, "the garbage collector has to remove the binding of a deleted assignment");
    }
}
