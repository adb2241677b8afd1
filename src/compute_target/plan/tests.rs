use serde_json::json;

use super::*;
use crate::kit::child::{ChildKey, ChildKind};
use crate::kit::children::Seen;

const IDLE: i64 = 120;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).expect("a valid time")
}

/// A pod as the API server would show it, read the way the operator reads it.
fn pod(name: &str, component: &str, slot: u32, status: serde_json::Value) -> PodFact {
    let object = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {
            "name": name, "namespace": "n", "uid": name, "resourceVersion": "1",
            "creationTimestamp": "1970-01-01T00:00:00Z",
            "labels": {"app.kubernetes.io/component": component, "atelier.dev/slot": slot.to_string()}},
        "spec": {"nodeName": status.get("node").cloned(), "containers": []}, "status": status});
    let object = serde_json::from_value(object).expect("an object");
    let seen = Seen::of(ChildKind::Pod, &object).expect("uid and version");
    PodFact::of(&ChildKey::new(ChildKind::Pod, "n", name), &seen).expect("a slot")
}

fn placeholder(slot: u32, since: i64) -> PodFact {
    let fact = pod(
        &format!("cpu-slot-{slot}"),
        "computetarget",
        slot,
        json!({"phase": "Running", "node": "m"}),
    );
    PodFact {
        role: Role::Placeholder(at(since)),
        ..fact
    }
}

fn busy(slot: u32) -> PodFact {
    pod(
        &format!("busy-{slot}"),
        "run",
        slot,
        json!({"phase": "Running", "node": "m"}),
    )
}

fn ended(slot: u32, second: i64) -> PodFact {
    let state = json!({"terminated": {"exitCode": 0, "finishedAt": at(second).to_string()}});
    let main = json!([{"name": "main", "image": "i", "imageID": "i", "ready": false, "restartCount": 0, "state": state}]);
    pod(
        &format!("ended-{slot}"),
        "run",
        slot,
        json!({"phase": "Succeeded", "containerStatuses": main}),
    )
}

fn queue(runs: &[&str]) -> Vec<Waiting> {
    runs.iter()
        .map(|run| Waiting {
            run: (*run).into(),
            attempt: 1,
        })
        .collect()
}

fn decide(min: u32, max: u32, now: i64, pods: &[PodFact], runs: &[&str]) -> Plan {
    let idle = SignedDuration::from_secs(IDLE);
    plan(&Input {
        min,
        max,
        idle,
        now: at(now),
        pods,
        held_back: false,
        queue: &queue(runs),
    })
}

/// The steps in short: `a@0` starts run a in slot 0, `+1` holds slot 1, `-cpu-slot-2` removes a pod.
fn short(plan: &Plan) -> Vec<String> {
    let one = |step: &Step| match step {
        Step::Start { waiting, slot } => format!("{}@{slot}", waiting.run),
        Step::Hold { slot, .. } => format!("+{slot}"),
        Step::Release(pod) => format!("-{}", pod.key.name),
    };
    plan.steps.iter().map(one).collect()
}

#[test]
fn runs_start_in_order_until_all_nodes_are_busy() {
    let plan = decide(0, 2, 0, &[], &["a", "b", "c"]);
    assert_eq!(short(&plan), ["a@0", "b@1"]);
    assert_eq!(plan.waiting, queue(&["c"]));
    assert_eq!(plan.target_nodes, 2);
}

#[test]
fn a_slot_whose_run_ended_goes_to_the_next_run_at_once() {
    let plan = decide(0, 2, 100, &[ended(0, 99), busy(1)], &["c"]);
    assert_eq!(short(&plan), ["c@0"]);
}

#[test]
fn a_slot_whose_run_ended_is_kept_warm_until_its_idle_time_is_over() {
    let pods = [ended(0, 100)];
    let plan = decide(0, 2, 101, &pods, &[]);
    assert_eq!(short(&plan), ["+0"]);
    assert_eq!(plan.wake, Some(at(100 + IDLE)));
    assert!(short(&decide(0, 2, 100 + IDLE, &pods, &[])).is_empty());
}

