use super::*;

const RULES: Rules = Rules {
    min: 1,
    max: 10,
    target: 70,
    concurrency: 1,
    window: Duration::from_secs(60),
};

fn load(busy: u32, queued: u32) -> Heard {
    Heard::Load(Load {
        busy_milli: busy * 1000,
        queued_milli: queued * 1000,
    })
}

/// A play: the time in milliseconds, what is heard, and how many there are to be then.
fn play(rules: &Rules, desired: u32, steps: &[(u64, &[Heard], u32)]) -> State {
    let (mut state, begin) = (State::new(desired), Instant::now());
    for (at, heard, wanted) in steps {
        let now = begin + Duration::from_millis(*at);
        let decision = state.decide(rules, heard, now);
        assert_eq!(decision.desired, *wanted, "after {at} ms");
        state.desired = decision.desired;
    }
    state
}

#[test]
fn a_demand_takes_as_many_as_keep_it_below_the_target() {
    for (target, concurrency, demand_milli, wanted) in [
        (70, 1, 0, 0),
        (70, 1, 1, 1),
        (70, 1, 700, 1),
        (70, 1, 701, 2),
        (70, 1, 7_000, 10),
        (70, 1, 4_000, 6),
        (50, 4, 2_000, 1),
        (50, 4, 2_001, 2),
        (100, 1, 3_000, 3),
        (1, 1, u64::MAX / 2, u32::MAX),
    ] {
        let rules = Rules {
            target,
            concurrency,
            ..RULES
        };
        assert_eq!(rules.wanted(demand_milli), wanted, "{demand_milli}");
    }
}

#[test]
fn more_come_at_once_and_fewer_after_the_window() {
    let (much, little) = ([load(1, 3)], [load(0, 0); 6]);
    play(
        &RULES,
        1,
        &[
            (0, &[load(0, 0)], 1),
            (100, &much, 6),
            (5_000, &little, 6),
            (64_900, &little, 6),
            (66_100, &little, 1),
        ],
    );
}

#[test]
fn it_goes_down_to_the_most_that_was_wanted_in_the_window_and_no_further() {
    let (high, middle, low) = ([load(1, 6)], [load(2, 0); 2], [load(0, 0); 3]);
    play(
        &RULES,
        1,
        &[
            (0, &high, 10),
            (1_000, &low, 10),
            (30_000, &middle, 10),
            (31_000, &low, 10),
            (63_000, &low, 6),
            (94_000, &low, 1),
        ],
    );
}

#[test]
fn who_has_just_started_takes_nothing_away_before_the_window_was_heard_and_adds_at_once() {
    let idle = [load(0, 0); 5];
    let unknown = [
        Heard::NotYet,
        load(0, 0),
        load(0, 0),
        load(0, 0),
        load(0, 0),
    ];
    play(
        &RULES,
        5,
        &[
            (0, &[Heard::NotYet; 5], 5),
            (7_000, &unknown, 5),
            (14_000, &idle, 5),
            (61_000, &idle, 5),
            (73_900, &idle, 5),
            (74_000, &idle, 1),
        ],
    );
    play(&RULES, 5, &[(0, &[Heard::NotYet, load(1, 6)], 10)]);
}

#[test]
fn a_silent_replica_keeps_all_and_begins_the_window_anew() {
    let (idle, silent) = ([load(0, 0); 2], [Heard::Silent, load(0, 0)]);
    let steps: &[(u64, &[Heard], u32)] = &[
        (0, &idle, 4),
        (50_000, &silent, 4),
        (100_000, &silent, 4),
        (150_000, &idle, 4),
        (200_000, &idle, 4),
        (210_000, &idle, 1),
    ];
    play(&RULES, 4, steps);
    // It does not keep others from coming.
    play(&RULES, 4, &[(0, &[Heard::Silent, load(1, 5)], 9)]);
}

#[test]
fn one_that_is_new_holds_up_nothing() {
    let idle = [load(0, 0); 2];
    let with_new = [load(0, 0), load(0, 0), Heard::NotYet];
    play(
        &RULES,
        3,
        &[(0, &idle, 3), (30_000, &with_new, 3), (60_000, &idle, 1)],
    );
}

#[test]
fn the_bounds_hold_at_once() {
    let idle = [load(0, 0)];
    let rules = Rules {
        min: 2,
        max: 4,
        ..RULES
    };
    play(&rules, 1, &[(0, &[], 2)]);
    play(&rules, 9, &[(0, &idle, 4)]);
    play(&rules, 2, &[(0, &[load(1, 100)], 4)]);
}

#[test]
fn nothing_is_decided_where_nobody_answers() {
    let mut state = State::new(3);
    let decision = state.decide(&RULES, &[], Instant::now());
    let (standing, utilization) = (decision.standing, decision.utilization);
    assert_eq!((standing, utilization), (Standing::NoneAnswers, None));
    assert_eq!((decision.desired, decision.changes_at), (3, None));
}

#[test]
fn at_the_maximum_it_is_told_that_more_would_be_needed_until_the_window_is_over() {
    let (mut state, begin) = (State::new(10), Instant::now());
    let mut at = |ms: u64, heard: &[Heard]| {
        let now = begin + Duration::from_millis(ms);
        let decision = state.decide(&RULES, heard, now);
        (decision.standing, decision.changes_at.map(|at| at - begin))
    };
    let seconds = |s: u64| Some(Duration::from_secs(s));
    assert_eq!(at(0, &[load(1, 7); 1]), (Standing::AtMaximum, None));
    assert_eq!(
        at(9_000, &[load(7, 0); 1]),
        (Standing::AtMaximum, seconds(70))
    );
    assert_eq!(at(70_000, &[load(7, 0); 1]).0, Standing::Following);
}

#[test]
fn utilisation_is_a_share_of_all_turns_of_those_that_answer() {
    let percent = |heard: &[Heard], concurrency| {
        let rules = Rules {
            concurrency,
            ..RULES
        };
        State::new(1)
            .decide(&rules, heard, Instant::now())
            .utilization
    };
    assert_eq!(percent(&[load(1, 1)], 1), Some(200));
    assert_eq!(percent(&[load(1, 0), load(0, 0)], 1), Some(50));
    assert_eq!(percent(&[load(4, 0), Heard::NotYet], 4), Some(50));
    assert_eq!(percent(&[Heard::NotYet], 4), None);
}

#[test]
fn it_is_known_when_fewer_may_do() {
    let (mut state, begin) = (State::new(1), Instant::now());
    let heard = [load(1, 0)];
    let decision = state.decide(&RULES, &heard, begin);
    assert_eq!((decision.desired, decision.changes_at), (2, None));
    state.desired = 2;
    let later = begin + Duration::from_secs(10);
    let decision = state.decide(&RULES, &[load(0, 0); 2], later);
    assert_eq!(decision.changes_at, Some(later + Duration::from_secs(61)));
}

#[test]
fn memory_is_bounded() {
    let (mut state, begin) = (State::new(1), Instant::now());
    for tenth in 0..10_000_u64 {
        let now = begin + Duration::from_millis(100 * tenth);
        state.decide(&RULES, &[load(1, 0)], now);
    }
    assert!(
        state.peaks.len() <= PARTS as usize + 2,
        "{}",
        state.peaks.len()
    );
}
