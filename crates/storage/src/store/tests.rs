//! On a store in memory, where everything can be changed behind our back. A real server is in `tests/storage`.

use std::{io, sync::Arc, time::Duration};

use bytes::Bytes;
use futures::TryStreamExt;
use object_store::{ObjectStoreExt, memory::InMemory, path::Path};

use super::*;
use crate::{
    Credential, Limits, Place, Trust,
    entropy::Seeded,
    format::{FormatError, HEADER_LEN},
    keys::KeyRing,
};

const MIB: usize = 1 << 20;

struct Fixture {
    store: Store,
    raw: Arc<InMemory>,
}

/// A store in memory; what it signs is never called.
fn fixture(prefix: &str) -> Fixture {
    let ring = KeyRing::generate(&Seeded::new(1)).unwrap();
    with_keys(prefix, Keys::new(Arc::new(ring), Duration::from_secs(60)))
}

fn with_keys(prefix: &str, keys: Keys) -> Fixture {
    let connection = Connection {
        place: Place::S3 {
            endpoint: Some("https://s3.example.com".to_owned()),
            region: "us-east-1".to_owned(),
            bucket: "bucket".to_owned(),
            prefix: Some(prefix.to_owned()),
        },
        credential: Credential::AccessKey {
            id: "id".to_owned(),
            secret: "secret".to_owned().into(),
        },
        trust: Trust::Public,
        limits: Limits::default(),
    };
    let mut store = Store::new(&connection, Owner::new("team"), Arc::new(keys)).unwrap();
    let raw = Arc::new(InMemory::new());
    store.backend.objects = raw.clone();
    Fixture { store, raw }
}

impl Fixture {
    async fn read(&self, path: &str) -> Result<Bytes, Error> {
        self.store.get(path).await?.bytes().await
    }

    async fn raw(&self, name: &str) -> Bytes {
        let found = self.raw.get(&Path::from(name)).await.unwrap();
        found.bytes().await.unwrap()
    }

    async fn put_raw(&self, name: &str, bytes: impl Into<Bytes>) {
        let payload = object_store::PutPayload::from(bytes.into());
        self.raw.put(&Path::from(name), payload).await.unwrap();
    }
}

fn random(len: usize) -> Bytes {
    let mut bytes = vec![0; len];
    Seeded::new(len as u64).fill(&mut bytes).unwrap();
    bytes.into()
}

