use serde_json::json;

use super::*;

const DAY: i64 = 86_400;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_000_000_000 + second).expect("a valid time")
}

fn wanted(lifetime_seconds: i64, rotation_seconds: i64, generation: i64) -> Tokens {
    Tokens {
        lifetime_seconds,
        rotation_seconds,
        generation,
    }
}

/// Decides and does.
fn next(stored: Option<&State>, wanted: &Tokens, now: Timestamp) -> State {
    let decision = decide(stored, wanted, now);
    match decision.make {
        None => decision.state,
        Some(signs_from) => {
            let key = SigningKey::generate().expect("a key");
            decision.state.with(&key, signs_from)
        }
    }
}

#[test]
fn the_first_key_signs_at_once_and_stays() {
    let wanted = Tokens::default();
    let state = next(None, &wanted, at(0));
    assert_eq!(state.keys.len(), 1);
    assert_eq!(state.signs(at(0)), state.keys.first());
    let later = decide(Some(&state), &wanted, at(29 * DAY));
    assert!(later.keeps(&state));
    assert_eq!(later.again, at(30 * DAY - 60));
}

#[test]
fn a_successor_is_known_before_it_signs_and_the_one_before_until_its_last_token_is_over() {
    let wanted = Tokens::default();
    let first = next(None, &wanted, at(0));
    let both = next(Some(&first), &wanted, at(30 * DAY - 60));
    let [old, new] = both.keys.as_slice() else {
        panic!("{both:?}");
    };
    assert_eq!(new.signs_from, at(30 * DAY));
    assert_eq!(old.accepted_until, Some(at(31 * DAY + 60)));
    assert_eq!(both.signs(at(30 * DAY - 1)), Some(old));
    assert_eq!(both.signs(at(30 * DAY)), Some(new));
    assert!(decide(Some(&both), &wanted, at(31 * DAY + 59)).keeps(&both));
    let after = next(Some(&both), &wanted, at(31 * DAY + 60));
    assert_eq!(after.keys, both.keys[1..]);
}

#[test]
fn whoever_was_away_for_long_makes_a_successor_that_is_known_before_it_signs() {
    let wanted = Tokens::default();
    let first = next(None, &wanted, at(0));
    let both = next(Some(&first), &wanted, at(90 * DAY));
    assert_eq!(both.signs(at(90 * DAY)), both.keys.first());
    assert_eq!(both.keys[1].signs_from, at(90 * DAY + 60));
}

#[test]
fn a_later_generation_forgets_all_keys_and_an_earlier_one_none() {
    let first = next(None, &wanted(DAY, DAY, 1), at(0));
    let second = next(Some(&first), &wanted(DAY, DAY, 2), at(10));
    assert_eq!(second.keys.len(), 1);
    assert_ne!(second.keys[0].id, first.keys[0].id);
    assert_eq!(second.signs(at(10)), second.keys.first());
    let lowered = decide(Some(&second), &wanted(DAY, DAY, 1), at(20));
    assert!(lowered.keeps(&second));
}

#[test]
fn a_lifetime_that_is_raised_while_a_key_still_signs_keeps_the_key_longer() {
    let short = wanted(60, DAY, 1);
    let first = next(None, &short, at(0));
    let both = next(Some(&first), &short, at(DAY - 60));
    assert_eq!(both.keys[0].accepted_until, Some(at(DAY + 120)));
    let long = wanted(DAY, DAY, 1);
    let raised = next(Some(&both), &long, at(DAY - 30));
    assert_eq!(raised.keys[0].accepted_until, Some(at(2 * DAY + 60)));
    // It signs no more: what is raised now, none of its tokens has.
    let late = decide(Some(&both), &long, at(DAY));
    assert_eq!(late.state.keys[0].accepted_until, Some(at(DAY + 120)));
    // A lifetime that is lowered takes nothing from tokens that were given out.
    let lowered = decide(Some(&raised), &short, at(DAY - 20));
    assert!(lowered.keeps(&raised));
}

#[test]
fn at_the_shortest_rotation_every_token_finds_its_key_all_the_time() {
    let wanted = wanted(60, 15, 1);
    let mut state = next(None, &wanted, at(0));
    let mut given: Vec<(String, i64)> = vec![];
    for second in 0..600 {
        state = next(Some(&state), &wanted, at(second));
        assert!(state.keys.len() <= MOST);
        let document = serde_json::to_vec(&state).expect("writable");
        assert!(document.len() < 4096, "{}", document.len());
        let signs = state.signs(at(second)).expect("one signs");
        given.push((signs.id.clone(), second + 60));
        for (id, end) in given.iter().filter(|(_, end)| *end > second) {
            assert!(state.keys.iter().any(|key| key.id == *id), "{second} {end}");
        }
    }
}

#[test]
fn keys_are_known_again_by_digest_and_what_somebody_changed_is_not() {
    let key = SigningKey::generate().expect("a key");
    let state = decide(None, &Tokens::default(), at(0)).state;
    let state = state.with(&key, at(0));
    let data = state.data(&BTreeMap::new(), Some(&key)).expect("data");
    let view = |data: &BTreeMap<String, Vec<u8>>| {
        let data = data.iter();
        let data: BTreeMap<_, _> = data
            .map(|(name, value)| (name, k8s_openapi::ByteString(value.clone())))
            .collect();
        SecretView::of(&json!({"data": data}))
    };
    assert_eq!(State::of(&view(&data)), Some(state.clone()));
    assert_eq!(State::of_data(&data), Some(state.clone()));
    let mut more = data.clone();
    more.insert("more".into(), vec![1]);
    assert_eq!(State::of(&view(&more)), None);
    assert_eq!(State::of_data(&more), Some(state.clone()));
    let mut other = data;
    let fresh = SigningKey::generate().expect("a key");
    other.insert(state.keys[0].entry(), fresh.pkcs8().to_vec());
    assert_eq!(State::of(&view(&other)), None);
    let left = State::of_data(&other).expect("a document");
    assert_eq!(left.keys, []);
}