#[test]
fn an_idle_node_leaves_exactly_when_its_time_is_over() {
    let pods = [placeholder(0, 100)];
    assert_eq!(short(&decide(0, 2, 99 + IDLE, &pods, &[])), ["+0"]);
    let plan = decide(0, 2, 100 + IDLE, &pods, &[]);
    assert_eq!(
        (short(&plan), plan.target_nodes, plan.wake),
        (vec!["-cpu-slot-0".to_owned()], 0, None)
    );
}

#[test]
fn the_minimum_is_kept_whatever_the_clock_says() {
    assert_eq!(short(&decide(1, 2, 0, &[], &[])), ["+0"]);
    let pods = [placeholder(0, 0), placeholder(1, 10)];
    let plan = decide(1, 2, 10_000, &pods, &[]);
    assert_eq!(
        (short(&plan), plan.wake),
        (vec!["-cpu-slot-0".to_owned(), "+1".to_owned()], None)
    );
}

#[test]
fn a_busy_node_is_never_taken_not_even_above_the_maximum() {
    let plan = decide(0, 1, 10_000, &[busy(0), busy(1), placeholder(2, 0)], &["a"]);
    assert_eq!(short(&plan), ["-cpu-slot-2"]);
    assert_eq!(plan.waiting, queue(&["a"]));
}

#[test]
fn a_maximum_of_zero_pauses_the_queue() {
    assert!(short(&decide(0, 0, 0, &[], &["a"])).is_empty());
}

#[test]
fn a_placeholder_makes_way_only_when_the_run_has_its_machine() {
    let waiting = PodFact {
        bound: false,
        running: false,
        ..busy(0)
    };
    assert!(short(&decide(0, 1, 0, &[waiting, placeholder(0, 0)], &[])).is_empty());
    assert_eq!(
        short(&decide(0, 1, 0, &[busy(0), placeholder(0, 0)], &[])),
        ["-cpu-slot-0"]
    );
}

#[test]
fn the_node_that_was_busy_last_is_used_first_so_that_the_others_can_leave() {
    assert_eq!(
        short(&decide(
            0,
            2,
            60,
            &[placeholder(0, 0), placeholder(1, 50)],
            &["a"]
        )),
        ["a@1", "+0"]
    );
}

#[test]
fn a_placeholder_that_was_evicted_is_removed_and_holds_nothing() {
    let evicted = PodFact {
        live: false,
        ..placeholder(0, 0)
    };
    assert_eq!(
        short(&decide(0, 1, 0, &[evicted], &["a"])),
        ["-cpu-slot-0", "a@0"]
    );
}

/// However the target has been changed and wherever its pods are: never more slots than the maximum, unless busy ones.
#[test]
fn there_are_never_more_slots_than_the_maximum() {
    for max in 0..4 {
        for min in 0..=max {
            for mask in 0..256_u32 {
                let pods: Vec<_> = (0..4)
                    .filter_map(|slot| match mask >> (2 * slot) & 3 {
                        1 => Some(placeholder(slot, i64::from(slot))),
                        2 => Some(busy(slot)),
                        3 => Some(ended(slot, 60)),
                        _ => None,
                    })
                    .collect();
                let plan = decide(min, max, 100, &pods, &["a", "b", "c"]);
                let running = pods
                    .iter()
                    .filter(|p| p.live && p.role == Role::Run)
                    .count();
                let mut slots: BTreeSet<u32> =
                    pods.iter().filter(|p| p.live).map(|p| p.slot).collect();
                for step in &plan.steps {
                    match step {
                        Step::Start { slot, .. } | Step::Hold { slot, .. } => slots.insert(*slot),
                        Step::Release(pod) => slots.remove(&pod.slot),
                    };
                }
                assert!(
                    slots.len() <= running.max(max as usize),
                    "max {max} min {min} mask {mask:b}: {slots:?}"
                );
                assert!(
                    slots.len() >= min as usize,
                    "max {max} min {min} mask {mask:b}: {slots:?}"
                );
            }
        }
    }
}
