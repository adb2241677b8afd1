use jiff::SignedDuration;

use super::*;
use crate::authority::Authority;
use crate::config::{Periods, Purpose};

fn leaf() -> Leaf {
    Leaf {
        secret_name: "serving".into(),
        common_name: "serving".into(),
        dns_names: vec!["a.b.svc".into()],
        ips: vec!["10.0.0.1".parse().unwrap()],
        purpose: Purpose::Server,
    }
}

fn start() -> (Timestamp, Authorities, Secret) {
    let (now, periods) = (Timestamp::now(), Periods::default());
    let authorities = Authorities::default().with_first(Authority::make(now, &periods).unwrap());
    let current = authorities.current.as_ref().unwrap();
    let issued = current.issue(&leaf(), now, &periods).unwrap();
    let secret = with_certificate(None, &leaf(), issued, authorities.bundle()).unwrap();
    (now, authorities, secret)
}

fn good(state: &LeafState) -> bool {
    matches!(state, LeafState::Good { told: true, .. })
}

#[test]
fn what_was_just_issued_is_good_until_it_has_expired() {
    let (now, authorities, secret) = start();
    let at = |seconds| {
        let now = now + SignedDuration::from_secs(seconds);
        inspect(Some(&secret), &leaf(), &authorities, now)
    };
    let renew_at = match at(0) {
        LeafState::Good { renew_at, .. } => renew_at,
        other => panic!("{other:?}"),
    };
    let days = renew_at.duration_since(now).as_secs_f64() / 86400.0;
    assert!((19.99..20.01).contains(&days), "{days}");
    assert!(good(&at(-200)) && good(&at(29 * 86400)));
    // Not good yet by a clock that went back, not good any more after a long time.
    assert_eq!(at(-400), LeafState::Broken);
    assert_eq!(at(31 * 86400), LeafState::Broken);
    assert_eq!(secret.type_.as_deref(), Some("kubernetes.io/tls"));
}

#[test]
fn every_kind_of_damage_is_seen() {
    let (now, authorities, secret) = start();
    let (_, _, other) = start();
    let damaged = |damage: &dyn Fn(&mut Secret)| {
        let mut secret = secret.clone();
        damage(&mut secret);
        inspect(Some(&secret), &leaf(), &authorities, now)
    };
    for key in [CERTIFICATE, KEY] {
        for bytes in [
            None,
            Some(b"x".to_vec()),
            entry(&other, key).map(Into::into),
        ] {
            let state = damaged(&|secret| {
                let data = secret.data.get_or_insert_default();
                match &bytes {
                    None => data.remove(key),
                    Some(bytes) => data.insert(key.into(), ByteString(bytes.clone())),
                };
            });
            assert_eq!(state, LeafState::Broken, "{key}");
        }
    }
    assert_eq!(damaged(&|s| s.data = None), LeafState::Broken);
    // It serves, but nothing says for how long.
    let unnoted = damaged(&|s| s.metadata.annotations = None);
    assert_eq!(unnoted, LeafState::Old { told: true });
    let untold = damaged(&|s| {
        s.data.get_or_insert_default().remove(BUNDLE);
    });
    assert!(matches!(untold, LeafState::Good { told: false, .. }));
    // A note that promises more than the certificate keeps.
    let boastful = damaged(&|s| {
        let notes = s.metadata.annotations.get_or_insert_default();
        let mut note: Note = serde_json::from_str(&notes[NOTE]).unwrap();
        note.life.not_after += SignedDuration::from_hours(1);
        notes.insert(NOTE.into(), serde_json::to_string(&note).unwrap());
    });
    assert_eq!(boastful, LeafState::Old { told: true });
    assert_eq!(inspect(None, &leaf(), &authorities, now), LeafState::Broken);
}

#[test]
fn what_was_asked_for_differently_or_signed_by_another_is_old() {
    let (now, authorities, secret) = start();
    let mut wish = leaf();
    wish.common_name = "other".into();
    let state = inspect(Some(&secret), &wish, &authorities, now);
    assert_eq!(state, LeafState::Old { told: true });
    wish.dns_names.push("c.d.svc".into());
    let state = inspect(Some(&secret), &wish, &authorities, now);
    assert_eq!(state, LeafState::Broken);

    let next = Authority::make(now, &Periods::default()).unwrap();
    let next = authorities.with_next(next);
    let state = inspect(Some(&secret), &leaf(), &next, now);
    assert!(matches!(state, LeafState::Good { told: false, .. }));
    let told = with_bundle(secret, next.bundle());
    assert!(good(&inspect(Some(&told), &leaf(), &next, now)));
    let promoted = next.promoted();
    let state = inspect(Some(&told), &leaf(), &promoted, now);
    assert_eq!(state, LeafState::Old { told: true });
    let alone = promoted.without_previous();
    assert_eq!(
        inspect(Some(&told), &leaf(), &alone, now),
        LeafState::Broken
    );
}
