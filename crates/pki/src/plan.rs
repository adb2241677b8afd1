//! What to do next. Pure: the state and the time come in, one step comes out.

use std::time::Duration;

use jiff::Timestamp;

use crate::config::Periods;
use crate::life::{Life, after};

/// All that a decision rests on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// Whether the Secret with the authorities holds something else than what was understood of it.
    pub damaged: bool,
    /// Whether there is an authority that signed before and is still trusted.
    pub previous: bool,
    /// The authority that signs.
    pub current: Option<Life>,
    /// The authority that will sign.
    pub next: Option<Life>,
    /// The certificates, in the order of the configuration.
    pub leaves: Vec<LeafState>,
    /// Who is told whom to trust, in the order of the configuration.
    pub targets: Vec<TargetState>,
    /// Whether a certificate that others keep is of another authority, or has others beside it.
    pub waits_for_others: bool,
    /// For how long everything has been [`settled`] with these authorities, by a clock that nobody can set.
    pub settled_for: Duration,
}

/// How a certificate is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeafState {
    /// It was not seen yet, or cannot be written at the moment.
    Blocked,
    /// There is none that anybody would accept.
    Broken,
    /// It is accepted, but not the one that should be there: the authority before has signed it, or it was asked for
    /// differently.
    Old {
        /// Whether all authorities are beside it.
        told: bool,
    },
    /// It is as it should be.
    Good {
        /// Whether all authorities are beside it.
        told: bool,
        /// When to make it anew.
        renew_at: Timestamp,
    },
}

/// How one who is told whom to trust is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TargetState {
    /// It was not seen yet, or cannot be written at the moment.
    Blocked,
    /// It does not exist, and nobody relies on it.
    Absent,
    /// It trusts somebody else.
    Untold,
    /// It trusts all authorities and nobody else.
    Told,
}

/// Who is to be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The Secret of a certificate.
    Leaf(usize),
    /// A target.
    Target(usize),
}

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing, until then or until something changes.
    Nothing {
        /// When to look again.
        until: Timestamp,
    },
    /// Make an authority that signs at once: there is none that could.
    MakeFirst,
    /// Write the Secret with the authorities as it was understood.
    Mend,
    /// Make the authority that will sign next.
    MakeNext,
    /// Let the next authority sign.
    Promote,
    /// End the trust in the previous authority.
    DropPrevious,
    /// Tell somebody whom to trust.
    Tell(Place),
    /// Make a certificate.
    Issue(usize),
}

/// Whether everybody trusts all authorities, and all certificates are of the one that signs.
pub fn settled(state: &State) -> bool {
    let leaf = |leaf: &LeafState| matches!(leaf, LeafState::Good { told: true, .. });
    let target = |t: &TargetState| matches!(t, TargetState::Told | TargetState::Absent);
    state.leaves.iter().all(leaf) && state.targets.iter().all(target) && !state.waits_for_others
}

/// Decides. One step at a time: after each the world is looked at again.
pub fn plan(state: &State, now: Timestamp, periods: &Periods) -> Step {
    let Some(current) = state.current.filter(|life| life.holds(now)) else {
        return match state.next {
            Some(next) if next.holds(now) => Step::Promote,
            _ => Step::MakeFirst,
        };
    };
    if state.damaged {
        return Step::Mend;
    }
    if state.next.is_some_and(|next| !next.holds(now)) {
        return Step::MakeNext;
    }
    // Those who verify come before those who show.
    tell(state)
        .or_else(|| issue(state, now))
        .or_else(|| advance(state, &current, now, periods))
        .unwrap_or_else(|| Step::Nothing {
            until: until(state, &current, now, periods),
        })
}

fn tell(state: &State) -> Option<Step> {
    let untold_target = |t: &TargetState| *t == TargetState::Untold;
    let untold_leaf = |leaf: &LeafState| {
        matches!(
            leaf,
            LeafState::Old { told: false } | LeafState::Good { told: false, .. }
        )
    };
    let target = state.targets.iter().position(untold_target);
    let leaf = || state.leaves.iter().position(untold_leaf);
    target
        .map(Place::Target)
        .or_else(|| leaf().map(Place::Leaf))
        .map(Step::Tell)
}

fn issue(state: &State, now: Timestamp) -> Option<Step> {
    let due = |leaf: &LeafState| match leaf {
        LeafState::Broken | LeafState::Old { .. } => true,
        LeafState::Good { renew_at, .. } => *renew_at <= now,
        LeafState::Blocked => false,
    };
    state.leaves.iter().position(due).map(Step::Issue)
}

/// The rotation: everybody is given the overlap after each of its steps.
fn advance(state: &State, current: &Life, now: Timestamp, periods: &Periods) -> Option<Step> {
    let everybody_knows = settled(state) && state.settled_for >= periods.overlap;
    // Somebody who cannot be told does not keep everybody else on an authority that is about to expire.
    let overdue = now >= overdue_at(current, periods);
    if let Some(next) = state.next {
        let waited = now >= after(next.created, periods.overlap);
        return (everybody_knows || overdue && waited).then_some(Step::Promote);
    }
    if state.previous {
        return (everybody_knows || overdue).then_some(Step::DropPrevious);
    }
    let due = now >= after(current.created, periods.rotate_every);
    (due || overdue).then_some(Step::MakeNext)
}

/// From then on what is signed could no longer live as long as it should.
fn overdue_at(current: &Life, periods: &Periods) -> Timestamp {
    crate::life::before(current.not_after, periods.leaf_life)
}

/// The next moment at which time alone changes the decision.
fn until(state: &State, current: &Life, now: Timestamp, periods: &Periods) -> Timestamp {
    let renewals = state.leaves.iter().filter_map(|leaf| match leaf {
        LeafState::Good { renew_at, .. } => Some(*renew_at),
        _ => None,
    });
    let waited = state.next.map(|next| after(next.created, periods.overlap));
    let patience = periods.overlap.saturating_sub(state.settled_for);
    let known =
        (settled(state) && (state.previous || state.next.is_some())).then(|| after(now, patience));
    let moments = [
        after(current.created, periods.rotate_every),
        overdue_at(current, periods),
        // It holds for that whole second.
        after(current.not_after, Duration::from_secs(1)),
    ];
    let all = moments
        .into_iter()
        .chain(renewals)
        .chain(waited)
        .chain(known);
    all.filter(|moment| *moment > now)
        .min()
        .unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
#[path = "plan/grid.rs"]
mod grid;
#[cfg(test)]
#[path = "plan/tests.rs"]
mod tests;
