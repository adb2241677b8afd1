//! Objects on a real server, and what is really on its disk.

use std::{fs, io};

use atelier_storage::{Entry, Error, format::FormatError, keys::KeyError};
use bytes::Bytes;
use futures::TryStreamExt;

use crate::server::{SECRET, Server};

const MIB: usize = 1 << 20;

/// Not the same in any two places, and easy to look for.
pub fn content(len: usize) -> Bytes {
    let mut bytes = Vec::with_capacity(len + 32);
    for line in 0.. {
        if bytes.len() >= len {
            break;
        }
        bytes.extend_from_slice(format!("patient {line:08}: confidential\n").as_bytes());
    }
    bytes.truncate(len);
    bytes.into()
}

pub fn pieces(content: &Bytes) -> Vec<io::Result<Bytes>> {
    let len = content.len();
    let starts = (0..len).step_by(MIB);
    starts
        .map(|start| Ok(content.slice(start..len.min(start + MIB))))
        .collect()
}

#[tokio::test]
async fn what_is_written_is_read_in_one_part_and_in_several() {
    let server = Server::start();
    let store = server.store();
    for len in [0, 100, 3 * MIB, 20 * MIB + 1] {
        let content = content(len);
        let put = store.put("runs/1/out", futures::stream::iter(pieces(&content)));
        assert_eq!(put.await.unwrap(), len as u64);
        let read = store.get("runs/1/out").await.unwrap();
        assert!(read.bytes().await.unwrap() == content, "{len}");
    }
    let part = store
        .get_range("runs/1/out", 70_000..200_000)
        .await
        .unwrap();
    let expected = content(20 * MIB + 1).slice(70_000..200_000);
    assert!(part.bytes().await.unwrap() == expected);

    let listed: Vec<Entry> = store.list(Some("runs")).try_collect().await.unwrap();
    let listed: Vec<_> = listed.into_iter().map(|e| (e.path, e.len)).collect();
    assert_eq!(
        listed,
        [("runs/1/out".to_owned(), Some(20 * MIB as u64 + 1))]
    );
    store.delete("runs/1/out").await.unwrap();
    let gone = store.get("runs/1/out").await.unwrap_err();
    assert!(matches!(gone, Error::NotFound(_)), "{gone}");
    store.delete("runs/1/out").await.unwrap();
}

#[tokio::test]
async fn raw_files_hold_no_content_and_no_key() {
    let server = Server::start();
    let store = server.store();
    store.put_bytes("small", content(100)).await.unwrap();
    let large = content(20 * MIB);
    let put = store.put("large", futures::stream::iter(pieces(&large)));
    put.await.unwrap();
    let (_, key) = server
        .ring
        .wrap(
            &atelier_storage::format::Owner::new("team"),
            "x",
            &atelier_storage::SystemEntropy,
        )
        .unwrap();

    let files = server.files();
    assert!(files.len() >= 2, "{files:?}");
    let mut total = 0;
    for file in files {
        let raw = fs::read(&file).unwrap();
        total += raw.len();
        for needle in [
            &b"confidential"[..],
            b"patient",
            SECRET.as_bytes(),
            key.parts().0,
        ] {
            let found = raw.windows(needle.len()).any(|window| window == needle);
            assert!(!found, "{}", file.display());
        }
    }
    assert!(total > 20 * MIB, "the files are those of the objects");
}

#[tokio::test]
async fn what_somebody_changes_on_the_disk_is_refused() {
    let server = Server::start();
    let store = server.store();
    for name in ["a", "b", "c", "d"] {
        store.put_bytes(name, content(200_000)).await.unwrap();
    }
    let file = |name| server.file(name);
    let mut raw = fs::read(file("a")).unwrap();
    raw[100_000] ^= 1;
    fs::write(file("a"), raw).unwrap();
    let cut = fs::read(file("b")).unwrap();
    fs::write(file("b"), &cut[..88 + 65_552]).unwrap();
    // Exchanged.
    fs::rename(file("c"), file("e")).unwrap();
    fs::rename(file("d"), file("c")).unwrap();

    let read = async |name| match store.get(name).await {
        Ok(content) => content.bytes().await.unwrap_err(),
        Err(error) => error,
    };
    for (name, chunk) in [("a", 1), ("b", 0)] {
        let refused = read(name).await;
        let expected = FormatError::Chunk(chunk);
        assert!(
            matches!(&refused, Error::Damaged { reason, .. } if *reason == expected),
            "{refused}"
        );
    }
    for name in ["c", "e"] {
        let refused = read(name).await;
        assert!(
            matches!(
                &refused,
                Error::Key {
                    reason: KeyError::NotThisObject,
                    ..
                }
            ),
            "{refused}"
        );
    }
}
