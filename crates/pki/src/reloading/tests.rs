use jiff::Timestamp;
use rustls::pki_types::{ServerName, UnixTime};

use super::*;
use crate::authority::Authority;
use crate::config::{Leaf, Periods, Purpose};
use crate::leaf::with_certificate;

fn secret() -> Secret {
    let (now, periods) = (Timestamp::now(), Periods::default());
    let authority = Authority::make(now, &periods).unwrap();
    let leaf = Leaf {
        secret_name: "a".into(),
        common_name: "a".into(),
        dns_names: vec!["a.b.svc".into()],
        ips: Vec::new(),
        purpose: Purpose::Server,
    };
    let issued = authority.issue(&leaf, now, &periods).unwrap();
    with_certificate(None, &leaf, issued, authority.certificate).unwrap()
}

fn accepts(reloading: &Arc<Reloading>, pair: &CertifiedKey) -> bool {
    let name = ServerName::try_from("a.b.svc").unwrap();
    let verifier = reloading.server_verifier();
    let now = UnixTime::now();
    verifier
        .verify_server_cert(&pair.cert[0], &[], &name, &[], now)
        .is_ok()
}

#[tokio::test]
async fn the_latest_that_is_usable_is_used() {
    let reloading = Reloading::new("a");
    let mut ready = Box::pin(reloading.ready());
    assert!(futures::poll!(&mut ready).is_pending());
    assert!(reloading.pair().is_none());
    let one = secret();
    reloading.offer(&one);
    ready.await;
    let pair = reloading.pair().unwrap();
    assert!(accepts(&reloading, &pair));

    let other = secret();
    for (key, from) in [
        (CERTIFICATE, &other),
        (KEY, &other),
        (BUNDLE, &Secret::default()),
    ] {
        let mut bad = one.clone();
        let data = bad.data.get_or_insert_default();
        let bytes = entry(from, key).unwrap_or(b"x");
        data.insert(key.into(), k8s_openapi::ByteString(bytes.to_vec()));
        reloading.offer(&bad);
        assert!(Arc::ptr_eq(&pair, &reloading.pair().unwrap()), "{key}");
    }
    // The same again is nothing new.
    reloading.offer(&one);
    assert_eq!(reloading.generation(), 1);
    assert!(Arc::ptr_eq(&pair, &reloading.pair().unwrap()));

    reloading.offer(&other);
    let new = reloading.pair().unwrap();
    assert_eq!(reloading.generation(), 2);
    assert!(accepts(&reloading, &new) && !accepts(&reloading, &pair));
    let shown = format!("{reloading:?}");
    assert_eq!(shown, "Reloading { secret: \"a\", .. }");
}

#[test]
fn of_others_only_what_is_for_the_name_and_not_over_replaces_what_there_is() {
    let periods = Periods::default();
    let made = |name: &str, at: Timestamp| {
        let leaf = Leaf {
            secret_name: "a".into(),
            common_name: "a".into(),
            dns_names: vec![name.into()],
            ips: Vec::new(),
            purpose: Purpose::Server,
        };
        let authority = Authority::make(at, &periods).unwrap();
        let issued = authority.issue(&leaf, at, &periods).unwrap();
        with_certificate(None, &leaf, issued, authority.certificate).unwrap()
    };
    let (now, long_ago) = (
        Timestamp::now(),
        Timestamp::from_second(1_000_000_000).unwrap(),
    );
    let reloading = Reloading::of_others("a", Some("a.example.com".into()));
    reloading.offer(&made("b.example.com", now));
    assert_eq!(reloading.generation(), 0);
    // Better than none.
    reloading.offer(&made("a.example.com", long_ago));
    assert_eq!(reloading.generation(), 1);
    reloading.offer(&made("a.example.com", now));
    assert_eq!(reloading.generation(), 2);
    for bad in [made("a.example.com", long_ago), made("b.example.com", now)] {
        reloading.offer(&bad);
        assert_eq!(reloading.generation(), 2);
    }
}

#[test]
fn a_copy_is_taken_until_the_secret_itself_was_seen() {
    let reloading = Reloading::new("a");
    let (copy, watched) = (secret(), secret());
    reloading.offer_copy(&copy);
    assert_eq!(reloading.generation(), 1);
    *reloading.lock() = true;
    reloading.offer(&watched);
    reloading.offer_copy(&copy);
    assert_eq!(reloading.generation(), 2);
    assert!(reloading.is_watched());
}

#[test]
fn without_authorities_nobody_is_trusted() {
    let reloading = Reloading::new("a");
    let mut alone = secret();
    alone.data.get_or_insert_default().remove(BUNDLE);
    reloading.offer(&alone);
    let pair = reloading.pair().unwrap();
    assert!(!accepts(&reloading, &pair));
}

/// What two readers hold whose Secrets are of one authority: a server, and a client of each name.
fn of_one_authority(clients: [&str; 2]) -> (Arc<Reloading>, [Arc<CertifiedKey>; 2]) {
    let (now, periods) = (Timestamp::now(), Periods::default());
    let authority = Authority::make(now, &periods).unwrap();
    let reader = |name: &str, purpose| {
        let leaf = Leaf {
            secret_name: "a".into(),
            common_name: name.into(),
            dns_names: vec![name.into()],
            ips: Vec::new(),
            purpose,
        };
        let issued = authority.issue(&leaf, now, &periods).unwrap();
        let bundle = authority.certificate.clone();
        let reloading = Reloading::new("a");
        reloading.offer(&with_certificate(None, &leaf, issued, bundle).unwrap());
        reloading
    };
    let pair = |name| reader(name, Purpose::Client).pair().unwrap();
    (reader("a.b.svc", Purpose::Server), clients.map(pair))
}

#[test]
fn of_the_clients_of_one_authority_only_the_one_of_the_name_is_let_in() {
    let (server, [named, other]) = of_one_authority(["operator.b.svc", "other.b.svc"]);
    let verifier = server.client_verifier_for("operator.b.svc").unwrap();
    let accepts = |pair: &CertifiedKey| {
        let now = UnixTime::now();
        verifier.verify_client_cert(&pair.cert[0], &[], now).is_ok()
    };
    assert!(accepts(&named) && !accepts(&other));
    // A server's certificate is none of a client, whatever its name.
    let (of_server, _) = of_one_authority(["x.b.svc", "y.b.svc"]);
    let verifier = of_server.client_verifier_for("a.b.svc").unwrap();
    let shown = of_server.pair().unwrap();
    let now = UnixTime::now();
    assert!(
        verifier
            .verify_client_cert(&shown.cert[0], &[], now)
            .is_err()
    );
    assert!(server.client_verifier_for("not a name").is_err());
    assert!(server.client_verifier_for("10.0.0.1").is_err());
}
