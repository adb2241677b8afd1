//! The model must see exactly the requests that were authenticated, whatever bytes arrive.

use std::time::Duration;

use tokio::{io::AsyncWriteExt as _, net::TcpStream};

use crate::{
    harness::{GATEWAY, Gateway, PRIMARY, eventually, in_pod},
    http_client::{raw, read_all},
    models,
};

/// What is smuggled: a request that would be authenticated by nothing.
const HIDDEN: &str = "GET /score HTTP/1.1\r\nHost: h\r\nX-Hidden: 1\r\n\r\n";

fn post(rest: &str) -> String {
    format!("POST /score HTTP/1.1\r\nHost: h\r\nx-api-key: {PRIMARY}\r\n{rest}")
}

#[test]
fn broken_framing_is_refused_and_never_forwarded() {
    in_pod(|| async {
        let seen = models::echo().await;
        let gateway = Gateway::ready(&[]).await;
        let long = format!("X-Long: {}\r\n", "a".repeat(40_000));
        let many = "X-Many: 1\r\n".repeat(101);
        for (what, bytes, status) in [
            (
                "two lengths that differ",
                post(&format!(
                    "Content-Length: 0\r\nContent-Length: 5\r\n\r\n{HIDDEN}"
                )),
                400,
            ),
            (
                "a length that is a list",
                post(&format!("Content-Length: 5, 5\r\n\r\n{HIDDEN}")),
                400,
            ),
            (
                "a length with a sign",
                post(&format!("Content-Length: +5\r\n\r\n{HIDDEN}")),
                400,
            ),
            ("a negative length", post("Content-Length: -1\r\n\r\n"), 400),
            (
                "a length beyond all bounds",
                post("Content-Length: 99999999999999999999\r\n\r\n"),
                400,
            ),
            (
                "an unknown transfer coding",
                post(&format!("Transfer-Encoding: identity\r\n\r\n{HIDDEN}")),
                400,
            ),
            (
                "chunked, but not last",
                post(&format!("Transfer-Encoding: chunked, gzip\r\n\r\n{HIDDEN}")),
                400,
            ),
            (
                "chunked in disguise",
                post(&format!("Transfer-Encoding: xchunked\r\n\r\n{HIDDEN}")),
                400,
            ),
            (
                "chunked in HTTP/1.0",
                format!(
                    "POST /score HTTP/1.0\r\nx-api-key: {PRIMARY}\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
                ),
                400,
            ),
            ("a folded header", post("X-A: 1\r\n folded: 2\r\n\r\n"), 400),
            (
                "a space before the colon",
                post("Content-Length : 5\r\n\r\nhello"),
                400,
            ),
            ("a header without a colon", post("nonsense\r\n\r\n"), 400),
            ("a NUL in a header", post("X-A: a\0b\r\n\r\n"), 400),
            (
                "a bare CR in a header",
                post("X-A: a\rContent-Length: 5\r\n\r\n"),
                400,
            ),
            (
                "no host",
                format!("GET /score HTTP/1.1\r\nx-api-key: {PRIMARY}\r\n\r\n"),
                400,
            ),
            ("two hosts", post("Host: other\r\n\r\n"), 400),
            (
                "an upgrade",
                post("Connection: upgrade\r\nUpgrade: websocket\r\n\r\n"),
                400,
            ),
            (
                "another expectation",
                post("Expect: a-miracle\r\nContent-Length: 0\r\n\r\n"),
                400,
            ),
            ("no HTTP at all", "hello\r\n\r\n".to_owned(), 400),
            (
                "a space in the target",
                "GET /score x HTTP/1.1\r\nHost: h\r\n\r\n".to_owned(),
                400,
            ),
            (
                "CONNECT",
                format!("CONNECT h:80 HTTP/1.1\r\nHost: h\r\nx-api-key: {PRIMARY}\r\n\r\n{HIDDEN}"),
                405,
            ),
            (
                "a header that is too large",
                post(&format!("{long}\r\n")),
                431,
            ),
            ("too many headers", post(&format!("{many}\r\n")), 431),
            (
                "a broken chunk size",
                post("Transfer-Encoding: chunked\r\n\r\nzz\r\nhello\r\n0\r\n\r\n"),
                400,
            ),
            (
                "a chunk size beyond all bounds",
                post("Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\nx"),
                400,
            ),
            (
                "a chunk without its end",
                post("Transfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n0\r\n\r\n"),
                400,
            ),
        ] {
            let answer = raw(bytes.as_bytes()).await;
            assert!(
                answer.starts_with(&format!("HTTP/1.1 {status} ")),
                "{what}: {answer:?}"
            );
            assert!(
                !answer.contains("X-Hidden") && answer.matches("HTTP/1.1 ").count() == 1,
                "{what}: {answer:?}"
            );
        }
        assert_eq!(seen.requests(), Vec::<serde_json::Value>::new());
        eventually("every refused request is recorded", || async {
            gateway.records().len() >= 26
        })
        .await;
    });
}

