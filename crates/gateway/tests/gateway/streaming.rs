//! Bodies pass through as they come, at the pace of the slower side, and are never gathered.

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use futures::{StreamExt as _, channel::mpsc, stream};
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::Frame;
use tokio::time::{sleep, timeout};

use crate::{
    harness::{Gateway, PATIENCE, PRIMARY, eventually, in_pod},
    http_client::connect,
    models::{self, Seen},
};

const MIB: usize = 1 << 20;

/// What the gateway may need beyond its rest while a large body passes, in KiB.
const ALLOWANCE_KIB: u64 = 4 * 1024;

fn post<B>(body: B) -> Request<B> {
    Request::post("/score")
        .header("host", "h")
        .header("x-api-key", PRIMARY)
        .body(body)
        .expect("a request")
}

/// So many MiB, counted when they are taken.
fn mebibytes(
    n: usize,
    taken: Arc<AtomicU64>,
) -> StreamBody<impl futures::Stream<Item = Result<Frame<Bytes>, Infallible>> + Send> {
    let chunk = Bytes::from(vec![b'x'; MIB / 16]);
    StreamBody::new(stream::iter(0..16 * n).map(move |_| {
        taken.fetch_add(MIB as u64 / 16, Ordering::Relaxed);
        Ok(Frame::data(chunk.clone()))
    }))
}

#[test]
fn both_sides_see_each_part_as_soon_as_it_is_sent() {
    in_pod(|| async {
        models::serve(
            Seen::default(),
            |request: Request<hyper::body::Incoming>| async { Response::new(request.into_body()) },
        )
        .await;
        let _gateway = Gateway::ready(&[]).await;
        let (parts, body) = mpsc::unbounded::<Result<Frame<Bytes>, Infallible>>();
        let mut connection = connect().await.expect("a connection");
        let mut answer = timeout(
            PATIENCE,
            connection.send_request(post(StreamBody::new(body))),
        )
        .await
        .expect("an answer before the request's end")
        .expect("an answer");
        for part in ["one", "two", "three"] {
            parts
                .unbounded_send(Ok(Frame::data(Bytes::from(part))))
                .expect("an open request");
            let frame = timeout(PATIENCE, answer.frame())
                .await
                .expect("in time")
                .expect("a frame")
                .expect("data");
            assert_eq!(frame.into_data().expect("data"), part);
        }
        drop(parts);
        assert!(answer.frame().await.is_none());
    });
}

#[test]
fn a_large_body_passes_in_both_directions_in_little_memory() {
    in_pod(|| async {
        models::serve(
            Seen::default(),
            |request: Request<hyper::body::Incoming>| async { Response::new(request.into_body()) },
        )
        .await;
        let gateway = Gateway::ready(&["--max-body-bytes", "1073741824"]).await;
        let rest = gateway.resident_kib();
        let mut connection = connect().await.expect("a connection");
        let answer = connection
            .send_request(post(mebibytes(256, Arc::default())))
            .await
            .expect("an answer");
        let mut body = answer.into_body();
        let (mut received, mut most) = (0, 0);
        while let Some(frame) = body.frame().await {
            received += frame.expect("a frame").data_ref().map_or(0, Bytes::len);
            most = most.max(gateway.resident_kib());
        }
        assert_eq!(received, 256 * MIB);
        assert!(
            most - rest <= ALLOWANCE_KIB,
            "{rest} KiB at rest, {most} KiB at most"
        );
        let record = gateway.record("outcome", "Completed").await;
        assert_eq!(record["bytesIn"], received);
        assert_eq!(record["bytesOut"], received);
    });
}

#[test]
fn a_model_that_reads_slowly_slows_the_client() {
    in_pod(|| async {
        models::serve(
            Seen::default(),
            |request: Request<hyper::body::Incoming>| async {
                // Takes the header, and of the body nothing.
                sleep(Duration::from_secs(3600)).await;
                drop(request);
                Response::new(Full::new(Bytes::new()))
            },
        )
        .await;
        let gateway = Gateway::ready(&["--max-body-bytes", "1073741824"]).await;
        let rest = gateway.resident_kib();
        let taken = Arc::new(AtomicU64::new(0));
        let mut connection = connect().await.expect("a connection");
        let sending =
            tokio::spawn(connection.send_request(post(mebibytes(512, Arc::clone(&taken)))));
        let settled = settles(&taken).await;
        assert!(
            settled < 64 * MIB as u64,
            "{settled} bytes taken from the client"
        );
        assert!(gateway.resident_kib() - rest <= ALLOWANCE_KIB);
        sending.abort();
    });
}

#[test]
fn a_client_that_reads_slowly_slows_the_model() {
    in_pod(|| async {
        let taken = Arc::new(AtomicU64::new(0));
        let noted = Arc::clone(&taken);
        models::serve(Seen::default(), move |_| {
            let body = mebibytes(512, Arc::clone(&noted));
            async { Response::new(body) }
        })
        .await;
        let gateway = Gateway::ready(&[]).await;
        let rest = gateway.resident_kib();
        let mut connection = connect().await.expect("a connection");
        let answer = connection
            .send_request(post(Full::new(Bytes::new())))
            .await
            .expect("an answer");
        let settled = settles(&taken).await;
        assert!(
            settled < 64 * MIB as u64,
            "{settled} bytes taken from the model"
        );
        assert!(gateway.resident_kib() - rest <= ALLOWANCE_KIB);
        // And when the client leaves, the model is let go, and the record says so.
        drop((answer, connection));
        let record = gateway.record("outcome", "ClientAborted").await;
        assert_eq!(record["StatusCode"], 200);
        assert!(record["bytesOut"].as_u64() > Some(0));
        assert!(settles(&taken).await < 128 * MIB as u64);
    });
}

/// Waits until a counter stands still, above zero.
async fn settles(counter: &AtomicU64) -> u64 {
    let mut last = 0;
    eventually("the flow stops", || {
        let before = std::mem::replace(&mut last, counter.load(Ordering::Relaxed));
        let stands = before > 0 && before == last;
        async move {
            sleep(Duration::from_millis(200)).await;
            stands
        }
    })
    .await;
    last
}
