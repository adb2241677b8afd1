//! Models that misbehave: what the caller is told, and that the next caller is not affected.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::{io::AsyncWriteExt as _, time::sleep};

use crate::{
    harness::{Gateway, PRIMARY, SECONDARY, eventually, in_pod, policy},
    http_client::{admin, call, raw, score},
    models,
};

/// Starts a gateway whose model is not asked whether it is there: it may be unable to say.
async fn gateway(more: &[&str]) -> Gateway {
    let gateway = Gateway::spawn(Some(&policy(Some((PRIMARY, SECONDARY)))), more, true);
    gateway.logged("a policy is in force").await;
    gateway
}

/// One request to a model that sends these bytes.
async fn answered_with(bytes: &'static [u8]) -> (u16, String, String) {
    models::bytes(bytes).await;
    let gateway = gateway(&[]).await;
    let answer = call(score("{}")).await;
    let record = gateway.record("name", "/score").await;
    (
        answer.status.as_u16(),
        answer.text(),
        record["outcome"].as_str().unwrap_or_default().to_owned(),
    )
}

macro_rules! broken_answers {
    ($($name:ident: $bytes:expr;)*) => {$(
        #[test]
        fn $name() {
            in_pod(|| async {
                let (status, body, outcome) = answered_with($bytes).await;
                assert_eq!((status, outcome.as_str()), (502, "ModelFailed"), "{body}");
                assert!(body.contains("\"code\":\"ModelFailed\"") && !body.contains("secret"), "{body}");
            });
        }
    )*};
}

broken_answers! {
    a_model_that_closes_at_once_is_a_502: b"";
    a_model_that_speaks_no_http_is_a_502: b"220 secret ESMTP\r\n";
    a_model_that_stops_in_its_header_is_a_502: b"HTTP/1.1 200 OK\r\nx-secret: 1\r\n";
    a_model_with_two_lengths_is_a_502: b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab";
    a_model_with_a_broken_length_is_a_502: b"HTTP/1.1 200 OK\r\ncontent-length: secret\r\n\r\nab";
    a_model_that_switches_protocols_is_a_502: b"HTTP/1.1 101 Switching Protocols\r\nupgrade: secret\r\nconnection: upgrade\r\n\r\n";
    a_function_that_failed_is_a_502: b"HTTP/1.1 200 OK\r\nx-ms-run-function-failed: True\r\ncontent-length: 6\r\n\r\nsecret";
    a_function_that_failed_with_a_500_is_a_502: b"HTTP/1.1 500 E\r\nx-ms-run-function-failed: true\r\ncontent-length: 6\r\n\r\nsecret";
}

#[test]
fn a_model_that_closes_every_connection_before_it_hears_anything_is_a_502() {
    in_pod(|| async {
        models::connections(|stream| async { drop(stream) }).await;
        let gateway = gateway(&[]).await;
        for _ in 0..20 {
            assert_eq!(call(score("{}")).await.status, 502);
        }
        let told = || async { gateway.records().len() == 20 };
        eventually("each is recorded", told).await;
    });
}

#[test]
fn an_answer_with_the_failed_header_set_to_false_passes() {
    in_pod(|| async {
        let (status, body, outcome) = answered_with(
            b"HTTP/1.1 200 OK\r\nx-ms-run-function-failed: False\r\ncontent-length: 2\r\n\r\nok",
        )
        .await;
        assert_eq!(
            (status, body.as_str(), outcome.as_str()),
            (200, "ok", "Completed")
        );
    });
}

#[test]
fn informational_answers_are_skipped() {
    in_pod(|| async {
        let (status, body, _) = answered_with(
            b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok",
        )
        .await;
        assert_eq!((status, body.as_str()), (200, "ok"));
    });
}

#[test]
fn an_answer_of_http_1_0_that_ends_with_its_connection_passes() {
    in_pod(|| async {
        let (status, body, _) = answered_with(b"HTTP/1.0 200 OK\r\n\r\nto the end").await;
        assert_eq!((status, body.as_str()), (200, "to the end"));
    });
}

