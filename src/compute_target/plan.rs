//! What a compute target does next: pure. Everything is derived from the objects there are and the time, so a
//! restart changes nothing.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};

use super::slots::{self, PodFact, Role};

/// What the decision rests on.
#[derive(Debug)]
pub struct Input<'a> {
    /// Nodes kept when nothing runs.
    pub min: u32,
    /// Nodes at most.
    pub max: u32,
    /// How long a node stays idle before it leaves.
    pub idle: SignedDuration,
    /// The time.
    pub now: Timestamp,
    /// All pods of the target.
    pub pods: &'a [PodFact],
    /// The runs that wait, in order.
    pub queue: &'a [Waiting],
    /// Whether no run may start, for a reason that is not the target's.
    pub held_back: bool,
}

/// A run that waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// Its name.
    pub run: String,
    /// The attempt that is due, from 1.
    pub attempt: i32,
}

/// One thing to do.
#[derive(Clone, Debug)]
pub enum Step {
    /// Make the pod of a run's attempt in a slot.
    Start {
        /// The run and attempt.
        waiting: Waiting,
        /// The slot.
        slot: u32,
    },
    /// See that a slot's placeholder is there and right.
    Hold {
        /// The slot.
        slot: u32,
        /// Since when it has been idle.
        since: Timestamp,
    },
    /// Remove a placeholder.
    Release(Box<PodFact>),
}

/// What a compute target does next.
#[derive(Debug, Default)]
pub struct Plan {
    /// What to do, in this order.
    pub steps: Vec<Step>,
    /// Runs that go on waiting, in order.
    pub waiting: Vec<Waiting>,
    /// Nodes there should be.
    pub target_nodes: u32,
    /// When to look again although nothing changed: an idle node is due to leave.
    pub wake: Option<Timestamp>,
}

impl Plan {
    /// Whether any run is to start.
    pub fn starts_any(&self) -> bool {
        let starts = |step: &Step| matches!(step, Step::Start { .. });
        self.steps.iter().any(starts)
    }
}

/// Decides.
pub fn plan(input: &Input) -> Plan {
    let held = slots::held(input.pods);
    let vacated = slots::vacated(input.pods, &held);
    let mut plan = Plan::default();
    plan.steps
        .extend(spent_placeholders(input.pods).chain(handed_over(&held)));

    // Idle slots by number, with the time since when. A vacated slot counts until its idle time is over.
    let mut idle: BTreeMap<u32, Timestamp> = held
        .iter()
        .filter_map(|(id, s)| Some((*id, s.idle_since()?)))
        .collect();
    idle.extend(
        vacated
            .iter()
            .filter(|(_, since)| **since + input.idle > input.now)
            .map(|(id, since)| (*id, *since)),
    );
    let mut taken: BTreeSet<u32> = held.keys().copied().collect();
    let mut busy = held.values().filter(|slot| slot.run.is_some()).count();
    let max = usize::try_from(input.max).unwrap_or(usize::MAX);

    for waiting in input.queue {
        let slot = if busy < max && !input.held_back {
            next_slot(&held, &idle, &taken, max)
        } else {
            None
        };
        let Some(slot) = slot else {
            plan.waiting.push(waiting.clone());
            continue;
        };
        idle.remove(&slot);
        taken.insert(slot);
        busy += 1;
        plan.steps.push(Step::Start {
            waiting: waiting.clone(),
            slot,
        });
    }

    // Vacated slots that stay, as far as there is room; then as many more as `min` asks for.
    idle.retain(|id, _| taken.contains(id) || (taken.len() < max && taken.insert(*id)));
    while taken.len() < max.min(usize::try_from(input.min).unwrap_or(usize::MAX)) {
        let id = lowest_free(&taken);
        taken.insert(id);
        idle.insert(id, input.now);
    }

    let mut leaving: Vec<_> = idle.iter().map(|(id, since)| (*since, *id)).collect();
    leaving.sort_unstable();
    let min = usize::try_from(input.min).unwrap_or(usize::MAX);
    for (since, id) in leaving {
        let surplus = taken.len() > max;
        let due = since + input.idle <= input.now && taken.len() > min;
        if surplus || due {
            taken.remove(&id);
            idle.remove(&id);
            let placeholder = held.get(&id).and_then(|slot| slot.placeholder);
            plan.steps
                .extend(placeholder.map(|pod| Step::Release(Box::new(pod.clone()))));
        } else if taken.len() > min {
            plan.wake = Some(
                plan.wake
                    .map_or(since + input.idle, |wake| wake.min(since + input.idle)),
            );
        }
    }
    plan.steps.extend(
        idle.into_iter()
            .map(|(slot, since)| Step::Hold { slot, since }),
    );
    plan.target_nodes = u32::try_from(taken.len()).unwrap_or(u32::MAX);
    plan
}

/// Placeholders that ended (evicted, node lost) hold nothing.
fn spent_placeholders(pods: &[PodFact]) -> impl Iterator<Item = Step> {
    let spent = pods
        .iter()
        .filter(|p| !p.live && !p.seen.deleting && matches!(p.role, Role::Placeholder(_)));
    spent.map(|pod| Step::Release(Box::new(pod.clone())))
}

/// Placeholders whose run has its machine: until then they keep the place from everybody else.
fn handed_over(held: &BTreeMap<u32, slots::Slot<'_>>) -> impl Iterator<Item = Step> {
    let both = held
        .values()
        .filter_map(|slot| Some((slot.run?, slot.placeholder?)));
    both.filter(|(run, placeholder)| run.bound && !placeholder.seen.deleting)
        .map(|(_, placeholder)| Step::Release(Box::new(placeholder.clone())))
}

/// The slot for the next run: a warm one that runs, then any warm one (the one idle for the shortest time, so that the
/// others can leave), then a new one.
fn next_slot(
    held: &BTreeMap<u32, slots::Slot<'_>>,
    idle: &BTreeMap<u32, Timestamp>,
    taken: &BTreeSet<u32>,
    max: usize,
) -> Option<u32> {
    let runs = |id: &u32| {
        held.get(id)
            .and_then(|slot| slot.placeholder)
            .is_some_and(|pod| pod.running)
    };
    let warm = idle
        .iter()
        .filter(|(id, _)| taken.contains(id) || taken.len() < max);
    let best = warm.max_by_key(|(id, since)| (runs(id), **since, std::cmp::Reverse(**id)));
    best.map(|(id, _)| *id)
        .or_else(|| (taken.len() < max).then(|| lowest_free(taken)))
}

fn lowest_free(taken: &BTreeSet<u32>) -> u32 {
    (0..).find(|id| !taken.contains(id)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;
