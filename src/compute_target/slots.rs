//! A target's pods as facts: which slot each holds, and what it is doing there.
//!
//! A node is a slot, numbered from 0. An idle slot is held by a placeholder pod, a busy one by a run's pod; while the
//! one hands over to the other, both hold it. The slots there are, are the distinct numbers.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::kit::child::ChildKey;
use crate::kit::children::Seen;
use crate::run::outcome;

/// One pod of a target.
#[derive(Clone, Debug)]
pub struct PodFact {
    /// Which pod.
    pub key: ChildKey,
    /// Exactly which version of it.
    pub seen: Seen,
    /// The slot it holds, or held.
    pub slot: u32,
    /// What it is.
    pub role: Role,
    /// Whether it still holds its slot. One that is being deleted does, until it is gone.
    pub live: bool,
    /// Whether it has a machine.
    pub bound: bool,
    /// Whether it runs.
    pub running: bool,
    /// Why it cannot start: reason and message.
    pub cannot_start: Option<(String, String)>,
    /// When it ended.
    pub ended: Option<Timestamp>,
}

/// What a pod is to its target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Role {
    /// Keeps an idle slot warm, since then.
    Placeholder(Timestamp),
    /// Executes a run.
    Run,
}

impl PodFact {
    /// Reads a pod. `None` if it holds no slot.
    pub fn of(key: &ChildKey, seen: &Seen) -> Option<Self> {
        let pod = seen.pod()?;
        let (role, slot) = match pod.component.as_deref() {
            // By its name, which nobody can edit: a wrong label is to be put right.
            Some("computetarget") => {
                let (_, slot) = key.name.rsplit_once("-slot-")?;
                let since = pod.idle_since.or(pod.created)?;
                (Role::Placeholder(since), slot.parse().ok()?)
            }
            Some("run") => (Role::Run, pod.slot?),
            _ => return None,
        };
        let ended = outcome::ended(pod);
        Some(Self {
            key: key.clone(),
            seen: seen.clone(),
            slot,
            role,
            live: !pod.is_finished() && (ended.is_none() || seen.deleting),
            bound: pod.node.is_some(),
            running: pod.phase == "Running",
            cannot_start: pod
                .cannot_start()
                .map(|(reason, message)| (reason.into(), message.into())),
            ended,
        })
    }
}

/// One slot that something holds.
#[derive(Clone, Debug, Default)]
pub struct Slot<'a> {
    /// The placeholder, if there is one.
    pub placeholder: Option<&'a PodFact>,
    /// The run's pod, if there is one.
    pub run: Option<&'a PodFact>,
}

impl Slot<'_> {
    /// Since when it has been idle; `None` if it is busy or on its way out.
    pub fn idle_since(&self) -> Option<Timestamp> {
        match (self.run, self.placeholder) {
            (
                None,
                Some(PodFact {
                    role: Role::Placeholder(since),
                    seen,
                    ..
                }),
            ) if !seen.deleting => Some(*since),
            _ => None,
        }
    }
}

/// The slots that are held, by number.
pub fn held(pods: &[PodFact]) -> BTreeMap<u32, Slot<'_>> {
    let mut slots: BTreeMap<u32, Slot> = BTreeMap::new();
    for pod in pods.iter().filter(|pod| pod.live) {
        let slot = slots.entry(pod.slot).or_default();
        match pod.role {
            Role::Placeholder(_) => slot.placeholder = Some(pod),
            Role::Run => slot.run = Some(pod),
        }
    }
    slots
}

/// Slots that nothing holds any more, and when their last run ended.
pub fn vacated(pods: &[PodFact], held: &BTreeMap<u32, Slot<'_>>) -> BTreeMap<u32, Timestamp> {
    let mut vacated = BTreeMap::new();
    for pod in pods
        .iter()
        .filter(|pod| pod.role == Role::Run && !held.contains_key(&pod.slot))
    {
        if let Some(ended) = pod.ended {
            let last = vacated.entry(pod.slot).or_insert(ended);
            *last = ended.max(*last);
        }
    }
    vacated
}