#[test]
fn where_length_and_chunks_disagree_chunks_win_and_the_connection_ends() {
    in_pod(|| async {
        let seen = models::echo().await;
        let _gateway = Gateway::ready(&[]).await;
        for (n, (first, second)) in [
            ("Content-Length: 5", "Transfer-Encoding: chunked"),
            ("Transfer-Encoding: chunked", "Content-Length: 200"),
        ]
        .into_iter()
        .enumerate()
        {
            let answer = raw(post(&format!(
                "{first}\r\n{second}\r\n\r\n2\r\nok\r\n0\r\n\r\n{HIDDEN}"
            ))
            .as_bytes())
            .await;
            assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{answer}");
            assert!(
                answer.to_ascii_lowercase().contains("connection: close"),
                "{answer}"
            );
            let requests = seen.requests();
            assert_eq!(requests.len(), n + 1, "{requests:?}");
            assert_eq!(requests[n]["body"], "ok");
        }
    });
}

#[test]
fn pipelined_requests_are_each_authenticated() {
    in_pod(|| async {
        let seen = models::echo().await;
        let _gateway = Gateway::ready(&[]).await;
        let good = post("Content-Length: 1\r\n\r\nx");
        let answer = raw(format!("{good}{HIDDEN}{good}").as_bytes()).await;
        let statuses: Vec<&str> = answer
            .split("HTTP/1.1 ")
            .skip(1)
            .map(|part| &part[..3])
            .collect();
        assert_eq!(statuses, ["200", "401", "200"], "{answer}");
        assert_eq!(seen.requests().len(), 2);
    });
}

#[test]
fn trailers_do_not_reach_the_model() {
    in_pod(|| async {
        let seen = models::echo().await;
        let _gateway = Gateway::ready(&[]).await;
        let body = "Trailer: x-atelier-subject\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nx-atelier-subject: root\r\n\r\n";
        let answer = raw(post(body).as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        assert_eq!(seen.requests()[0]["body"], "ok");
        assert!(!seen.requests()[0].to_string().contains("atelier"));
    });
}

#[test]
fn a_refused_client_is_not_asked_for_its_body() {
    in_pod(|| async {
        models::echo().await;
        let _gateway = Gateway::ready(&[]).await;
        let head =
            "POST /score HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 5\r\n";
        let answer = raw(format!("{head}\r\n").as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 401"), "{answer}");

        let mut stream = TcpStream::connect(GATEWAY)
            .await
            .expect("the gateway listens");
        stream
            .write_all(format!("{head}x-api-key: {PRIMARY}\r\n\r\n").as_bytes())
            .await
            .expect("sent");
        let leave = read_all(&mut stream, Duration::from_millis(300)).await;
        assert_eq!(leave, "HTTP/1.1 100 Continue\r\n\r\n");
        stream.write_all(b"hello").await.expect("sent");
        let answer = read_all(&mut stream, Duration::from_millis(300)).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    });
}
