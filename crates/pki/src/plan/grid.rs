//! Every state of a grid.

use super::tests::{LONG, SHORT, at, decide, good, made};
use super::*;

/// The step is one that the state allows, and waiting always ends.
#[test]
fn no_state_is_a_dead_end() {
    let lives = [None, made(-5000), made(0), made(900), made(9000)];
    let leaves = [
        LeafState::Blocked,
        LeafState::Broken,
        LeafState::Old { told: false },
        LeafState::Old { told: true },
        LeafState::Good {
            told: false,
            renew_at: at(1100),
        },
        good(500),
        good(1500),
    ];
    let targets = [
        TargetState::Blocked,
        TargetState::Absent,
        TargetState::Untold,
        TargetState::Told,
    ];
    let mut count = 0;
    for current in lives {
        for next in lives {
            for leaf in leaves {
                for target in targets {
                    for bits in 0..16 {
                        for second in [10, 999, 1000, 1050, 1800, 2000, 2001] {
                            let state = State {
                                damaged: bits & 1 > 0,
                                previous: bits & 2 > 0,
                                waits_for_others: bits & 8 > 0,
                                settled_for: if bits & 4 > 0 { LONG } else { SHORT },
                                current,
                                next,
                                leaves: vec![leaf],
                                targets: vec![target],
                            };
                            is_allowed(&state, second);
                            count += 1;
                        }
                    }
                }
            }
        }
    }
    assert_eq!(count, 5 * 5 * 7 * 4 * 16 * 7);
}

fn is_allowed(state: &State, second: i64) {
    let step = decide(state, second);
    let holds = |life: Option<Life>| life.is_some_and(|life| life.holds(at(second)));
    let allowed = match step {
        Step::Nothing { until } => {
            until > at(second) && holds(state.current) && until <= at(9000 + 2001)
        }
        Step::MakeFirst => !holds(state.current) && !holds(state.next),
        Step::Mend => state.damaged && holds(state.current),
        Step::MakeNext => holds(state.current) && !holds(state.next),
        Step::Promote => {
            let overdue = second >= 1700;
            holds(state.next)
                && (!holds(state.current) || settled(state) && state.settled_for >= LONG || overdue)
        }
        Step::DropPrevious => state.previous && state.next.is_none(),
        Step::Tell(Place::Target(0)) => state.targets[0] == TargetState::Untold,
        Step::Tell(Place::Leaf(0)) => matches!(
            state.leaves[0],
            LeafState::Old { told: false } | LeafState::Good { told: false, .. }
        ),
        Step::Issue(0) => match state.leaves[0] {
            LeafState::Good { renew_at, .. } => renew_at <= at(second),
            leaf => leaf != LeafState::Blocked,
        },
        Step::Tell(_) | Step::Issue(_) => false,
    };
    assert!(allowed, "{step:?} at {second} in {state:?}");
}