fn reason(error: Error) -> FormatError {
    match error {
        Error::Damaged { reason, .. } => reason,
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn what_is_written_is_read() {
    let fixture = fixture("");
    // One request, a border, several parts, and parts that end at a border.
    for len in [0, 5, 65_536, 8 * MIB, 8 * MIB - 88 - 128 * 16, 20 * MIB + 3] {
        let content = random(len);
        let pieces: Vec<io::Result<Bytes>> = content
            .chunks(100_000)
            .map(|piece| Ok(Bytes::copy_from_slice(piece)))
            .collect();
        let put = fixture.store.put("a/b", futures::stream::iter(pieces));
        assert_eq!(put.await.unwrap(), len as u64);
        let read = fixture.store.get("a/b").await.unwrap();
        assert_eq!(read.len, len as u64);
        assert!(read.bytes().await.unwrap() == content, "{len}");
    }
}

#[tokio::test]
async fn a_part_is_read_alone() {
    let fixture = fixture("");
    let content = random(MIB);
    fixture.store.put_bytes("a", content.clone()).await.unwrap();
    for part in [
        0..0,
        0..1,
        65_530..65_540,
        1_000_000..1_048_576,
        1_048_576..1_048_576,
    ] {
        let expected = content.slice(part.start as usize..part.end as usize);
        let read = fixture.store.get_range("a", part).await.unwrap();
        assert_eq!(read.bytes().await.unwrap(), expected);
    }
    let beyond = fixture.store.get_range("a", 5..1_048_577).await;
    assert!(matches!(
        beyond.unwrap_err(),
        Error::Range { len: 1_048_576, .. }
    ));
}

#[tokio::test]
async fn nothing_is_there_in_clear() {
    let fixture = fixture("");
    let needle = b"the patient's name";
    fixture
        .store
        .put_bytes("a", Bytes::from_static(needle))
        .await
        .unwrap();
    let raw = fixture.raw("a").await;
    assert!(!raw.windows(needle.len()).any(|window| window == needle));
    assert_eq!(raw.len(), HEADER_LEN + needle.len() + 16);
}

#[tokio::test]
async fn an_object_of_another_path_is_refused() {
    let fixture = fixture("");
    fixture.store.put_bytes("a", random(9)).await.unwrap();
    fixture.store.put_bytes("b", random(9)).await.unwrap();
    let (a, b) = (fixture.raw("a").await, fixture.raw("b").await);
    fixture.put_raw("a", b).await;
    fixture.put_raw("b", a.clone()).await;
    fixture.put_raw("c/a", a).await;
    for path in ["a", "b", "c/a"] {
        assert!(matches!(
            fixture.read(path).await.unwrap_err(),
            Error::Key {
                reason: KeyError::NotThisObject,
                ..
            }
        ));
    }
}

#[tokio::test]
async fn an_object_that_was_changed_is_refused_and_nothing_wrong_is_handed_out() {
    let fixture = fixture("");
    let content = random(200_000);
    fixture.store.put_bytes("a", content.clone()).await.unwrap();
    let mut raw = fixture.raw("a").await.to_vec();
    raw[HEADER_LEN + 70_000] ^= 1;
    fixture.put_raw("a", raw.clone()).await;
    let pieces: Vec<_> = fixture.store.get("a").await.unwrap().stream.collect().await;
    let mut seen = Vec::new();
    let mut failed = None;
    for piece in pieces {
        match piece {
            Ok(piece) => seen.extend_from_slice(&piece),
            Err(error) => failed = Some(error),
        }
    }
    assert_eq!(reason(failed.unwrap()), FormatError::Chunk(1));
    assert!(content.starts_with(&seen));

    fixture.put_raw("a", raw[..50].to_vec()).await;
    let cut = fixture.read("a").await.unwrap_err();
    assert_eq!(reason(cut), FormatError::TooShort(50));
    fixture.put_raw("a", vec![b'x'; 500]).await;
    let foreign = fixture.read("a").await.unwrap_err();
    assert_eq!(reason(foreign), FormatError::NotOurs);
}

#[tokio::test]
async fn content_that_ends_with_an_error_leaves_what_was_there() {
    let fixture = fixture("");
    fixture.store.put_bytes("a", random(9)).await.unwrap();
    for len in [10, 30 * MIB] {
        let content = [Ok(random(len)), Err(io::Error::other("the disk is gone"))];
        let failed = fixture.store.put("a", futures::stream::iter(content)).await;
        let failed = failed.unwrap_err().to_string();
        assert!(failed.contains("the disk is gone"), "{failed}");
        assert_eq!(fixture.read("a").await.unwrap(), random(9));
    }
}

#[tokio::test]
async fn a_listing_has_paths_and_lengths_as_they_were_written() {
    let fixture = fixture("team/blobs");
    for (path, len) in [("runs/1/log", 10), ("runs/2/log", 70_000), ("other", 0)] {
        fixture.store.put_bytes(path, random(len)).await.unwrap();
    }
    fixture.put_raw("team/blobs/runs/foreign", vec![1]).await;
    fixture.put_raw("outside", vec![1]).await;
    let listed = |folder| async move {
        let found: Vec<_> = fixture.store.list(folder).try_collect().await.unwrap();
        let mut found: Vec<_> = found.into_iter().map(|e: Entry| (e.path, e.len)).collect();
        found.sort();
        (found, fixture)
    };
    let (found, fixture) = listed(None).await;
    let expected = [
        ("other", Some(0)),
        ("runs/1/log", Some(10)),
        ("runs/2/log", Some(70_000)),
        ("runs/foreign", None),
    ];
    assert_eq!(found, expected.map(|(path, len)| (path.to_owned(), len)));
    let below: Vec<_> = fixture
        .store
        .list(Some("runs/2"))
        .try_collect()
        .await
        .unwrap();
    assert_eq!(below.len(), 1);
    let mut folders = fixture.store.folders("runs").await.unwrap();
    folders.sort();
    assert_eq!(folders, ["runs/1", "runs/2"]);
    assert_eq!(fixture.store.folders("other").await.unwrap(), [""; 0]);
}

#[tokio::test]
async fn a_bucket_can_be_moved_to_another_prefix() {
    let (here, there) = (fixture("one"), fixture("two/three"));
    here.store.put_bytes("a", random(9)).await.unwrap();
    there.put_raw("two/three/a", here.raw("one/a").await).await;
    assert_eq!(there.read("a").await.unwrap(), random(9));
}

#[tokio::test]
async fn a_path_can_be_written_in_one_way() {
    let fixture = fixture("");
    for path in ["", "/", "/a", "a/", "a//b", "a/../b", "."] {
        let refused = fixture.store.put_bytes(path, random(1)).await.unwrap_err();
        assert!(matches!(refused, Error::Name(..)), "{path:?}: {refused}");
    }
}

#[tokio::test]
async fn deleted_is_deleted() {
    let fixture = fixture("");
    fixture.store.put_bytes("a", random(9)).await.unwrap();
    for _ in 0..2 {
        fixture.store.delete("a").await.unwrap();
        assert!(matches!(
            fixture.read("a").await.unwrap_err(),
            Error::NotFound(_)
        ));
    }
}

#[tokio::test]
async fn without_keys_nothing_is_written_and_nothing_read() {
    struct Revoked;
    impl crate::keys::KeySource for Revoked {
        fn fetch(&self) -> futures::future::BoxFuture<'_, Result<KeyRing, KeyError>> {
            let revoked = KeyError::Unavailable("the Secret is gone".to_owned());
            Box::pin(std::future::ready(Err(revoked)))
        }
    }
    let good = fixture("");
    good.store.put_bytes("a", random(9)).await.unwrap();
    let revoked = with_keys("", Keys::new(Arc::new(Revoked), Duration::from_secs(60)));
    revoked.put_raw("a", good.raw("a").await).await;
    for failed in [
        revoked.read("a").await.unwrap_err(),
        revoked.store.put_bytes("a", random(9)).await.unwrap_err(),
    ] {
        let failed = failed.to_string();
        assert!(failed.contains("the Secret is gone"), "{failed}");
    }
    assert_eq!(revoked.raw("a").await, good.raw("a").await);
}

#[tokio::test]
async fn a_probe_leaves_nothing() {
    let fixture = fixture("");
    fixture.store.probe(Duration::from_secs(10)).await.unwrap();
    let left: Vec<_> = fixture.store.list(None).try_collect().await.unwrap();
    assert_eq!(left, []);
}
