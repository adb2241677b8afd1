use serde_json::json;

use super::*;
use crate::kit::pod::{ContainerView, Terminated};

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).expect("a valid time")
}

fn run(cancel: bool, before: Option<RunStatus>) -> Run {
    let mut run: Run = serde_json::from_value(json!({"apiVersion": "atelier.dev/v1alpha1", "kind": "Run",
        "metadata": {"name": "r", "namespace": "n", "uid": "u", "generation": 1},
        "spec": {"experiment": "e", "computeTarget": "t", "image": "i", "command": ["c"], "cancel": cancel}}))
    .expect("a run");
    run.status = before;
    run
}

fn pod(node: Option<&str>, main: ContainerView) -> PodView {
    PodView {
        node: node.map(Into::into),
        phase: "Running".into(),
        attempt: Some(1),
        containers: vec![ContainerView {
            name: MAIN.into(),
            ..main
        }],
        ..PodView::default()
    }
}

fn ended(code: i32) -> PodView {
    let end = Terminated {
        exit_code: code,
        started: Some(at(10)),
        finished: Some(at(25)),
        ..Terminated::default()
    };
    pod(
        Some("m"),
        ContainerView {
            terminated: Some(end),
            ..ContainerView::default()
        },
    )
}

fn tell(run: &Run, place: Place, pods: &[&PodView]) -> RunStatus {
    tell_canceled(run, place, pods, run.spec.cancel.then_some(Cancel::Asked))
}

fn tell_canceled(run: &Run, place: Place, pods: &[&PodView], cancel: Option<Cancel>) -> RunStatus {
    let pods: Vec<_> = pods.iter().map(|pod| ("r-1-0", *pod)).collect();
    status(
        run,
        &Inputs {
            cancel,
            place,
            pods: &pods,
            now: at(100),
        },
    )
}

fn queued(position: i32) -> Place {
    Place::Queued(Notice {
        position: Some(position),
        sentence: "Queued (1/1): needs 1 node, 0 free".into(),
        refused: false,
    })
}

#[test]
fn a_run_goes_from_the_queue_to_its_end() {
    let first = tell(&run(false, None), queued(1), &[]);
    assert_eq!(
        (first.state, first.position),
        (Some(RunState::Queued), Some(1))
    );
    let running = ContainerView {
        running_since: Some(at(10)),
        ..ContainerView::default()
    };
    for (pod, state) in [
        (pod(None, ContainerView::default()), RunState::Provisioning),
        (
            pod(Some("m"), ContainerView::default()),
            RunState::Preparing,
        ),
        (pod(Some("m"), running), RunState::Running),
    ] {
        let after = tell(&run(false, Some(first.clone())), Place::Unknown, &[&pod]);
        assert_eq!(
            (after.state, after.attempts, after.position),
            (Some(state), 1, None)
        );
    }
    let after = tell(&run(false, Some(first)), Place::Unknown, &[&ended(0)]);
    assert_eq!(
        (after.state, after.exit_code, after.duration_seconds),
        (Some(RunState::Completed), Some(0), Some(15))
    );
    assert!(
        after
            .conditions
            .iter()
            .any(|c| c.type_ == SUCCEEDED && c.status == "True")
    );
}

#[test]
fn a_failed_run_says_why_and_is_stalled() {
    let after = tell(&run(false, None), Place::Unknown, &[&ended(3)]);
    assert_eq!(after.state, Some(RunState::Failed));
    assert_eq!(
        after.error.map(|e| e.code).as_deref(),
        Some(reasons::NON_ZERO_EXIT)
    );
    assert!(after.conditions.iter().any(|c| c.type_ == STALLED));
}

#[test]
fn a_terminal_state_is_never_left() {
    let done = tell(&run(false, None), Place::Unknown, &[&ended(0)]);
    let later = tell(&run(true, Some(done.clone())), Place::NoTarget, &[]);
    assert_eq!(later, done);
}

#[test]
fn a_run_without_a_target_waits_and_says_so() {
    let after = tell(&run(false, None), Place::NoTarget, &[]);
    assert_eq!(after.state, Some(RunState::NotStarted));
    assert!(
        after
            .message
            .is_some_and(|m| m.contains("compute target t does not exist"))
    );
    assert!(
        after
            .conditions
            .iter()
            .any(|c| c.type_ == READY && c.reason == reasons::COMPUTE_TARGET_NOT_FOUND)
    );
}

#[test]
fn a_lost_attempt_sends_the_run_back_to_the_queue() {
    let running = tell(
        &run(false, None),
        Place::Unknown,
        &[&pod(Some("m"), ContainerView::default())],
    );
    let after = tell(&run(false, Some(running)), queued(1), &[]);
    assert_eq!((after.state, after.attempts), (Some(RunState::Queued), 1));
    assert!(
        after
            .message
            .is_some_and(|m| m.starts_with("attempt 1 was lost"))
    );
}

#[test]
fn a_run_whose_target_was_deleted_is_canceled_when_its_pod_is_gone() {
    let begun = RunStatus {
        attempts: 1,
        ..RunStatus::default()
    };
    let gone = Some(Cancel::TargetDeleted);
    let one = run(false, Some(begun));
    let running = pod(None, ContainerView::default());
    let ending = tell_canceled(&one, Place::NoTarget, &[&running], gone);
    assert_eq!(ending.state, Some(RunState::CancelRequested));
    let over = tell_canceled(&one, Place::NoTarget, &[], gone);
    assert_eq!(over.state, Some(RunState::Canceled));
    let message = over.message.unwrap_or_default();
    assert!(message.contains("target t was deleted"), "{message}");
}

#[test]
fn a_canceled_run_leaves_the_queue_at_once_and_a_running_one_when_its_pod_is_gone() {
    assert_eq!(
        tell(&run(true, None), queued(1), &[]).state,
        Some(RunState::Canceled)
    );
    let live = pod(
        Some("m"),
        ContainerView {
            running_since: Some(at(10)),
            ..ContainerView::default()
        },
    );
    assert_eq!(
        tell(&run(true, None), Place::Unknown, &[&live]).state,
        Some(RunState::CancelRequested)
    );
}

#[test]
fn a_run_whose_pod_is_refused_for_what_is_in_it_has_failed() {
    let notice = Notice {
        position: None,
        sentence: "the API server does not take it".into(),
        refused: true,
    };
    let after = tell(&run(false, None), Place::Queued(notice), &[]);
    assert_eq!(
        (after.state, after.error.map(|e| e.code)),
        (Some(RunState::Failed), Some(reasons::START_FAILED.into()))
    );
}
