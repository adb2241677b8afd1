//! ComputeTarget: nodes that come with a queue of runs and go when it is empty (docs/design/slots.md).
//!
//! One reconcile looks at the pods and runs of one target, decides by [`plan`], and acts. It makes the pods of runs
//! too, since who gets a slot is one decision; a run's own reconcile tells how its pod is doing.

mod board;
mod build;
mod plan;
mod queue;
mod regional;
mod slots;
mod status;

use std::sync::Arc;
use std::time::Duration;

use atelier_api::v1alpha1::GrantResource;
use atelier_api::{ComputeTarget, Workspace};
use jiff::{SignedDuration, Timestamp};
use kube::runtime::controller::Action;
use kube::{Resource as _, ResourceExt as _};

use crate::ctx::Ctx;
use crate::kit::child::ChildKind;
use crate::kit::{self, Error};
use crate::run;
use crate::workspace::gate::{Admission, admit};
use crate::workspace::grants;
pub use board::{Board, Notice};
pub use build::{place, run_priority, slot_labels};
use plan::{Input, Plan, Step, Waiting};
pub use queue::order;
use regional::Regional;
use slots::PodFact;
use status::{Refusal, View};

const MANAGER: &str = "atelier-computetarget";
/// How soon to try again what a quota or policy refused.
const AFTER_REFUSAL: SignedDuration = SignedDuration::from_secs(10);

/// Gives slots to runs, makes and removes nodes, and says in the status how many there are.
pub async fn reconcile(target: Arc<ComputeTarget>, ctx: Arc<Ctx>) -> Result<Action, Error> {
    let target = target.as_ref();
    if target.meta().deletion_timestamp.is_some() {
        return Ok(Action::await_change());
    }
    let (namespace, name) = (target.namespace().unwrap_or_default(), target.name_any());
    let now = (ctx.clock)();
    let workspace = match admit(&ctx, &namespace, target.uid().as_deref(), MANAGER).await? {
        Admission::Hold => return Ok(Action::await_change()),
        Admission::Shut(shut) => {
            let after = status::shut(target, &shut, now);
            kit::status::write(
                &ctx.client,
                &ctx.claim,
                target,
                target.status.as_ref(),
                &after,
            )
            .await?;
            return Ok(Action::await_change());
        }
        Admission::Admitted(workspace) => workspace,
    };

    let spec = &target.spec.managed;
    let queue = queue::waiting(&ctx, &namespace, &name);
    let pods = facts(&ctx, &namespace, &name);
    let mut input = Input {
        min: unsigned(spec.nodes.min),
        max: unsigned(spec.nodes.max),
        idle: SignedDuration::from_secs(spec.idle_seconds_before_scale_down),
        now,
        pods: &pods,
        queue: &queue,
        held_back: false,
    };
    let mut plan = plan::plan(&input);
    let missing = match plan.starts_any() {
        true => grants::missing(&ctx, &workspace, GrantResource::Workspace).await?,
        false => None,
    };
    if missing.is_some() {
        input.held_back = true;
        plan = plan::plan(&input);
    }
    let done = act(target, &workspace, &ctx, &plan).await?;
    let again = publish(target, &ctx, &plan, &done.refusals, missing.as_deref(), now);

    let view = View {
        plan: &plan,
        refusals: &done.refusals,
        pods: &facts(&ctx, &namespace, &name),
        missing: missing.as_deref(),
    };
    let after = status::status(target, &view, now);
    kit::status::write(
        &ctx.client,
        &ctx.claim,
        target,
        target.status.as_ref(),
        &after,
    )
    .await?;
    if let Some(stale) = done.stale {
        return Err(stale);
    }
    let refused = !done.refusals.is_empty() || missing.is_some();
    let retry = refused.then(|| now + AFTER_REFUSAL);
    let next = [plan.wake, again, retry].into_iter().flatten().min();
    Ok(next.map_or_else(Action::await_change, |at| {
        Action::requeue(until(at, (ctx.clock)()))
    }))
}

/// All pods of a target.
fn facts(ctx: &Ctx, namespace: &str, target: &str) -> Vec<PodFact> {
    let of_target = |seen: &kit::children::Seen| {
        seen.pod()
            .is_some_and(|pod| pod.compute_target.as_deref() == Some(target))
    };
    let pods = ctx.children.select(namespace, |key, seen| {
        key.kind == ChildKind::Pod && of_target(seen)
    });
    pods.iter()
        .filter_map(|(key, seen)| PodFact::of(key, seen))
        .collect()
}

/// What came of the steps of a plan.
#[derive(Default)]
struct Done {
    refusals: Vec<Refusal>,
    /// A step found something other than what it was decided on: all is to be looked at again.
    stale: Option<Error>,
}

