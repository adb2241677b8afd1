//! The status of a compute target: pure.

use std::collections::BTreeMap;

use atelier_api::conditions::{READY, STALLED, reasons};
use atelier_api::v1alpha1::{AllocationState, NodeCounts, NodeError};
use atelier_api::{ComputeTarget, ComputeTargetStatus};
use jiff::Timestamp;

use super::board::Notice;
use super::plan::Plan;
use super::slots::{self, PodFact};
use crate::kit::conditions::{Conditions, shortened};
use crate::workspace::gate::Shut;

/// Node errors that are listed.
const LISTED: usize = 10;

/// A pod that the API server did not take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The slot it was for.
    pub slot: u32,
    /// The run it was for.
    pub run: Option<String>,
    /// HTTP status.
    pub code: u16,
    /// What the API server said.
    pub message: String,
}

impl Refusal {
    /// What the run is told. A quota or policy (403) may change its mind; anything else is in the run itself.
    pub fn notice(&self) -> Option<(String, Notice)> {
        let run = self.run.clone()?;
        let sentence = match self.code {
            403 => format!("Queued: its node cannot be made yet: {}", self.message),
            _ => format!(
                "the API server does not take the run's pod: {}",
                self.message
            ),
        };
        Some((
            run,
            Notice {
                position: None,
                sentence,
                refused: self.code != 403,
            },
        ))
    }
}

/// What a status tells of.
pub struct View<'a> {
    /// What was decided.
    pub plan: &'a Plan,
    /// What the API server did not take.
    pub refusals: &'a [Refusal],
    /// The pods after it was done.
    pub pods: &'a [PodFact],
    /// The grant that holds all runs back, if one does.
    pub missing: Option<&'a str>,
}

/// The status of a target whose workspace is missing.
pub fn shut(target: &ComputeTarget, shut: &Shut, now: Timestamp) -> ComputeTargetStatus {
    let before = target
        .status
        .as_ref()
        .map(|s| s.conditions.as_slice())
        .unwrap_or_default();
    ComputeTargetStatus {
        observed_generation: target.metadata.generation,
        r#type: Some("Managed".into()),
        nodes: Some(format!("0+0/{}", target.spec.managed.nodes.max)),
        allocation_state: Some(AllocationState::Steady),
        conditions: Conditions::new(before, target.metadata.generation, now)
            .set(READY, Some(false), shut.reason, &shut.message)
            .set(STALLED, Some(true), shut.reason, &shut.message)
            .build(),
        ..ComputeTargetStatus::default()
    }
}

/// The status that tells of a view.
pub fn status(target: &ComputeTarget, view: &View, now: Timestamp) -> ComputeTargetStatus {
    let before = target
        .status
        .as_ref()
        .map(|s| s.conditions.as_slice())
        .unwrap_or_default();
    let held = slots::held(view.pods);
    let counts = count(&held);
    let errors = errors(&held, view.refusals);
    let current = i32::try_from(held.len()).unwrap_or(i32::MAX);
    let wanted = i32::try_from(view.plan.target_nodes).unwrap_or(i32::MAX);
    let queued = view.plan.waiting.len()
        + view
            .refusals
            .iter()
            .filter(|r| r.run.is_some() && r.code == 403)
            .count();
    let resizing = current != wanted || counts.preparing + counts.leaving > 0;
    let max = target.spec.managed.nodes.max;
    let (reason, message) = match (view.missing, errors.first()) {
        (Some(missing), _) => (reasons::GRANT_MISSING, missing.to_owned()),
        (None, Some(error)) => {
            let first = format!(
                "{} nodes cannot start; slot {}: {}",
                errors.len(),
                error.slot,
                error.message
            );
            (reasons::NODES_UNUSABLE, first)
        }
        (None, None) if resizing => (reasons::RESIZING, resizing_message(&held, &counts, wanted)),
        (None, None) => (
            reasons::STEADY,
            format!("{current} of at most {max} nodes are there"),
        ),
    };
    ComputeTargetStatus {
        observed_generation: target.metadata.generation,
        r#type: Some("Managed".into()),
        nodes: Some(format!(
            "{}+{}/{max}",
            counts.running + counts.preparing,
            counts.idle
        )),
        allocation_state: Some(if resizing {
            AllocationState::Resizing
        } else {
            AllocationState::Steady
        }),
        current_nodes: current,
        target_nodes: wanted,
        node_counts: counts,
        queued: i32::try_from(queued).unwrap_or(i32::MAX),
        // A target is ready when runs may be given to it; nodes that cannot start are told beside that.
        conditions: Conditions::new(before, target.metadata.generation, now)
            .set(READY, Some(true), reason, &message)
            .build(),
        errors,
    }
}

fn resizing_message(
    held: &BTreeMap<u32, slots::Slot<'_>>,
    counts: &NodeCounts,
    wanted: i32,
) -> String {
    let waits = held.iter().find_map(|(id, slot)| {
        let why = slot.run.or(slot.placeholder)?.seen.pod()?;
        Some((id, why.unschedulable.as_ref()?))
    });
    let why = waits.map(|(id, why)| format!("; slot {id} waits for a machine: {why}"));
    let there = counts.running + counts.idle;
    let why = why.unwrap_or_default();
    format!("{there} of {wanted} nodes are there{why}")
}

fn count(held: &BTreeMap<u32, slots::Slot<'_>>) -> NodeCounts {
    let mut counts = NodeCounts::default();
    for slot in held.values() {
        let Some(pod) = slot.run.or(slot.placeholder) else {
            continue;
        };
        let of_run = slot.run.is_some();
        let counter = match pod {
            pod if pod.cannot_start.is_some() => &mut counts.unusable,
            pod if pod.seen.deleting => &mut counts.leaving,
            pod if !pod.running => &mut counts.preparing,
            _ if of_run => &mut counts.running,
            _ => &mut counts.idle,
        };
        *counter += 1;
    }
    counts
}

fn errors(held: &BTreeMap<u32, slots::Slot<'_>>, refusals: &[Refusal]) -> Vec<NodeError> {
    let entry = |slot: u32, reason: &str, message: &str| NodeError {
        slot: i32::try_from(slot).unwrap_or(i32::MAX),
        reason: reason.into(),
        message: shortened(message).chars().take(500).collect(),
    };
    let stuck = held.iter().filter_map(|(id, slot)| {
        let (reason, message) = slot.run.or(slot.placeholder)?.cannot_start.as_ref()?;
        Some(entry(*id, reason, message))
    });
    let refused = refusals.iter().map(|refusal| {
        let reason = if refusal.code == 403 {
            "QuotaOrPolicy"
        } else {
            "Refused"
        };
        entry(refusal.slot, reason, &refusal.message)
    });
    stuck.chain(refused).take(LISTED).collect()
}
