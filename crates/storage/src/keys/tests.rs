use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use futures::future::BoxFuture;

use super::*;
use crate::{
    Entropy,
    entropy::Seeded,
    format::{HEADER_LEN, Header, Owner},
};

fn kek(seed: u64) -> Kek {
    let mut bytes = [0; 32];
    Seeded::new(seed).fill(&mut bytes).unwrap();
    Kek::from_bytes(&bytes).unwrap()
}

fn team() -> Owner {
    Owner::new("team")
}

fn ring(seed: u64) -> KeyRing {
    KeyRing::generate(&Seeded::new(seed)).unwrap()
}

#[test]
fn a_data_key_unwraps_for_its_object_and_no_other() {
    let ring = ring(1);
    let (header, key) = ring.wrap(&team(), "a/b", &Seeded::new(2)).unwrap();
    let again = ring.unwrap(&header, &team(), "a/b").unwrap();
    assert_eq!(key.parts(), again.parts());
    for (owner, path) in [
        (team(), "a/c"),
        (Owner::new("other"), "a/b"),
        // The same letters, divided elsewhere.
        (Owner::new("teama"), "/b"),
    ] {
        assert_eq!(
            ring.unwrap(&header, &owner, path).unwrap_err(),
            KeyError::NotThisObject
        );
    }
}

#[test]
fn every_object_has_a_key_of_its_own() {
    let (ring, entropy) = (ring(1), Seeded::new(2));
    let (first, a) = ring.wrap(&team(), "a", &entropy).unwrap();
    let (second, b) = ring.wrap(&team(), "a", &entropy).unwrap();
    assert_ne!(a.parts().0, b.parts().0);
    assert_ne!(first, second);
}

#[test]
fn no_bit_of_a_header_can_be_changed() {
    let ring = ring(1).with_next_generation(&Seeded::new(5)).unwrap();
    let (header, _) = ring.wrap(&team(), "a", &Seeded::new(2)).unwrap();
    let bytes = header.encode();
    for bit in 0..HEADER_LEN * 8 {
        let mut changed = bytes;
        changed[bit / 8] ^= 1 << (bit % 8);
        let opened = Header::decode(&changed)
            .ok()
            .and_then(|header| ring.unwrap(&header, &team(), "a").ok());
        assert!(opened.is_none(), "bit {bit}");
    }
}

#[test]
fn a_newer_generation_writes_and_the_older_ones_still_read() {
    let old = ring(1);
    let (header, key) = old.wrap(&team(), "a", &Seeded::new(2)).unwrap();
    let new = old.with_next_generation(&Seeded::new(3)).unwrap();
    assert_eq!((old.generation(), new.generation()), (1, 2));
    assert_eq!(old.id(), new.id());
    let again = new.unwrap(&header, &team(), "a").unwrap();
    assert_eq!(key.parts(), again.parts());
    let (header, _) = new.wrap(&team(), "a", &Seeded::new(4)).unwrap();
    assert_eq!(header.generation, 2);
    assert_eq!(
        old.unwrap(&header, &team(), "a").unwrap_err(),
        KeyError::NoGeneration(2)
    );
}

#[test]
fn another_ring_says_that_it_is_another() {
    let (here, there) = (ring(1), ring(2));
    let (header, _) = here.wrap(&team(), "a", &Seeded::new(3)).unwrap();
    assert_eq!(
        there.unwrap(&header, &team(), "a").unwrap_err(),
        KeyError::OtherRing {
            wanted: here.id(),
            had: there.id()
        }
    );
}

#[test]
fn a_ring_opens_with_its_key_for_its_workspace() {
    let ring = ring(1).with_next_generation(&Seeded::new(9)).unwrap();
    let sealed = ring.seal(&kek(1), &team(), &Seeded::new(2)).unwrap();
    let opened = KeyRing::open(&sealed, &kek(1), &team()).unwrap();
    let (header, key) = ring.wrap(&team(), "a", &Seeded::new(3)).unwrap();
    let again = opened.unwrap(&header, &team(), "a").unwrap();
    assert_eq!(key.parts(), again.parts());

    assert_eq!(
        KeyRing::open(&sealed, &kek(2), &team()).unwrap_err(),
        KeyError::WrongKek {
            wrapped_by: kek(1).id(),
            given: kek(2).id()
        }
    );
    assert_eq!(
        KeyRing::open(&sealed, &kek(1), &Owner::new("other")).unwrap_err(),
        KeyError::RingDamaged
    );
}

#[test]
fn no_bit_of_a_ring_can_be_changed_and_none_be_missing() {
    let sealed = ring(1).seal(&kek(1), &team(), &Seeded::new(2)).unwrap();
    for bit in 0..sealed.len() * 8 {
        let mut changed = sealed.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        assert!(
            KeyRing::open(&changed, &kek(1), &team()).is_err(),
            "bit {bit}"
        );
    }
    for len in 0..sealed.len() {
        assert_eq!(
            KeyRing::open(&sealed[..len], &kek(1), &team()).unwrap_err(),
            KeyError::RingDamaged
        );
    }
}

