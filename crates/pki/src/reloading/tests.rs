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
    assert!(Arc::ptr_eq(&pair, &reloading.pair().unwrap()));

    reloading.offer(&other);
    let new = reloading.pair().unwrap();
    assert!(accepts(&reloading, &new) && !accepts(&reloading, &pair));
    let shown = format!("{reloading:?}");
    assert_eq!(shown, "Reloading { secret: \"a\", .. }");
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
