//! What opens a service, and what does not.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

use atelier_api::gateway_policy::Revoked;
use atelier_testkit::tokens::{Issuer, at};
use atelier_token::{Bad, SigningKey};

fn revoked(subjects: &[&str], tokens: &[&str]) -> Revoked {
    let all = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    Revoked {
        subjects: all(subjects),
        tokens: all(tokens),
    }
}

#[test]
fn a_token_says_whom_it_was_given_to_from_half_a_minute_before_until_its_end() {
    let issuer = Issuer::new();
    let (token, verifier) = (issuer.token(), issuer.verifier(Revoked::default()));
    let judge = |second| verifier.verify(token.as_bytes(), at(second));
    assert_eq!(judge(0).unwrap().subject, "rita");
    assert_eq!(judge(-31), Err(Bad::Early));
    assert!(judge(-30).is_ok() && judge(3599).is_ok());
    assert_eq!(judge(3600), Err(Bad::Expired));
    assert_eq!(issuer.claims().refresh_after(), at(1800).as_second());
}

#[test]
fn what_was_signed_by_hand_as_ours_are_is_good() {
    let issuer = Issuer::new();
    let claims = serde_json::to_string(&issuer.claims()).unwrap();
    let token = issuer.sign(&issuer.header(), &claims);
    let verifier = issuer.verifier(Revoked::default());
    assert!(verifier.verify(token.as_bytes(), at(1)).is_ok());
}

#[test]
fn who_is_revoked_and_what_is_revoked_opens_nothing() {
    for (revoked, expected) in [
        (revoked(&["rita"], &[]), Err(Bad::Revoked)),
        (revoked(&[], &["a-token"]), Err(Bad::Revoked)),
        (revoked(&["rit"], &["rita"]), Ok(())),
    ] {
        let issuer = Issuer::new();
        let judged = issuer
            .verifier(revoked)
            .verify(issuer.token().as_bytes(), at(1));
        assert_eq!(judged.map(drop), expected);
    }
}

#[test]
fn a_key_is_known_again_by_its_stored_form_and_never_shown() {
    let key = SigningKey::generate().unwrap();
    let again = SigningKey::from_pkcs8(key.pkcs8()).unwrap();
    assert_eq!(again, key);
    let shown = format!("{key:?}");
    assert!(shown.contains(&key.public().id) && !shown.contains("pkcs8"));
    assert!(SigningKey::from_pkcs8(b"no key").is_err());
}

#[test]
fn more_than_two_hundred_bad_tokens_open_nothing() {
    let issuer = Issuer::new();
    let (bad, verifier) = (issuer.bad_tokens(), issuer.verifier(Revoked::default()));
    assert!(bad.len() >= 200, "{}", bad.len());
    for (why, token) in &bad {
        let judged = verifier.verify(token.as_bytes(), at(1));
        assert!(judged.is_err(), "{why}: {token}");
    }
    let good = issuer.token();
    assert!(verifier.verify(good.as_bytes(), at(1)).is_ok());
}
