//! The status of a run: pure. A terminal state is never left.

use atelier_api::conditions::{READY, STALLED, SUCCEEDED, reasons};
use atelier_api::v1alpha1::{RunError, RunState};
use atelier_api::{Run, RunStatus};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::outcome::{MAIN, Outcome, outcome};
use crate::compute_target::Notice;
use crate::kit::conditions::{Conditions, shortened, whole_second};
use crate::kit::pod::PodView;
use crate::workspace::gate::Shut;

/// Where a run stands apart from its pods.
#[derive(Debug)]
pub enum Place {
    /// Its workspace is missing.
    Shut(Shut),
    /// Its compute target does not exist.
    NoTarget,
    /// In the queue, as its target said.
    Queued(Notice),
    /// Its target has not looked yet, or has given it a slot.
    Unknown,
}

/// Why a run is canceled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cancel {
    /// Its spec asks for it.
    Asked,
    /// It had begun, and its compute target was deleted.
    TargetDeleted,
}

/// What a status rests on.
pub struct Inputs<'a> {
    /// Why the run is canceled, if it is.
    pub cancel: Option<Cancel>,
    /// Where the run stands apart from its pods.
    pub place: Place,
    /// Its pods, by name.
    pub pods: &'a [(&'a str, &'a PodView)],
    /// The time.
    pub now: Timestamp,
}

/// Whether nothing follows.
pub fn is_terminal(run: &Run) -> bool {
    run.status
        .as_ref()
        .and_then(|s| s.state)
        .is_some_and(RunState::is_terminal)
}

/// The status that tells how the run is.
pub fn status(run: &Run, inputs: &Inputs) -> RunStatus {
    let before = run.status.clone().unwrap_or_default();
    if is_terminal(run) {
        return RunStatus {
            observed_generation: run.metadata.generation,
            ..before
        };
    }
    let latest = inputs.pods.iter().max_by_key(|(_, pod)| pod.attempt);
    let mut after = RunStatus {
        observed_generation: run.metadata.generation,
        attempts: latest
            .and_then(|(_, pod)| pod.attempt)
            .unwrap_or_default()
            .max(before.attempts),
        pod: latest
            .map(|(name, _)| (*name).to_owned())
            .or_else(|| before.pod.clone()),
        node: latest
            .and_then(|(_, pod)| pod.node.clone())
            .or_else(|| before.node.clone()),
        state: before.state,
        message: before.message.clone(),
        position: None,
        cancel_requested: before.cancel_requested.clone(),
        ..RunStatus::default()
    };
    match latest {
        Some((_, pod)) => match outcome(pod) {
            Some(Outcome::Ended {
                error,
                exit_code,
                started,
                finished,
            }) => {
                end(
                    &mut after,
                    error,
                    exit_code,
                    started,
                    finished.unwrap_or(inputs.now),
                );
            }
            Some(Outcome::Lost(why)) => waits(run, &mut after, &before, inputs, Some(&why)),
            None => lives(&mut after, inputs, pod),
        },
        None => waits(run, &mut after, &before, inputs, None),
    }
    let accepted =
        !matches!(inputs.place, Place::Shut(_) | Place::NoTarget) || !inputs.pods.is_empty();
    after.conditions = conditions(run, &before, &after, accepted, inputs);
    after
}

/// The attempt lives.
fn lives(after: &mut RunStatus, inputs: &Inputs, pod: &PodView) {
    let main = pod.container(MAIN);
    let (state, message) = if let Some(cancel) = inputs.cancel {
        let why = match cancel {
            Cancel::Asked => "the command was asked to end",
            Cancel::TargetDeleted => "the compute target was deleted; the command was asked to end",
        };
        (RunState::CancelRequested, why.to_owned())
    } else if pod.deletion_requested.is_some() {
        (
            after.state.unwrap_or(RunState::Running),
            "the pod is being taken away; the run starts again when it is gone".into(),
        )
    } else if let Some(since) = main.and_then(|c| c.running_since) {
        after.start_time = Some(Time(since));
        (RunState::Running, "the command runs".into())
    } else if pod.node.is_none() {
        let why = pod
            .unschedulable
            .clone()
            .map(|why| format!(": {why}"))
            .unwrap_or_default();
        (RunState::Provisioning, format!("a node is being made{why}"))
    } else {
        let why = pod
            .cannot_start()
            .map(|(reason, message)| format!(": {reason}: {message}"))
            .unwrap_or_default();
        (
            RunState::Preparing,
            format!("the image is being prepared{why}"),
        )
    };
    after.state = Some(state);
    after.message = Some(shortened(&message));
}