#[test]
fn bytes_after_an_answer_reach_nobody() {
    in_pod(|| async {
        models::bytes(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nokHTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nstray").await;
        let _gateway = gateway(&[]).await;
        for _ in 0..5 {
            assert_eq!(call(score("{}")).await.text(), "ok");
        }
    });
}

#[test]
fn without_a_model_requests_are_a_502_and_the_gateway_is_not_ready() {
    in_pod(|| async {
        let gateway = gateway(&[]).await;
        assert_eq!(call(score("{}")).await.status, 502);
        assert_eq!(
            gateway.record("name", "/score").await["outcome"],
            "ModelUnreachable"
        );
        for (path, status) in [
            ("/livez", 200),
            ("/readyz", 503),
            ("/probe/model/live", 503),
            ("/probe/model/ready", 503),
        ] {
            assert_eq!(admin(path).await, Some(status), "{path}");
        }
        models::echo().await;
        assert_eq!(call(score("{}")).await.status, 200);
        for path in ["/readyz", "/probe/model/live", "/probe/model/ready"] {
            assert_eq!(admin(path).await, Some(200), "{path}");
        }
    });
}

#[test]
fn a_model_that_never_answers_is_a_504() {
    in_pod(|| async {
        models::connections(|mut stream| async move {
            models::read_head(&mut stream).await;
            sleep(Duration::from_secs(60)).await;
        })
        .await;
        let gateway = gateway(&["--timeout-ms", "300"]).await;
        assert_eq!(call(score("{}")).await.status, 504);
        let record = gateway.record("outcome", "TimedOut").await;
        assert!(
            record["Duration"]
                .as_f64()
                .is_some_and(|ms| (300.0..2000.0).contains(&ms)),
            "{record}"
        );
    });
}

#[test]
fn an_answer_that_breaks_off_is_not_taken_for_a_whole_one() {
    in_pod(|| async {
        models::connections(|mut stream| async move {
            models::read_head(&mut stream).await;
            let _ = stream
                .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf")
                .await;
            // With a reset, not an orderly end.
            let _ = stream.set_zero_linger();
        })
        .await;
        let gateway = gateway(&[]).await;
        let mut connection = crate::http_client::connect().await.expect("a connection");
        assert!(
            crate::http_client::send(&mut connection, score("{}"))
                .await
                .is_err()
        );
        let record = gateway.record("outcome", "ModelFailed").await;
        assert!(record["bytesOut"].as_u64() <= Some(4), "{record}");
    });
}

#[test]
fn an_answer_that_does_not_end_in_time_is_cut_off() {
    in_pod(|| async {
        models::connections(|mut stream| async move {
            models::read_head(&mut stream).await;
            let _ = stream
                .write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n")
                .await;
            sleep(Duration::from_secs(60)).await;
        })
        .await;
        let gateway = gateway(&["--timeout-ms", "200"]).await;
        let answer = raw(format!(
            "POST /score HTTP/1.1\r\nHost: h\r\nx-api-key: {PRIMARY}\r\nContent-Length: 0\r\n\r\n"
        )
        .as_bytes())
        .await;
        assert!(
            answer.contains("half") && !answer.contains("\r\n0\r\n"),
            "{answer}"
        );
        let record = gateway.record("outcome", "TimedOut").await;
        assert_eq!(record["StatusCode"], 200);
        assert_eq!(record["bytesOut"], 4);
    });
}

#[test]
fn a_model_that_closes_idle_connections_costs_no_request() {
    in_pod(|| async {
        // Keeps the connection open in its answer, and closes it anyway.
        let closed = Arc::new(AtomicUsize::new(0));
        let counted = closed.clone();
        models::connections(move |mut stream| {
            let closed = counted.clone();
            async move {
                if models::read_head(&mut stream).await {
                    let _ = stream
                        .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
                        .await;
                    sleep(Duration::from_millis(1)).await;
                    drop(stream);
                    closed.fetch_add(1, Ordering::SeqCst);
                }
            }
        })
        .await;
        let _gateway = gateway(&[]).await;
        for nth in 1..=100 {
            assert_eq!(call(score("{}")).await.status, 200);
            // A request that is on its way when the connection closes is another matter: nobody knows what became of it.
            eventually("the connection is closed", || async {
                closed.load(Ordering::SeqCst) == nth
            })
            .await;
        }
    });
}

#[test]
fn a_failing_model_does_not_end_the_gateway() {
    in_pod(|| async {
        models::bytes(b"HTTP/9.9 nonsense\r\n\r\n").await;
        let _gateway = gateway(&["--concurrent-requests", "8"]).await;
        let failures = futures::future::join_all((0..50).map(|_| call(score("{}")))).await;
        assert!(
            failures
                .iter()
                .all(|answer| answer.status == 502 || answer.status == 503)
        );
        eventually("alive", || async { admin("/livez").await == Some(200) }).await;
    });
}
