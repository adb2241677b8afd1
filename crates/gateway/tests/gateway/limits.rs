//! Size, number and time.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use futures::future::join_all;
use http::Response;
use http_body_util::Full;
use tokio::{
    io::AsyncWriteExt as _,
    net::TcpStream,
    time::{Instant, sleep, timeout},
};

use crate::{
    harness::{GATEWAY, Gateway, PATIENCE, PRIMARY, eventually, in_pod},
    http_client::{call, metrics, raw, read_all, score},
    models::{self, Seen},
};

/// A model that takes this long, and knows how many requests it had at once.
async fn slow(time: Duration) -> Arc<AtomicU32> {
    let (now, most) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
    let at_once = Arc::clone(&most);
    models::serve(Seen::default(), move |_| {
        let (now, most) = (Arc::clone(&now), Arc::clone(&most));
        async move {
            most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            sleep(time).await;
            now.fetch_sub(1, Ordering::SeqCst);
            Response::new(Full::new(Bytes::from_static(b"ok")))
        }
    })
    .await;
    at_once
}

#[test]
fn the_model_gets_no_more_at_once_than_it_was_promised() {
    in_pod(|| async {
        let at_once = slow(Duration::from_millis(10)).await;
        let _gateway =
            Gateway::ready(&["--concurrent-requests", "3", "--queue-wait-ms", "10000"]).await;
        let answers = join_all((0..40).map(|_| call(score("{}")))).await;
        assert!(answers.iter().all(|answer| answer.status == 200));
        assert_eq!(at_once.load(Ordering::SeqCst), 3);
    });
}

#[test]
fn who_waits_too_long_is_told_to_come_back() {
    in_pod(|| async {
        slow(Duration::from_secs(2)).await;
        let gateway = Gateway::ready(&["--queue-wait-ms", "200"]).await;
        let first = tokio::spawn(call(score("{}")));
        eventually("the first has its turn", || async {
            metrics().await.contains("in_flight 1")
        })
        .await;
        let waiting = tokio::spawn(call(score("{}")));
        eventually("the second waits", || async {
            metrics().await.contains("queued 1")
        })
        .await;
        let second = waiting.await.expect("an answer");
        assert_eq!(second.status, 503);
        assert_eq!(second.headers["retry-after"], "1");
        assert_eq!(first.await.expect("an answer").status, 200);
        assert_eq!(
            gateway.record("outcome", "QueueTimeout").await["StatusCode"],
            503
        );
        assert!(metrics().await.contains("queued 0"));
    });
}

#[test]
fn a_turn_is_given_back_when_its_client_leaves() {
    in_pod(|| async {
        slow(Duration::from_secs(3600)).await;
        let gateway = Gateway::ready(&["--queue-wait-ms", "100"]).await;
        for n in 1..=3 {
            let abandoned = timeout(Duration::from_millis(300), call(score("{}"))).await;
            assert!(abandoned.is_err(), "no 503: the turn was free");
            let aborted = || {
                gateway
                    .records()
                    .iter()
                    .filter(|record| record["outcome"] == "ClientAborted")
                    .count()
            };
            eventually("the departure is recorded", || async { aborted() == n }).await;
        }
        assert_eq!(gateway.records()[0]["StatusCode"], 499);
    });
}

#[test]
fn a_body_may_be_as_large_as_allowed_and_no_larger() {
    in_pod(|| async {
        let seen = models::echo().await;
        let gateway = Gateway::ready(&["--max-body-bytes", "1000"]).await;
        assert_eq!(call(score(&"x".repeat(1000))).await.status, 200);
        assert_eq!(call(score(&"x".repeat(1001))).await.status, 413);

        let head = format!(
            "POST /score HTTP/1.1\r\nHost: h\r\nx-api-key: {PRIMARY}\r\nTransfer-Encoding: chunked\r\n\r\n"
        );
        let chunk = format!("1f4\r\n{}\r\n", "x".repeat(500));
        let answer = raw(format!("{head}{chunk}{chunk}0\r\n\r\n").as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        let answer = raw(format!("{head}{chunk}{chunk}1\r\nx\r\n0\r\n\r\n").as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
        assert_eq!(seen.requests().len(), 2);
        assert_eq!(
            gateway.record("outcome", "BodyTooLarge").await["StatusCode"],
            413
        );
    });
}

#[test]
fn a_refused_client_in_the_middle_of_its_body_still_sees_the_answer() {
    in_pod(|| async {
        models::echo().await;
        let _gateway = Gateway::ready(&["--max-body-bytes", "1000"]).await;
        for (key, status) in [(PRIMARY, "413"), ("atl_wrong", "401")] {
            let mut stream = TcpStream::connect(GATEWAY)
                .await
                .expect("the gateway listens");
            let head = format!(
                "POST /score HTTP/1.1\r\nHost: h\r\nx-api-key: {key}\r\nContent-Length: 8000000\r\n\r\n"
            );
            stream.write_all(head.as_bytes()).await.expect("sent");
            timeout(PATIENCE, stream.write_all(&vec![b'x'; 8_000_000]))
                .await
                .expect("in time")
                .expect("all of it");
            let answer = read_all(&mut stream, Duration::from_millis(500)).await;
            assert!(
                answer.starts_with(&format!("HTTP/1.1 {status}")),
                "{answer}"
            );
        }
    });
}

#[test]
fn who_sends_a_header_too_slowly_loses_the_connection() {
    in_pod(|| async {
        models::echo().await;
        let _gateway = Gateway::ready(&["--header-timeout-ms", "500"]).await;
        let mut stream = TcpStream::connect(GATEWAY)
            .await
            .expect("the gateway listens");
        let begun = Instant::now();
        let mut sent = 0;
        while stream.write_all(b"G").await.is_ok() {
            sent += 1;
            assert!(
                begun.elapsed() < PATIENCE,
                "still connected after {sent} bytes"
            );
            sleep(Duration::from_millis(50)).await;
        }
        assert!(begun.elapsed() >= Duration::from_millis(500));
    });
}

#[test]
fn beyond_the_limit_connections_wait_for_others_to_end() {
    in_pod(|| async {
        models::echo().await;
        let _gateway = Gateway::ready(&["--max-connections", "2"]).await;
        let held = [
            TcpStream::connect(GATEWAY).await,
            TcpStream::connect(GATEWAY).await,
        ];
        let waiting = tokio::spawn(call(score("{}")));
        sleep(Duration::from_millis(200)).await;
        assert!(!waiting.is_finished(), "a third connection is served");
        drop(held);
        assert_eq!(waiting.await.expect("an answer").status, 200);
    });
}
