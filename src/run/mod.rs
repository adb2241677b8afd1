//! Run: tells how its pod is doing, and ends it when asked to.
//!
//! Who gets a slot, and when, is decided by its compute target, which makes the pod.

pub mod outcome;
pub mod pod;
mod status;

use std::sync::Arc;
use std::time::Duration;

use atelier_api::{ComputeTarget, Run};
use kube::runtime::controller::Action;
use kube::runtime::reflector::ObjectRef;
use kube::{Api, Resource as _, ResourceExt as _};

use crate::ctx::Ctx;
use crate::kit::child::{ChildKey, ChildKind};
use crate::kit::children::Seen;
use crate::kit::{self, Error};
use crate::workspace::gate::{Admission, admit};
use status::{Cancel, Inputs, Place};

const MANAGER: &str = "atelier-run";
/// How often a pod that is in the way, or a run that was lost, is looked at again.
const SOON: Duration = Duration::from_secs(5);

/// Writes down how the run is.
pub async fn reconcile(run: Arc<Run>, ctx: Arc<Ctx>) -> Result<Action, Error> {
    let run = run.as_ref();
    if run.meta().deletion_timestamp.is_some() {
        return Ok(Action::await_change());
    }
    let namespace = run.namespace().unwrap_or_default();
    let uid = run.uid();
    let place = match admit(&ctx, &namespace, uid.as_deref(), MANAGER).await? {
        Admission::Hold => return Ok(Action::await_change()),
        Admission::Shut(shut) => Place::Shut(shut),
        Admission::Admitted(_) => place(run, &ctx, &namespace),
    };
    let pods = ctx
        .children
        .owned_by(&namespace, uid.as_deref().unwrap_or_default());
    let canceled = match status::is_terminal(run) {
        true => None,
        false => canceled(run, &ctx, &place, &pods).await?,
    };
    if canceled.is_some() {
        cancel(&ctx, &pods).await?;
    }
    let views: Vec<_> = pods
        .iter()
        .filter_map(|(key, seen)| Some((key.name.as_str(), seen.pod()?)))
        .collect();
    let after = status::status(
        run,
        &Inputs {
            cancel: canceled,
            place,
            pods: &views,
            now: (ctx.clock)(),
        },
    );
    let written =
        kit::status::write(&ctx.client, &ctx.claim, run, run.status.as_ref(), &after).await?;
    if written && let Some((reason, failed, note)) = status::transition(run.status.as_ref(), &after)
    {
        match failed {
            true => ctx.events.warning(run, "Execute", reason, &note).await,
            false => ctx.events.normal(run, "Execute", reason, &note).await,
        }
    }
    Ok(if status::waits_for_another_look(&after) {
        Action::requeue(SOON)
    } else {
        Action::await_change()
    })
}

/// Where the run stands: without a target, in a queue, or with a slot.
fn place(run: &Run, ctx: &Ctx, namespace: &str) -> Place {
    let target = &run.spec.compute_target;
    if ctx
        .stores
        .compute_targets
        .get(&ObjectRef::new(target).within(namespace))
        .is_none()
    {
        return Place::NoTarget;
    }
    match ctx.board.notice(namespace, target, &run.name_any()) {
        Some(notice) => Place::Queued(notice),
        None => Place::Unknown,
    }
}

/// Why the run is canceled, if it is. That its target is gone, once the run has begun, is for good, and must not rest on
/// a view alone.
async fn canceled(
    run: &Run,
    ctx: &Ctx,
    place: &Place,
    pods: &[(ChildKey, Seen)],
) -> Result<Option<Cancel>, Error> {
    if run.is_to_end() {
        return Ok(Some(Cancel::Asked));
    }
    let begun = !pods.is_empty() || run.status.as_ref().is_some_and(|s| s.attempts > 0);
    if !begun || !matches!(place, Place::NoTarget) {
        return Ok(None);
    }
    let (target, namespace) = (
        &run.spec.compute_target,
        run.namespace().unwrap_or_default(),
    );
    let api: Api<ComputeTarget> = Api::namespaced(ctx.client.clone(), &namespace);
    let what = format!("get ComputeTarget {target}");
    match api.get_opt(target).await.map_err(Error::api(what))? {
        None => Ok(Some(Cancel::TargetDeleted)),
        Some(_) => Err(Error::Stale(format!("ComputeTarget {target}"))),
    }
}

/// Asks the command to end. What has ended by itself is left alone, its output included.
async fn cancel(ctx: &Ctx, pods: &[(ChildKey, Seen)]) -> Result<(), Error> {
    for (key, seen) in pods {
        let over = seen
            .pod()
            .is_some_and(|pod| outcome::outcome(pod).is_some());
        if !seen.deleting && !over {
            ctx.applier(MANAGER).delete(key, seen).await?;
        }
    }
    Ok(())
}

/// Makes sure, by asking the API server, that a run has not ended and that the pod of an attempt is gone or over.
/// Anything else means that our view lags behind, or that somebody took the labels off a living pod.
pub async fn confirm_lost(run: &Run, ctx: &Ctx, attempt: i32) -> Result<(), Error> {
    let (namespace, name) = (run.namespace().unwrap_or_default(), run.name_any());
    let api: Api<Run> = Api::namespaced(ctx.client.clone(), &namespace);
    let live = api
        .get_opt(&name)
        .await
        .map_err(Error::api(format!("get Run {name}")))?;
    if live.is_none_or(|live| {
        live.uid() != run.uid() || status::is_terminal(&live) || live.is_to_end()
    }) {
        return Err(Error::Stale(name));
    }
    let key = ChildKey::new(ChildKind::Pod, &namespace, &pod::name(&name, attempt));
    let pods = key.kind.api(&ctx.client, &namespace);
    let live = pods
        .get_opt(&key.name)
        .await
        .map_err(Error::api(format!("get {key}")))?;
    match live.and_then(|object| Seen::of(key.kind, &object)) {
        None => Ok(()),
        Some(seen) if seen.pod().and_then(outcome::outcome).is_some() => Ok(()),
        Some(seen) if seen.deleting => Err(Error::Stale(key.to_string())),
        Some(seen) => {
            // Alive but out of sight: it ends before another attempt begins.
            ctx.applier(MANAGER).delete(&key, &seen).await?;
            Err(Error::Stale(key.to_string()))
        }
    }
}
