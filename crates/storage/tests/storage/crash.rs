//! A server that dies in the middle of it.

use std::time::Duration;

use atelier_storage::Error;
use bytes::Bytes;
use futures::{StreamExt, channel::mpsc};

use crate::{
    objects::{content, pieces},
    server::Server,
};

const MIB: usize = 1 << 20;

#[tokio::test]
async fn an_object_that_was_cut_off_does_not_exist() {
    let mut server = Server::start();
    let store = server.store();
    store.put_bytes("kept", content(1000)).await.unwrap();

    for path in ["new", "kept"] {
        let (send, receive) = mpsc::unbounded();
        let putting = tokio::spawn({
            let store = store.clone();
            async move { store.put(path, receive).await }
        });
        for piece in pieces(&content(24 * MIB)) {
            send.unbounded_send(piece).unwrap();
        }
        // Two parts are on the server's disk; the third waits for more content.
        atelier_testkit::eventually(Duration::from_secs(20), "parts arrive", async || {
            let on_disk: u64 = server
                .files()
                .iter()
                .filter_map(|file| file.metadata().ok())
                .map(|file| file.len())
                .sum();
            atelier_testkit::wait::check(on_disk > 16 * MIB as u64, on_disk)
        })
        .await;
        server.kill();
        drop(send);
        let failed = putting.await.unwrap().unwrap_err();
        assert!(matches!(failed, Error::Unreachable { .. }), "{failed}");
        server.run();
    }

    let missing = store.get("new").await.unwrap_err();
    assert!(matches!(missing, Error::NotFound(_)), "{missing}");
    let kept = store.get("kept").await.unwrap().bytes().await.unwrap();
    assert_eq!(kept, content(1000));
    let listed: Vec<_> = store.list(None).map(Result::unwrap).collect().await;
    assert_eq!(listed.len(), 1, "{listed:?}");
}

#[tokio::test]
async fn a_read_that_was_cut_off_is_an_error_and_not_an_end() {
    let mut server = Server::start();
    let store = server.store();
    let large = content(64 * MIB);
    let put = store.put("large", futures::stream::iter(pieces(&large)));
    put.await.unwrap();
    let mut reading = store.get("large").await.unwrap().stream;
    let first: Bytes = reading.next().await.unwrap().unwrap();
    assert!(large.starts_with(&first));
    server.kill();
    let mut len = first.len();
    let failed = loop {
        match reading.next().await {
            Some(Ok(piece)) => {
                assert!(large[len..].starts_with(&piece));
                len += piece.len();
            }
            Some(Err(error)) => break error,
            None => panic!("it looks complete after {len} bytes"),
        }
    };
    assert!(
        matches!(failed, Error::Unreachable { .. } | Error::Other { .. }),
        "{failed}"
    );
}
