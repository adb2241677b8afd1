//! Starting with what cannot work, and ending without a loss.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http::Response;
use http_body_util::Full;
use tokio::{net::TcpStream, time::sleep};

use crate::{
    harness::{GATEWAY, Gateway, PRIMARY, SECONDARY, eventually, in_pod, policy},
    http_client::{admin, call, connect, metrics, score, send},
    models::{self, Seen},
};

async fn slow_model(time: Duration) {
    models::serve(Seen::default(), move |_| async move {
        sleep(time).await;
        Response::new(Full::new(Bytes::from_static(b"ok")))
    })
    .await;
}

#[test]
fn a_gateway_that_is_told_to_end_first_tells_others_and_loses_no_request() {
    in_pod(|| async {
        slow_model(Duration::from_millis(20)).await;
        let mut gateway = Gateway::ready(&[
            "--drain-delay-ms",
            "700",
            "--concurrent-requests",
            "64",
            "--queue-wait-ms",
            "9000",
        ])
        .await;
        // Clients behind a Service: they connect anew when asked to, to this replica as long as
        // its endpoint is there, and to another one afterwards.
        let endpoint = Arc::new(AtomicBool::new(true));
        let client = |endpoint: Arc<AtomicBool>| async move {
            let mut answers = 0;
            while endpoint.load(Ordering::Relaxed) {
                let mut connection = connect().await.expect("no connection fails");
                let mut close = false;
                while !close {
                    let answer = send(&mut connection, score("{}"))
                        .await
                        .expect("no request fails");
                    assert_eq!(answer.status, 200);
                    answers += 1;
                    close = answer
                        .headers
                        .get("connection")
                        .is_some_and(|value| value == "close");
                }
            }
            answers
        };
        let clients: Vec<_> = (0..8)
            .map(|_| tokio::spawn(client(Arc::clone(&endpoint))))
            .collect();
        eventually("under load", || async { gateway.records().len() > 50 }).await;
        gateway.terminate();
        eventually("not ready", || async {
            admin("/readyz").await == Some(503)
        })
        .await;
        assert_eq!(admin("/livez").await, Some(200));
        endpoint.store(false, Ordering::Relaxed);
        let mut answers = 0;
        for client in clients {
            answers += client.await.expect("no request fails");
        }
        assert_eq!(gateway.exit().await.code(), Some(0));
        eventually("every answer is recorded", || async {
            gateway.records().len() == answers
        })
        .await;
    });
}

#[test]
fn what_is_in_flight_is_finished() {
    in_pod(|| async {
        slow_model(Duration::from_millis(1500)).await;
        let mut gateway = Gateway::ready(&["--drain-delay-ms", "0"]).await;
        let answer = tokio::spawn(call(score("{}")));
        eventually("in flight", || async {
            metrics().await.contains("in_flight 1")
        })
        .await;
        gateway.terminate();
        assert_eq!(answer.await.expect("an answer").status, 200);
        assert_eq!(gateway.exit().await.code(), Some(0));
        assert_eq!(gateway.records()[0]["outcome"], "Completed");
    });
}

#[test]
fn what_takes_too_long_is_dropped_and_recorded_as_such() {
    in_pod(|| async {
        slow_model(Duration::from_secs(3600)).await;
        let mut gateway =
            Gateway::ready(&["--drain-delay-ms", "0", "--drain-timeout-ms", "300"]).await;
        let mut connection = connect().await.expect("a connection");
        let answer = tokio::spawn(async move { send(&mut connection, score("{}")).await });
        eventually("in flight", || async {
            metrics().await.contains("in_flight 1")
        })
        .await;
        gateway.terminate();
        assert!(answer.await.expect("a task").is_err());
        assert_eq!(gateway.exit().await.code(), Some(0));
        assert_eq!(
            gateway.record("outcome", "ShutdownAborted").await["StatusCode"],
            499
        );
    });
}

#[test]
fn idle_connections_do_not_hold_up_the_end() {
    in_pod(|| async {
        models::echo().await;
        let mut gateway = Gateway::ready(&["--drain-delay-ms", "0"]).await;
        let _silent = TcpStream::connect(GATEWAY)
            .await
            .expect("the gateway listens");
        let mut kept = connect().await.expect("a connection");
        assert_eq!(
            send(&mut kept, score("{}"))
                .await
                .expect("an answer")
                .status,
            200
        );
        gateway.terminate();
        assert_eq!(gateway.exit().await.code(), Some(0));
    });
}

#[test]
fn a_bad_argument_ends_with_64_and_says_which() {
    in_pod(|| async {
        let mut gateway = Gateway::spawn(None, &["--model", "10.0.0.1:5001"], true);
        assert_eq!(gateway.exit().await.code(), Some(64));
        gateway.logged("--model").await;
    });
}

#[test]
fn an_address_that_is_not_ours_ends_with_a_failure_that_names_it() {
    in_pod(|| async {
        let mut gateway = Gateway::spawn(
            Some(&policy(Some((PRIMARY, SECONDARY)))),
            &["--listen", "192.0.2.1:8080"],
            true,
        );
        assert_eq!(gateway.exit().await.code(), Some(1));
        gateway.logged("192.0.2.1:8080").await;
    });
}