/// Takes the steps. One that finds a changed world does not keep the others from being taken.
async fn act(
    target: &ComputeTarget,
    workspace: &Workspace,
    ctx: &Ctx,
    plan: &Plan,
) -> Result<Done, Error> {
    let mut done = Done::default();
    let mut regional = Regional::new(ctx, workspace);
    for step in &plan.steps {
        let result = match step {
            Step::Start { waiting, slot } => start(target, workspace, ctx, waiting, *slot).await,
            Step::Hold { slot, since } => {
                let placeholder = build::placeholder(
                    target,
                    &workspace.name_any(),
                    &ctx.settings,
                    *slot,
                    *since,
                )?;
                regional.hold(&placeholder).await
            }
            Step::Release(pod) => regional.release(&pod.key, &pod.seen).await,
        };
        match (result, step) {
            (Ok(()), _) => {}
            (Err(stale @ Error::Stale(_)), _) => done.stale = Some(stale),
            (Err(Error::Refused { code, message, .. }), Step::Start { waiting, slot }) => {
                done.refusals.push(Refusal {
                    slot: *slot,
                    run: Some(waiting.run.clone()),
                    code,
                    message,
                });
                let room = make_room(ctx, &mut regional, target, *slot).await;
                done.stale = room.err().or(done.stale);
            }
            (Err(Error::Refused { code, message, .. }), Step::Hold { slot, .. }) => {
                done.refusals.push(Refusal {
                    slot: *slot,
                    run: None,
                    code,
                    message,
                });
            }
            (
                Err(conflict @ Error::NameConflict(_)),
                Step::Start { slot, .. } | Step::Hold { slot, .. },
            ) => {
                done.refusals.push(Refusal {
                    slot: *slot,
                    run: None,
                    code: 409,
                    message: conflict.to_string(),
                });
            }
            (Err(error), _) => return Err(error),
        }
    }
    Ok(done)
}

/// Makes the pod of an attempt.
async fn start(
    target: &ComputeTarget,
    workspace: &Workspace,
    ctx: &Ctx,
    waiting: &Waiting,
    slot: u32,
) -> Result<(), Error> {
    let namespace = target.namespace().unwrap_or_default();
    let reference = kube::runtime::reflector::ObjectRef::new(&waiting.run).within(&namespace);
    let Some(run) = ctx.stores.runs.get(&reference) else {
        return Ok(());
    };
    // A second attempt is rare and must not rest on a view alone: the run may have ended, its pod may live.
    if waiting.attempt > 1 {
        run::confirm_lost(&run, ctx, waiting.attempt - 1).await?;
    }
    let pod = run::pod::build(
        &run,
        target,
        &workspace.name_any(),
        waiting.attempt,
        slot,
        &ctx.settings,
    )?;
    ctx.applier(MANAGER).apply(&pod).await?;
    // One that was there already may have nothing more to tell, and no watch tells us of what we wrote ourselves.
    let there = ctx.children.get(&pod.key);
    if there.is_some_and(|seen| seen.pod().is_some_and(|pod| pod.node.is_some())) {
        ctx.triggers.fire("Run", &namespace, &waiting.run);
    }
    ctx.board.started(
        &namespace,
        &target.name_any(),
        &run.uid().unwrap_or_default(),
        waiting.attempt,
    );
    Ok(())
}

/// Where a quota leaves no room for a placeholder beside the run's pod, the placeholder goes first.
async fn make_room(
    ctx: &Ctx,
    regional: &mut Regional<'_>,
    target: &ComputeTarget,
    slot: u32,
) -> Result<(), Error> {
    let namespace = target.namespace().unwrap_or_default();
    let key = build::placeholder_key(&namespace, &target.name_any(), slot);
    match ctx.children.get(&key) {
        Some(seen) if !seen.deleting => {
            regional.release(&key, &seen).await?;
            Err(Error::Stale(key.to_string()))
        }
        _ => Ok(()),
    }
}

/// Tells the runs that wait. Says when to tell them again.
fn publish(
    target: &ComputeTarget,
    ctx: &Ctx,
    plan: &Plan,
    refusals: &[Refusal],
    missing: Option<&str>,
    now: Timestamp,
) -> Option<Timestamp> {
    let (namespace, name) = (target.namespace().unwrap_or_default(), target.name_any());
    let max = unsigned(target.spec.managed.nodes.max);
    let mut notices = board::notices(&plan.waiting, max, missing);
    notices.extend(refusals.iter().filter_map(Refusal::notice));
    let published = ctx.board.publish(&namespace, &name, notices, now);
    for run in &published.changed {
        ctx.triggers.fire("Run", &namespace, run);
    }
    published.again
}

fn unsigned(number: i32) -> u32 {
    u32::try_from(number).unwrap_or_default()
}

fn until(at: Timestamp, now: Timestamp) -> Duration {
    // A little late rather than early: an early look would find nothing to do and have to come back.
    Duration::try_from(at.duration_since(now)).unwrap_or_default() + Duration::from_millis(5)
}
