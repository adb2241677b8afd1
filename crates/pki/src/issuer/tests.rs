use std::time::Duration;

use jiff::SignedDuration;
use sha2::{Digest as _, Sha256};

use super::*;
use crate::authority::Authority;
use crate::config::Purpose;

const DAY: i64 = 86400;

fn leaf(name: &str) -> Leaf {
    Leaf {
        secret_name: format!("{name}-tls"),
        common_name: name.into(),
        dns_names: vec![format!("{name}.a.svc")],
        ips: vec![],
        purpose: Purpose::Server,
    }
}

/// An issuer with an authority, that authority, a note of what it has issued, and when.
fn start() -> (Arc<Issuer>, Authorities, Note, Timestamp) {
    let (now, periods) = (Timestamp::now(), Periods::default());
    let issuer = Issuer::new(periods);
    let authorities = Authorities::default().with_first(Authority::make(now, &periods).unwrap());
    issuer.follow(&authorities);
    let note = note(&issuer, &leaf("a"), now);
    (issuer, authorities, note, now)
}

fn note(issuer: &Issuer, leaf: &Leaf, now: Timestamp) -> Note {
    Note::read(&issuer.issue(leaf, now).unwrap()[NOTE]).unwrap()
}

#[test]
fn what_was_just_issued_is_kept_until_two_thirds_of_its_life_are_over() {
    let (issuer, _, note, now) = start();
    let at = |days: i64| {
        issuer.judge(
            &note,
            &leaf("a"),
            now + SignedDuration::from_secs(days * DAY),
        )
    };
    let renew_at = at(0).unwrap();
    assert!((19..=20).contains(&(renew_at.duration_since(now).as_secs() / DAY)));
    assert_eq!(at(19), Some(renew_at));
    // Due, expired, and not good yet by a clock that went back.
    assert_eq!([at(20), at(21), at(40), at(-1)], [None; 4]);
}

#[test]
fn another_wish_another_signer_and_another_bundle_call_for_another_certificate() {
    let (issuer, authorities, first, now) = start();
    assert_eq!(issuer.judge(&first, &leaf("b"), now), None);
    let next = || Authority::make(now, &Periods::default()).unwrap();
    let with_next = authorities.with_next(next());
    issuer.follow(&with_next);
    assert!(!issuer.is_current(&first));
    assert_eq!(issuer.judge(&first, &leaf("a"), now), None);
    let told = note(&issuer, &leaf("a"), now);
    assert!(issuer.is_current(&told));
    let promoted = with_next.promoted();
    issuer.follow(&promoted);
    assert_eq!(issuer.judge(&told, &leaf("a"), now), None);
    issuer.follow(&Authorities::default());
    assert_eq!(issuer.judge(&told, &leaf("a"), now), None);
    assert!(!issuer.is_ready() && issuer.issue(&leaf("a"), now).is_err());
}

#[test]
fn what_the_secret_of_the_authority_says_is_enough_to_sign() {
    let (issuer, authorities, _, now) = start();
    let secret = |data| Secret {
        data,
        ..Secret::default()
    };
    let kept = secret(Some(authorities.data().unwrap()));
    let another = Issuer::of_secret(&kept, Periods::default()).unwrap();
    assert!(issuer.is_current(&note(&another, &leaf("a"), now)));
    let lost = Issuer::of_secret(&secret(None), Periods::default());
    assert!(matches!(lost, Err(Error::Missing(_))));
}

#[test]
fn a_note_cannot_lengthen_a_life() {
    let (issuer, _, honest, now) = start();
    type Forgery = fn(&mut Life, fn(&mut Timestamp));
    let later = |moment: &mut Timestamp| *moment += SignedDuration::from_secs(400 * DAY);
    let forged: [Forgery; 3] = [
        |life, later| later(&mut life.not_after),
        |life, later| {
            later(&mut life.created);
            later(&mut life.not_after);
        },
        |life, later| later(&mut life.created),
    ];
    for forge in forged {
        let mut note = honest.clone();
        forge(&mut note.life, later);
        assert_eq!(issuer.judge(&note, &leaf("a"), now), None, "{note:?}");
    }
}

#[test]
fn a_note_knows_the_digest_of_every_entry_and_no_entry() {
    let (issuer, _, _, now) = start();
    let data = issuer.issue(&leaf("a"), now).unwrap();
    let note = Note::read(&data[NOTE]).unwrap();
    let digests = note.digests().unwrap();
    assert_eq!(digests.len(), data.len());
    for (name, value) in &data {
        assert_eq!(
            digests[name],
            <[u8; 32]>::from(Sha256::digest(value)),
            "{name}"
        );
    }
    let text = note.to_json().unwrap();
    assert!(
        !text.contains("PRIVATE") && !text.contains("BEGIN"),
        "{text}"
    );
    // What is kept of a Secret's documents is short; names can be as long as Kubernetes has them.
    let mut longest = leaf(&"n".repeat(63));
    let name = format!("{0}.{0}.svc", "n".repeat(63));
    longest.dns_names = vec![name.clone(), name.clone() + ".cluster.local", name];
    let data = issuer.issue(&longest, now).unwrap();
    assert!(data[NOTE].len() < 1500, "{}", data[NOTE].len());
    assert_eq!(Note::read(&data[NOTE]).unwrap().leaf, longest);
    for broken in ["", "{}", "null"] {
        assert_eq!(Note::read(broken.as_bytes()), None);
    }
    let short = text.replacen("\"key\":\"", "\"key\":\"0", 1);
    assert_eq!(Note::read(short.as_bytes()), None);
}

#[tokio::test]
async fn whoever_waits_hears_of_another_authority_and_of_nothing_else() {
    let (issuer, authorities, _, now) = start();
    let mut changes = issuer.changes();
    issuer.follow(&authorities);
    assert!(!changes.has_changed().unwrap());
    let next = Authority::make(now, &Periods::default()).unwrap();
    issuer.follow(&authorities.with_next(next));
    tokio::time::timeout(Duration::from_secs(5), changes.changed())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(issuer.repairs(), 0);
    issuer.wrote(false);
    issuer.written_by_others().await;
    assert_eq!(issuer.repairs(), 0);
    issuer.wrote(true);
    assert_eq!(issuer.repairs(), 1);
}