/// No attempt lives.
fn waits(
    run: &Run,
    after: &mut RunStatus,
    before: &RunStatus,
    inputs: &Inputs,
    lost: Option<&str>,
) {
    let again = if before.attempts > 0 || lost.is_some() {
        let why = lost.map(|why| format!(" ({why})")).unwrap_or_default();
        format!(
            "attempt {} was lost{why}; the run starts again. ",
            after.attempts
        )
    } else {
        String::new()
    };
    let (state, message) = match &inputs.place {
        _ if inputs.cancel.is_some() => {
            after.end_time = Some(Time(whole_second(inputs.now)));
            let why = match inputs.cancel {
                Some(Cancel::TargetDeleted) => format!(
                    "canceled: the compute target {} was deleted",
                    run.spec.compute_target
                ),
                _ => "canceled as asked for".to_owned(),
            };
            (RunState::Canceled, why)
        }
        Place::Shut(shut) => (RunState::NotStarted, shut.message.clone()),
        Place::NoTarget => (RunState::NotStarted, no_target(run)),
        Place::Queued(notice) if notice.refused => {
            after.end_time = Some(Time(whole_second(inputs.now)));
            after.error = Some(RunError {
                code: reasons::START_FAILED.into(),
                message: shortened(&notice.sentence),
            });
            (RunState::Failed, notice.sentence.clone())
        }
        Place::Queued(notice) => {
            after.position = notice.position;
            (RunState::Queued, format!("{again}{}", notice.sentence))
        }
        // Nothing new is known: what was said last stays.
        Place::Unknown => {
            after.position = before.position;
            let state = before
                .state
                .filter(|_| again.is_empty())
                .unwrap_or(RunState::Queued);
            let state = if state == RunState::NotStarted {
                RunState::Queued
            } else {
                state
            };
            let said = before
                .message
                .clone()
                .filter(|_| again.is_empty() && before.state == Some(state));
            (
                state,
                said.unwrap_or_else(|| {
                    format!("{again}Queued: its compute target has not looked yet")
                }),
            )
        }
    };
    after.state = Some(state);
    after.message = Some(shortened(&message));
}

fn no_target(run: &Run) -> String {
    format!(
        "the compute target {} does not exist in this namespace; the run starts when it is made",
        run.spec.compute_target
    )
}

/// The command ended.
fn end(
    after: &mut RunStatus,
    error: Option<(&'static str, String)>,
    exit_code: Option<i32>,
    started: Option<Timestamp>,
    finished: Timestamp,
) {
    after.start_time = started.map(Time);
    after.end_time = Some(Time(whole_second(finished)));
    after.duration_seconds = started.map(|started| finished.duration_since(started).as_secs());
    after.exit_code = exit_code;
    after.state = Some(if error.is_some() {
        RunState::Failed
    } else {
        RunState::Completed
    });
    after.message = Some(error.as_ref().map_or_else(
        || "the command ended with exit code 0".into(),
        |(_, m)| shortened(m),
    ));
    after.error = error.map(|(code, message)| RunError {
        code: code.into(),
        message: shortened(&message),
    });
}

fn conditions(
    run: &Run,
    before: &RunStatus,
    after: &RunStatus,
    accepted: bool,
    inputs: &Inputs,
) -> Vec<k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition> {
    let message = after.message.clone().unwrap_or_default();
    let (ready, ready_reason, ready_message) = match &inputs.place {
        _ if accepted => (true, reasons::ACCEPTED, "the run was accepted".to_owned()),
        Place::Shut(shut) => (false, shut.reason, shut.message.clone()),
        _ => (false, reasons::COMPUTE_TARGET_NOT_FOUND, no_target(run)),
    };
    let code = after
        .error
        .as_ref()
        .map(|error| error.code.clone())
        .unwrap_or_default();
    let (succeeded, reason) = match after.state {
        Some(RunState::Completed) => (Some(true), reasons::COMPLETED),
        Some(RunState::Canceled) => (Some(false), reasons::CANCELED),
        Some(RunState::Failed) => (Some(false), code.as_str()),
        _ => (None, reasons::NOT_FINISHED),
    };
    // While it waits or runs, the outcome's message stays the same: positions are no transition.
    let outcome = if succeeded.is_some() {
        message.as_str()
    } else {
        "the run has not ended"
    };
    Conditions::new(&before.conditions, run.metadata.generation, inputs.now)
        .set(READY, Some(ready), ready_reason, &ready_message)
        .set(SUCCEEDED, succeeded, reason, outcome)
        .set_while(
            after.state == Some(RunState::Failed),
            STALLED,
            reason,
            outcome,
        )
        .build()
}

/// Whether the cluster may say nothing when this run's situation changes.
pub fn waits_for_another_look(status: &RunStatus) -> bool {
    matches!(status.state, Some(RunState::CancelRequested))
}

/// The event that tells of an end: reason, whether it is a failure, and a sentence.
pub fn transition(
    before: Option<&RunStatus>,
    after: &RunStatus,
) -> Option<(&'static str, bool, String)> {
    let note = after.message.clone().unwrap_or_default();
    match after.state {
        state if state == before.and_then(|status| status.state) => None,
        Some(RunState::Completed) => Some(("RunCompleted", false, note)),
        Some(RunState::Failed) => Some(("RunFailed", true, note)),
        Some(RunState::Canceled) => Some(("RunCanceled", false, note)),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
