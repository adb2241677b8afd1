use super::*;

fn leaf() -> Leaf {
    Leaf {
        secret_name: "serving".into(),
        common_name: "serving".into(),
        dns_names: vec!["a.b.svc".into(), "*.c.svc".into()],
        ips: vec!["10.0.0.1".parse().unwrap(), "::1".parse().unwrap()],
        purpose: Purpose::Server,
    }
}

#[test]
fn what_is_issued_is_accepted_by_those_who_trust_the_authority_and_by_no_others() {
    let (now, periods) = (Timestamp::now(), Periods::default());
    let authority = Authority::make(now, &periods).unwrap();
    let other = Authority::make(now, &periods).unwrap();
    assert_ne!(authority.name(), other.name());
    let roots = verify::roots(authority.certificate.as_bytes()).unwrap();
    let others = verify::roots(other.certificate.as_bytes()).unwrap();
    for purpose in [Purpose::Server, Purpose::Client] {
        let leaf = Leaf { purpose, ..leaf() };
        let issued = authority.issue(&leaf, now, &periods).unwrap();
        let pair = verify::pair(issued.certificate.as_bytes(), issued.key.0.as_bytes());
        let pair = pair.unwrap();
        for at in [now, issued.life.not_before, issued.life.not_after] {
            verify::accepted(&pair, &leaf, &roots, at).unwrap();
        }
        let late = issued.life.not_after + jiff::SignedDuration::from_secs(1);
        verify::accepted(&pair, &leaf, &roots, late).unwrap_err();
        verify::accepted(&pair, &leaf, &others, now).unwrap_err();
        let swapped = match purpose {
            Purpose::Server => Purpose::Client,
            Purpose::Client => Purpose::Server,
        };
        let swapped = Leaf {
            purpose: swapped,
            ..leaf
        };
        verify::accepted(&pair, &swapped, &roots, now).unwrap_err();
    }
    let mut more = leaf();
    more.dns_names.push("another.svc".into());
    let issued = authority.issue(&leaf(), now, &periods).unwrap();
    let pair = verify::pair(issued.certificate.as_bytes(), issued.key.0.as_bytes()).unwrap();
    verify::accepted(&pair, &more, &roots, now).unwrap_err();
}

#[test]
fn what_is_read_back_signs_as_before_and_a_mix_of_two_is_refused() {
    let (now, periods) = (Timestamp::now(), Periods::default());
    let one = Authority::make(now, &periods).unwrap();
    let two = Authority::make(now, &periods).unwrap();
    let key = |a: &Authority| a.key.0.clone();
    let back = Authority::read(one.certificate.clone(), key(&one), one.life).unwrap();
    let issued = back.issue(&leaf(), now, &periods).unwrap();
    let pair = verify::pair(issued.certificate.as_bytes(), issued.key.0.as_bytes()).unwrap();
    let roots = verify::roots(one.certificate.as_bytes()).unwrap();
    verify::accepted(&pair, &leaf(), &roots, now).unwrap();

    Authority::read(one.certificate.clone(), key(&two), one.life).unwrap_err();
    Authority::read(String::new(), key(&one), one.life).unwrap_err();
    Authority::read(one.certificate.clone(), "x".into(), one.life).unwrap_err();
    let both = format!("{}{}", one.certificate, two.certificate);
    Authority::read(both, key(&one), one.life).unwrap_err();
}

#[test]
fn a_certificate_does_not_outlive_its_authority() {
    let (now, periods) = (Timestamp::now(), Periods::default());
    let authority = Authority::make(now, &periods).unwrap();
    let late = authority.life.not_after - jiff::SignedDuration::from_secs(60);
    let issued = authority.issue(&leaf(), late, &periods).unwrap();
    assert_eq!(issued.life.not_after, authority.life.not_after);
}

#[test]
fn no_key_is_shown() {
    let (now, periods) = (Timestamp::now(), Periods::default());
    let authority = Authority::make(now, &periods).unwrap();
    let issued = authority.issue(&leaf(), now, &periods).unwrap();
    let shown = format!("{authority:?} {issued:?}");
    assert!(!shown.contains("PRIVATE KEY"), "{shown}");
}
