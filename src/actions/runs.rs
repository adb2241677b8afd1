//! `runs/cancel` and `runs/why`.

use atelier_api::actions::{Kinded as _, QueuePlace, RunCancellation, RunExplanation};
use atelier_api::v1alpha1::{CancelRequest, RunState};
use atelier_api::{ComputeTarget, Run};
use atelier_apiserver::{Call, Refusal};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::api::ListParams;
use kube::{Api, ResourceExt as _};
use serde_json::json;

use super::Deps;
use super::object::{Found, ask_for, get, named};
use crate::compute_target::order;
use crate::kit::conditions::{shortened, whole_second};

/// Asks for the run's end.
pub async fn cancel(deps: Deps, call: Call) -> Result<RunCancellation, Refusal> {
    ask_for(&deps.client, &call, "the cancellation", |run: &Run| {
        let state = state(run);
        let answer = |accepted| RunCancellation {
            types: RunCancellation::types(),
            metadata: named(&call),
            state,
            accepted,
        };
        if state.is_terminal() {
            return Found::Already(answer(false));
        }
        if run.is_to_end() {
            return Found::Already(answer(true));
        }
        let request = CancelRequest {
            by: shortened(&call.caller.user),
            at: Time(whole_second((deps.clock)())),
        };
        Found::Ask(json!({"cancelRequested": request}), answer(true))
    })
    .await
}

fn state(run: &Run) -> RunState {
    let status = run.status.as_ref();
    status.and_then(|s| s.state).unwrap_or(RunState::NotStarted)
}

/// Why the run is as it is, by what there is at this moment.
pub async fn why(deps: Deps, call: Call) -> Result<RunExplanation, Refusal> {
    let run: Run = get(&deps.client, &call).await?;
    let namespace = &call.object.namespace;
    let targets: Api<ComputeTarget> = Api::namespaced(deps.client.clone(), namespace);
    let target = targets.get_opt(&run.spec.compute_target).await;
    let target = target.map_err(|error| Refusal::from_api("get the compute target", &error))?;
    let others = match state(&run) {
        RunState::Queued => {
            let runs: Api<Run> = Api::namespaced(deps.client.clone(), namespace);
            let runs = runs.list(&ListParams::default()).await;
            runs.map_err(|error| Refusal::from_api("list runs", &error))?
                .items
        }
        _ => vec![],
    };
    let queue = queue(&run, &others);
    Ok(RunExplanation {
        types: RunExplanation::types(),
        metadata: named(&call),
        state: state(&run),
        reasons: reasons(&run, target.as_ref(), queue.as_ref()),
        queue,
    })
}

/// The run's place among those that wait for the same target.
fn queue(run: &Run, others: &[Run]) -> Option<QueuePlace> {
    let target = &run.spec.compute_target;
    let waits = |other: &&Run| {
        other.spec.compute_target == *target
            && state(other) == RunState::Queued
            && !other.is_to_end()
    };
    let mut waiting: Vec<_> = others.iter().filter(waits).collect();
    waiting.sort_by_cached_key(|run| order(run));
    let place = waiting.iter().position(|other| other.uid() == run.uid())?;
    Some(QueuePlace {
        position: place + 1,
        length: waiting.len(),
        compute_target: target.clone(),
    })
}

/// Sentences, the nearest cause first.
fn reasons(run: &Run, target: Option<&ComputeTarget>, queue: Option<&QueuePlace>) -> Vec<String> {
    let status = run.status.clone().unwrap_or_default();
    let mut reasons: Vec<String> = status.message.into_iter().collect();
    if let Some(request) = status.cancel_requested {
        reasons.push(format!(
            "{} asked for its end at {}",
            request.by, request.at.0
        ));
    }
    if state(run).is_terminal() {
        return reasons;
    }
    let name = &run.spec.compute_target;
    let Some(target) = target else {
        reasons.push(format!(
            "there is no compute target {name} in this namespace"
        ));
        return reasons;
    };
    if let Some(queue) = queue {
        let (position, length) = (queue.position, queue.length);
        reasons.push(format!(
            "it is number {position} of {length} that wait for {name}"
        ));
    }
    let nodes = &target.spec.managed.nodes;
    let known = target.status.as_ref();
    if let Some(counts) = known.map(|status| &status.node_counts) {
        let (running, max) = (counts.running, nodes.max);
        reasons.push(format!(
            "{name} has {running} busy nodes and may have {max}"
        ));
    }
    for error in known.iter().flat_map(|status| &status.errors) {
        reasons.push(format!("{name}: {}", error.message));
    }
    reasons
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn run(name: &str, second: u32, status: Value) -> Run {
        let created = format!("2026-01-01T00:00:{second:02}Z");
        serde_json::from_value(json!({"apiVersion": "atelier.dev/v1alpha1", "kind": "Run",
            "metadata": {"name": name, "namespace": "n", "uid": name, "creationTimestamp": created},
            "spec": {"experiment": "e", "computeTarget": "t", "image": "i", "command": ["c"]},
            "status": status}))
        .expect("a run")
    }

    #[test]
    fn the_place_is_counted_among_those_that_wait_for_the_same_target() {
        let queued = json!({"state": "Queued", "message": "Queued (2/2): needs 1 node, 0 free"});
        let all = [
            run("late", 9, queued.clone()),
            run("busy", 1, json!({"state": "Running"})),
            run(
                "canceled",
                2,
                json!({"state": "Queued", "cancelRequested": {"by": "j", "at": "2026-01-01T00:00:00Z"}}),
            ),
            run("early", 3, queued),
        ];
        let place = |run: &Run| queue(run, &all).map(|q| (q.position, q.length));
        assert_eq!(place(&all[0]), Some((2, 2)));
        assert_eq!(place(&all[3]), Some((1, 2)));
        assert_eq!(place(&all[1]), None);
    }

    #[test]
    fn the_nearest_cause_comes_first() {
        let waits = run(
            "a",
            1,
            json!({"state": "NotStarted", "message": "it waits"}),
        );
        let told = reasons(&waits, None, None);
        assert_eq!(
            told,
            ["it waits", "there is no compute target t in this namespace"]
        );
        let ended = run("a", 1, json!({"state": "Failed", "message": "exit code 3"}));
        assert_eq!(reasons(&ended, None, None), ["exit code 3"]);
    }
}