#[test]
fn a_new_key_encryption_key_leaves_objects_as_they_are() {
    let ring = ring(1);
    let (header, key) = ring.wrap(&team(), "a", &Seeded::new(3)).unwrap();
    let old = ring.seal(&kek(1), &team(), &Seeded::new(2)).unwrap();
    let new = rewrap(&old, &kek(1), &kek(2), &team(), &Seeded::new(4)).unwrap();
    assert_eq!(new.len(), old.len());
    assert_eq!(KeyRing::wrapped_by(&new).unwrap(), kek(2).id());
    assert!(KeyRing::open(&new, &kek(1), &team()).is_err());
    let opened = KeyRing::open(&new, &kek(2), &team()).unwrap();
    let again = opened.unwrap(&header, &team(), "a").unwrap();
    assert_eq!(key.parts(), again.parts());
}

#[test]
fn keys_of_another_length_are_refused() {
    for len in [0, 16, 31, 33, 44] {
        assert_eq!(
            Kek::from_bytes(&vec![1; len]).unwrap_err(),
            KeyError::KekLength(len)
        );
    }
}

#[test]
fn nothing_shows_a_key() {
    let (ring, kek) = (ring(1), kek(1));
    let (_, key) = ring.wrap(&team(), "a", &Seeded::new(3)).unwrap();
    let shown = format!("{ring:?} {kek:?} {key:?}");
    assert_eq!(
        shown,
        format!(
            "KeyRing {{ id: {}, generation: 1, .. }} Kek({}) ObjectKey(…)",
            ring.id(),
            kek.id()
        )
    );
}

/// Gives rings until it is told not to.
struct Source {
    asked: AtomicUsize,
    good_for: usize,
}

impl KeySource for Source {
    fn fetch(&self) -> BoxFuture<'_, Result<KeyRing, KeyError>> {
        let asked = self.asked.fetch_add(1, Relaxed);
        Box::pin(async move {
            let mut ring = ring(1);
            // Each time with one more generation, as if others rotated.
            for seed in 0..asked {
                ring = ring.with_next_generation(&Seeded::new(seed as u64))?;
            }
            if asked < self.good_for {
                Ok(ring)
            } else {
                Err(KeyError::Unavailable("revoked".to_owned()))
            }
        })
    }
}

fn source(good_for: usize) -> Arc<Source> {
    Arc::new(Source {
        asked: AtomicUsize::new(0),
        good_for,
    })
}

#[tokio::test]
async fn a_revoked_key_is_used_no_longer_than_it_may_be_kept() {
    let source = source(1);
    let keys = Keys::new(source.clone(), Duration::from_secs(10));
    let begun = Instant::now();
    assert!(keys.ring(begun).await.is_ok());
    let late = begun + Duration::from_millis(9_999);
    assert!(keys.ring(late).await.is_ok());
    assert_eq!(source.asked.load(Relaxed), 1);

    let revoked = KeyError::Unavailable("revoked".to_owned());
    let over = begun + Duration::from_secs(10);
    assert_eq!(keys.ring(over).await.unwrap_err(), revoked);
    // Nothing is fallen back on, not even by a clock that goes back.
    assert_eq!(keys.ring(begun).await.unwrap_err(), revoked);
}

#[tokio::test]
async fn a_generation_that_somebody_else_made_is_fetched() {
    let source = source(9);
    let keys = Keys::new(source.clone(), Duration::from_secs(60));
    let begun = Instant::now();
    keys.ring(begun).await.unwrap();
    let newer = ring(1).with_next_generation(&Seeded::new(0)).unwrap();
    let (header, _) = newer.wrap(&team(), "a", &Seeded::new(3)).unwrap();
    // Not at once: whoever writes such headers must not make us ask each time.
    let at_once = keys.unwrap(&header, &team(), "a", begun).await;
    assert_eq!(at_once.unwrap_err(), KeyError::NoGeneration(2));
    assert_eq!(source.asked.load(Relaxed), 1);
    let later = begun + Duration::from_secs(1);
    assert!(keys.unwrap(&header, &team(), "a", later).await.is_ok());
    assert_eq!(source.asked.load(Relaxed), 2);
}

/// Written down once: rings and headers that exist must stay readable.
#[test]
fn the_formats_are_what_they_were() {
    let hex = |bytes: &[u8]| -> String { bytes.iter().map(|byte| format!("{byte:02x}")).collect() };
    let ring = ring(1);
    let sealed = ring.seal(&kek(1), &team(), &Seeded::new(2)).unwrap();
    assert_eq!(
        hex(&sealed),
        concat!(
            "4154454c4b455901e5050b101d169256c15c0289ec2d0a91fc4f958fabab165e8a142b3a9738d2dbce56971c",
            "8d9332cd8cb5f9497b10fa6bba6abe3e1335721b62317ec01e6e28f755a9f0c75f2da7cbff31e1df433bcaa8",
            "bc9f228dd8a86060"
        )
    );
    let (header, _) = ring.wrap(&team(), "a/b", &Seeded::new(3)).unwrap();
    assert_eq!(
        hex(&header.encode()),
        concat!(
            "4154454c4f424a01e5050b101d169256c15c0289ec2d0a9100000001cfc9ab66fb64a7129699b7caf7f2446c",
            "a04f5935fc9cb54e6a05631eec88bcf6282076068b81857eb68833a7693979087ca36ab36ed84359167fc95d"
        )
    );
}
