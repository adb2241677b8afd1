//! Who waits for a target, in order.

use atelier_api::Run;
use jiff::Timestamp;
use kube::ResourceExt as _;

use super::plan::Waiting;
use crate::ctx::Ctx;
use crate::kit::child::ChildKind;
use crate::kit::children::Seen;
use crate::run::outcome::{Outcome, outcome};

/// The runs that wait for a target: first come, first served. A run that lost its pod keeps its place.
pub fn waiting(ctx: &Ctx, namespace: &str, target: &str) -> Vec<Waiting> {
    let here = |run: &Run| {
        run.metadata.namespace.as_deref() == Some(namespace) && run.spec.compute_target == target
    };
    let mut runs = ctx.stores.runs.state_filter(|run| here(run));
    runs.sort_by_cached_key(|run| order(run));
    let waits = |run: &Run| {
        let uid = run.uid()?;
        let pods = ctx.children.select(namespace, |key, seen| {
            key.kind == ChildKind::Pod && seen.owner.as_ref().is_some_and(|owner| owner.uid == uid)
        });
        let pods: Vec<_> = pods.into_iter().map(|(_, seen)| seen).collect();
        let attempt = due(run, &pods, ctx.board.last_started(namespace, target, &uid))?;
        Some(Waiting {
            run: run.name_any(),
            attempt,
        })
    };
    runs.iter().filter_map(|run| waits(run)).collect()
}

/// Creation time has whole seconds; within one, names decide.
pub fn order(run: &Run) -> (Option<Timestamp>, String) {
    (
        run.metadata.creation_timestamp.as_ref().map(|t| t.0),
        run.name_any(),
    )
}

/// The attempt that is due, or `None` if the run does not wait.
fn due(run: &Run, pods: &[Seen], last_started: i32) -> Option<i32> {
    let status = run.status.as_ref();
    let terminal = status
        .and_then(|s| s.state)
        .is_some_and(|s| s.is_terminal());
    if terminal || run.is_to_end() || run.metadata.deletion_timestamp.is_some() {
        return None;
    }
    let mut last = status
        .map(|s| s.attempts)
        .unwrap_or_default()
        .max(last_started);
    for seen in pods {
        let pod = seen.pod()?;
        match outcome(pod) {
            // What ended by itself only waits to be written down.
            Some(Outcome::Ended { .. }) => return None,
            Some(Outcome::Lost(_)) => {}
            None => return None,
        }
        last = last.max(pod.attempt.unwrap_or_default());
    }
    Some(last + 1)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn run(status: serde_json::Value, cancel: bool) -> Run {
        serde_json::from_value(json!({"apiVersion": "atelier.dev/v1alpha1", "kind": "Run",
            "metadata": {"name": "r", "namespace": "n", "uid": "u"},
            "spec": {"experiment": "e", "computeTarget": "t", "image": "i", "command": ["c"], "cancel": cancel},
            "status": status}))
        .expect("a run")
    }

    fn pod(attempt: i32, status: serde_json::Value) -> Seen {
        let object = json!({"apiVersion": "v1", "kind": "Pod", "status": status, "metadata": {"name": "p",
            "namespace": "n", "uid": "p", "resourceVersion": "1", "labels": {"atelier.dev/attempt": attempt.to_string()}}});
        Seen::of(
            ChildKind::Pod,
            &serde_json::from_value(object).expect("an object"),
        )
        .expect("uid and version")
    }

    #[test]
    fn a_new_run_waits_for_its_first_attempt() {
        assert_eq!(due(&run(json!({}), false), &[], 0), Some(1));
    }

    #[test]
    fn a_run_with_a_pod_does_not_wait_and_one_that_lost_it_waits_again() {
        assert_eq!(
            due(
                &run(json!({}), false),
                &[pod(1, json!({"phase": "Running"}))],
                0
            ),
            None
        );
        let lost = pod(1, json!({"phase": "Failed", "reason": "Evicted"}));
        assert_eq!(
            due(&run(json!({"attempts": 1}), false), &[lost], 0),
            Some(2)
        );
        assert_eq!(due(&run(json!({"attempts": 1}), false), &[], 0), Some(2));
    }

    #[test]
    fn a_view_that_lags_behind_starts_no_attempt_twice() {
        assert_eq!(due(&run(json!({}), false), &[], 1), Some(2));
    }

    #[test]
    fn an_ended_or_canceled_run_does_not_wait() {
        assert_eq!(
            due(&run(json!({"state": "Completed"}), false), &[], 0),
            None
        );
        assert_eq!(due(&run(json!({}), true), &[], 0), None);
    }
}
