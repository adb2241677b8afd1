use jiff::Timestamp;

use super::*;
use crate::config::Periods;

fn make() -> Authority {
    Authority::make(Timestamp::now(), &Periods::default()).unwrap()
}

fn secret(data: Data) -> Secret {
    Secret {
        data: Some(data),
        ..Secret::default()
    }
}

#[test]
fn what_is_kept_is_read_back() {
    let mut authorities = Authorities::default().with_first(make());
    for step in 0..4 {
        let (back, troubles) = Authorities::read(&secret(authorities.data().unwrap()));
        assert_eq!((&back, troubles.len()), (&authorities, 0));
        let bundle = authorities.bundle();
        authorities = match step % 3 {
            0 => authorities.with_next(make()),
            1 => authorities.promoted(),
            _ => authorities.without_previous(),
        };
        // Promotion moves no trust.
        assert_eq!(step % 3 == 1, authorities.bundle() == bundle);
    }
    let data = authorities.with_next(make()).promoted().data().unwrap();
    assert!(data.keys().filter(|k| k.ends_with(".key")).count() == 1);
}

#[test]
fn whatever_is_damaged_the_rest_is_still_trusted() {
    let whole = Authorities::default()
        .with_first(make())
        .with_next(make())
        .promoted()
        .with_next(make());
    let certificate = whole.current.as_ref().map(|a| a.certificate.clone());
    let data = whole.data().unwrap();
    for key in data.keys() {
        for damage in [None, Some(&b"x"[..]), Some(&b"\xff"[..]), Some(&b""[..])] {
            let mut data = data.clone();
            match damage {
                None => data.remove(key),
                Some(bytes) => data.insert(key.clone(), ByteString(bytes.into())),
            };
            let (read, troubles) = Authorities::read(&secret(data.clone()));
            let shown = troubles.join(" ");
            assert!(!shown.contains("PRIVATE"), "{shown}");
            match key.as_str() {
                STATE => {
                    assert_eq!((&read.current, &read.next), (&None, &None));
                    assert_eq!(read.previous, certificate);
                }
                "current.key" => {
                    assert_eq!(read.current, None);
                    assert_eq!((&read.previous, &read.next), (&certificate, &whole.next));
                }
                "current.crt" => {
                    assert_eq!(read.current, None);
                    assert_eq!((&read.previous, &read.next), (&whole.previous, &whole.next));
                }
                "next.crt" | "next.key" => {
                    assert_eq!(read.next, None);
                    assert_eq!(read.current, whole.current);
                }
                _ => {
                    assert_eq!((&read.previous, &read.current), (&None, &whole.current));
                    // That there is no previous one any more is in order.
                    assert_eq!(troubles.is_empty(), damage.is_none());
                    continue;
                }
            }
            assert!(!troubles.is_empty(), "{key} {damage:?}");
        }
    }
    let (read, troubles) = Authorities::read(&Secret::default());
    assert_eq!((read, troubles.len()), (Authorities::default(), 1));
}
