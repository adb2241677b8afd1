use super::*;

const PERIODS: Periods = Periods {
    rotate_every: Duration::from_secs(1000),
    authority_life: Duration::from_secs(2000),
    leaf_life: Duration::from_secs(300),
    overlap: Duration::from_secs(50),
    backdate: Duration::from_secs(5),
};
pub const LONG: Duration = Duration::from_secs(50);
pub const SHORT: Duration = Duration::from_secs(49);

pub fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

/// An authority that was made then.
pub fn made(second: i64) -> Option<Life> {
    let life = Life::starting(at(second), PERIODS.backdate, PERIODS.authority_life);
    Some(life)
}

pub fn good(renew_at: i64) -> LeafState {
    LeafState::Good {
        told: true,
        renew_at: at(renew_at),
    }
}

/// An authority made at 0, one good leaf, one target that knows.
fn well(settled_for: Duration) -> State {
    State {
        current: made(0),
        leaves: vec![good(10_000)],
        targets: vec![TargetState::Told],
        settled_for,
        ..State::default()
    }
}

pub fn decide(state: &State, second: i64) -> Step {
    plan(state, at(second), &PERIODS)
}

#[test]
fn while_all_is_well_nothing_is_done_until_the_next_moment_that_matters() {
    let nothing = |second| Step::Nothing { until: at(second) };
    assert_eq!(decide(&well(LONG), 10), nothing(1000));
    let mut state = well(LONG);
    state.leaves.push(good(200));
    assert_eq!(decide(&state, 10), nothing(200));
    state.previous = true;
    state.settled_for = SHORT;
    assert_eq!(decide(&state, 10), nothing(11));
    // Without anything to keep there is still an authority to rotate.
    let bare = State {
        current: made(0),
        ..State::default()
    };
    assert_eq!(decide(&bare, 10), nothing(1000));
    assert_eq!(decide(&bare, 1000), Step::MakeNext);
}

#[test]
fn a_rotation_waits_for_everybody_after_each_step() {
    assert_eq!(decide(&well(Duration::ZERO), 1000), Step::MakeNext);
    let made_next = |settled_for| State {
        next: made(1000),
        ..well(settled_for)
    };
    assert!(matches!(
        decide(&made_next(SHORT), 1100),
        Step::Nothing { .. }
    ));
    assert_eq!(decide(&made_next(LONG), 1100), Step::Promote);
    let promoted = |settled_for| State {
        previous: true,
        current: made(1000),
        ..well(settled_for)
    };
    assert!(matches!(
        decide(&promoted(SHORT), 1200),
        Step::Nothing { .. }
    ));
    assert_eq!(decide(&promoted(LONG), 1200), Step::DropPrevious);
    // The next rotation does not begin before this one is over.
    assert!(matches!(
        decide(&promoted(SHORT), 2100),
        Step::Nothing { .. }
    ));
}

#[test]
fn whoever_does_not_know_yet_holds_the_rotation_up() {
    let state = State {
        next: made(1000),
        ..well(LONG)
    };
    let with = |leaf: Option<LeafState>, target: Option<TargetState>| {
        let mut state = state.clone();
        state.leaves.extend(leaf);
        state.targets.extend(target);
        decide(&state, 1100)
    };
    let mut others = state.clone();
    others.waits_for_others = true;
    assert!(matches!(decide(&others, 1100), Step::Nothing { .. }));
    // Not for ever: the authority is about to expire.
    assert_eq!(decide(&others, 1701), Step::Promote);
    assert_eq!(with(None, Some(TargetState::Absent)), Step::Promote);
    let untold = with(None, Some(TargetState::Untold));
    assert_eq!(untold, Step::Tell(Place::Target(1)));
    for (leaf, target) in [
        (Some(LeafState::Blocked), None),
        (None, Some(TargetState::Blocked)),
    ] {
        assert!(matches!(with(leaf, target), Step::Nothing { .. }));
    }
    let told = false;
    for leaf in [
        LeafState::Old { told },
        LeafState::Good {
            told,
            renew_at: at(0),
        },
    ] {
        assert_eq!(with(Some(leaf), None), Step::Tell(Place::Leaf(1)));
    }
    assert_eq!(with(Some(LeafState::Broken), None), Step::Issue(1));
    let old = LeafState::Old { told: true };
    assert_eq!(with(Some(old), None), Step::Issue(1));
    // One that is due for renewal holds nobody up, but is renewed first.
    assert_eq!(with(Some(good(1100)), None), Step::Issue(1));
    assert_eq!(with(Some(good(1101)), None), Step::Promote);
    // Verifiers before those who show; one after the other.
    let both = with(Some(LeafState::Broken), Some(TargetState::Untold));
    assert_eq!(both, Step::Tell(Place::Target(1)));
}

#[test]
fn an_authority_that_cannot_sign_is_replaced_at_once() {
    let state = |current, next| State {
        current,
        next,
        damaged: true,
        ..well(Duration::ZERO)
    };
    assert_eq!(decide(&state(None, None), 10), Step::MakeFirst);
    assert_eq!(decide(&state(None, made(0)), 10), Step::Promote);
    // Expired, or made by a clock that was far ahead.
    assert_eq!(decide(&state(made(0), None), 2001), Step::MakeFirst);
    assert_eq!(decide(&state(made(1000), None), 10), Step::MakeFirst);
    assert_eq!(decide(&state(made(0), made(900)), 2001), Step::Promote);
    assert_eq!(decide(&state(made(0), made(0)), 2001), Step::MakeFirst);
    // A clock that is a little late.
    assert_eq!(decide(&state(made(14), None), 10), Step::Mend);
    let early = State {
        damaged: false,
        ..state(made(14), None)
    };
    assert!(matches!(decide(&early, 10), Step::Nothing { .. }));
}

#[test]
fn a_next_one_that_is_not_good_is_made_again() {
    let state = State {
        next: made(5000),
        ..well(LONG)
    };
    assert_eq!(decide(&state, 1000), Step::MakeNext);
}

#[test]
fn who_cannot_be_told_does_not_let_everything_expire() {
    let mut state = well(Duration::ZERO);
    state.targets.push(TargetState::Blocked);
    state.next = made(1000);
    // Certificates live 300: from 1700 on they would live shorter than they should.
    assert!(matches!(decide(&state, 1699), Step::Nothing { .. }));
    assert_eq!(decide(&state, 1700), Step::Promote);
    // But what was made a moment ago is given its time.
    state.next = made(1690);
    assert_eq!(decide(&state, 1710), Step::Nothing { until: at(1740) });
    assert_eq!(decide(&state, 1740), Step::Promote);
    state.next = None;
    assert_eq!(decide(&state, 1700), Step::MakeNext);
    state.previous = true;
    assert_eq!(decide(&state, 1700), Step::DropPrevious);
}
