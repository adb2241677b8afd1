//! The public listener over TLS: which protocols, which certificate, and that a new one costs nobody a request.

use std::{
    fs,
    os::unix::fs::symlink,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use http::Version;
use k8s_openapi::api::core::v1::Secret;
use rustls::{HandshakeKind, ProtocolVersion};
use tokio::task::JoinSet;

use crate::{
    harness::{Gateway, PRIMARY, SECONDARY, eventually, folder, in_pod, policy},
    http_client::{admin, raw, request, score},
    models,
    pki::Ca,
    tls_client::{Client, H1, H2},
};

/// A Secret as a kubelet mounts it: what is in it changes in one step.
pub struct Mounted {
    dir: PathBuf,
    turn: AtomicU32,
}

impl Mounted {
    pub fn new() -> Self {
        let dir = folder("tls");
        let turn = AtomicU32::new(0);
        Self { dir, turn }
    }

    pub fn holding(secret: &Secret) -> Self {
        let mounted = Self::new();
        mounted.put(secret);
        mounted
    }

    pub fn put(&self, secret: &Secret) {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let name = format!("..{turn}");
        let to = self.dir.join(&name);
        fs::create_dir(&to).expect("a directory");
        for (name, value) in secret.data.iter().flatten() {
            fs::write(to.join(name), &value.0).expect("a file");
        }
        let next = self.dir.join("..next");
        symlink(name, &next).expect("a link");
        fs::rename(next, self.dir.join("..data")).expect("a rename");
    }

    pub fn argument(&self) -> String {
        format!("--tls-dir={}", self.dir.display())
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.dir);
    }
}

#[test]
fn both_protocols_and_both_versions_of_tls_reach_the_model() {
    in_pod(|| async {
        let seen = models::echo().await;
        let ca = Ca::new("ours");
        let mounted = Mounted::holding(&ca.server(&[&ca]));
        let gateway = Gateway::ready(&[&mounted.argument()]).await;
        let versions = [
            (&rustls::version::TLS12, ProtocolVersion::TLSv1_2),
            (&rustls::version::TLS13, ProtocolVersion::TLSv1_3),
        ];
        let protocols = [
            (H1, Version::HTTP_11),
            (H2, Version::HTTP_2),
            (&[], Version::HTTP_11),
        ];
        for (tls, expected_tls) in versions {
            for (alpn, expected) in protocols {
                let client = Client::new(&ca, alpn, &[tls]);
                let mut connection = client.connect().await.expect("let in");
                assert_eq!(connection.version(), Some(expected_tls));
                let answer = connection.send(score("{}")).await.expect("an answer");
                assert_eq!(
                    (answer.status.as_u16(), connection.spoken()),
                    (200, expected)
                );
                assert!(answer.headers.contains_key("x-request-id"));
                let refused = request("POST", "/score", &[("x-api-key", "atl_wrong")], "");
                let answer = connection.send(refused).await.expect("an answer");
                assert_eq!(answer.status, 401);
            }
        }
        assert_eq!(seen.requests().len(), 6);
        // Whoever speaks without TLS is answered by an alert at most.
        let answer = raw(b"POST /score HTTP/1.1\r\nhost: h\r\n\r\n").await;
        assert!(!answer.contains("HTTP/"), "{answer}");
        eventually("an account of each", || async {
            gateway.records().len() == 12
        })
        .await;
    });
}

#[test]
fn what_http_2_says_otherwise_the_model_hears_as_ever() {
    in_pod(|| async {
        let seen = models::echo().await;
        let ca = Ca::new("ours");
        let mounted = Mounted::holding(&ca.server(&[&ca]));
        let gateway = Gateway::ready(&[&mounted.argument(), "--max-header-bytes=2048"]).await;
        let client = Client::new(&ca, H2, rustls::ALL_VERSIONS);
        let mut connection = client.connect().await.expect("let in");
        let headers = [
            ("x-api-key", PRIMARY),
            ("cookie", "a=1"),
            ("cookie", "b=2"),
            ("X-Atelier-Subject", "root"),
        ];
        let answer = connection
            .send(request("POST", "/score?x=1", &headers, "body"))
            .await
            .expect("an answer");
        assert_eq!(answer.status, 200);
        let heard = answer.json();
        assert_eq!(
            (&heard["target"], &heard["body"]),
            (&"/score?x=1".into(), &"body".into())
        );
        let values = |name: &str| -> Vec<_> {
            let all = heard["headers"].as_array().expect("headers").iter();
            let of_name = all.filter(|header| header[0] == name);
            of_name.map(|header| header[1].clone()).collect()
        };
        assert_eq!(values("host"), ["iris.ml.svc"]);
        assert_eq!(values("cookie"), ["a=1; b=2"]);
        assert!(values("x-api-key").is_empty() && values("x-atelier-subject").is_empty());

        // Refusals are the same, and each has its record.
        let long = "x".repeat(2048);
        for (name, more, status) in [
            ("large", ("x-large", long.as_str()), 431),
            ("id", ("x-request-id", &long[..101]), 431),
        ] {
            let headers = [("x-api-key", PRIMARY), ("user-agent", name), more];
            let refused = request("POST", "/score", &headers, "");
            let answer = connection.send(refused).await.expect("an answer");
            assert_eq!(answer.status, status, "{name}");
            gateway.record("UserAgent", name).await;
        }
        // What ends a connection of HTTP/1.1 has no such header here.
        let refused = request("PUT", "/score", &[], "");
        let answer = connection.send(refused).await.expect("an answer");
        assert_eq!(answer.status, 405);
        assert!(!answer.headers.contains_key("connection"));
        assert_eq!(seen.requests().len(), 1);
    });
}

#[test]
fn a_hundred_certificates_come_and_go_and_no_request_fails() {
    in_pod(|| async {
        models::echo().await;
        let ca = Ca::new("ours");
        let mounted = Arc::new(Mounted::holding(&ca.server(&[&ca])));
        let more = ["--concurrent-requests=64", "--queue-wait-ms=20000"];
        let gateway = Gateway::ready(&[&mounted.argument(), more[0], more[1]]).await;
        let swapped = Arc::new(std::sync::atomic::AtomicBool::new(false));
        let mut clients = JoinSet::new();
        for n in 0..4 {
            let client = Client::new(&ca, [H1, H2][n % 2], rustls::ALL_VERSIONS);
            let swapped = Arc::clone(&swapped);
            clients.spawn(async move {
                let mut answers = 0;
                let mut kept = client.connect().await.expect("let in");
                while !swapped.load(Ordering::Relaxed) {
                    let mut new = client.connect().await.expect("let in");
                    for connection in [&mut kept, &mut new] {
                        let answer = connection.send(score("{}")).await.expect("an answer");
                        assert_eq!(answer.status, 200);
                        answers += 1;
                    }
                }
                answers
            });
        }
        let shown = Client::new(&ca, H1, rustls::ALL_VERSIONS).without_resumption();
        for n in 1..=100 {
            let secret = ca.server(&[&ca]);
            mounted.put(&secret);
            // The mounted files are looked at once a second; the test does not wait for each.
            if n % 10 == 0 {
                eventually("the certificate is served", || async {
                    let connection = shown.connect().await.expect("let in");
                    connection.shows(&secret)
                })
                .await;
            }
        }
        swapped.store(true, Ordering::Relaxed);
        let mut answers = 0;
        while let Some(client) = clients.join_next().await {
            answers += client.expect("no request fails");
        }
        eventually("a record of each", || async {
            gateway.records().len() == answers
        })
        .await;
        println!("100 certificates, {answers} requests, none failed");
    });
}

#[test]
fn a_bad_certificate_is_refused_and_the_good_one_goes_on() {
    in_pod(|| async {
        models::echo().await;
        let ca = Ca::new("ours");
        let good = ca.server(&[&ca]);
        let mounted = Mounted::holding(&good);
        let gateway = Gateway::ready(&[&mounted.argument()]).await;
        let mut bad = ca.server(&[&ca]);
        let key = good.data.as_ref().expect("data")["tls.key"].clone();
        bad.data
            .get_or_insert_default()
            .insert("tls.key".into(), key.clone());
        mounted.put(&bad);
        gateway.logged("the new certificate is refused").await;
        let client = Client::new(&ca, H2, rustls::ALL_VERSIONS).without_resumption();
        let mut connection = client.connect().await.expect("let in");
        assert!(connection.shows(&good));
        let answer = connection.send(score("{}")).await.expect("an answer");
        assert_eq!(answer.status, 200);
        let key = String::from_utf8_lossy(&key.0).into_owned();
        let line = key.lines().nth(1).expect("a line of the key");
        assert!(!gateway.said().contains(line), "the key is in the log");
        let next = ca.server(&[&ca]);
        mounted.put(&next);
        eventually("the next good one is served", || async {
            let connection = client.connect().await;
            connection.expect("let in").shows(&next)
        })
        .await;
    });
}

#[test]
fn without_a_certificate_a_gateway_is_not_ready_and_lets_nobody_in() {
    in_pod(|| async {
        models::echo().await;
        let ca = Ca::new("ours");
        let mounted = Mounted::new();
        let keys = policy(Some((PRIMARY, SECONDARY)));
        let gateway = Gateway::spawn(Some(&keys), &[&mounted.argument()], true);
        gateway
            .logged("the mounted certificate cannot be read")
            .await;
        eventually("it answers probes", || async {
            admin("/livez").await == Some(200)
        })
        .await;
        assert_eq!(admin("/readyz").await, Some(503));
        let client = Client::new(&ca, H1, rustls::ALL_VERSIONS);
        assert!(client.connect().await.is_err(), "let in");
        mounted.put(&ca.server(&[&ca]));
        gateway.until_ready().await;
        client.connect().await.expect("let in");
    });
}

#[test]
fn who_comes_back_resumes_and_need_not_be_shown_the_certificate_again() {
    in_pod(|| async {
        models::echo().await;
        let ca = Ca::new("ours");
        let mounted = Mounted::holding(&ca.server(&[&ca]));
        let _gateway = Gateway::ready(&[&mounted.argument()]).await;
        let client = Client::new(&ca, H1, rustls::ALL_VERSIONS);
        for expected in [HandshakeKind::Full, HandshakeKind::Resumed] {
            let mut connection = client.connect().await.expect("let in");
            // The ticket comes with the answer.
            let answer = connection.send(score("{}")).await.expect("an answer");
            assert_eq!(
                (answer.status.as_u16(), connection.kind()),
                (200, Some(expected))
            );
        }
    });
}

#[test]
fn a_connection_of_http_2_ends_when_nobody_asks_and_when_the_gateway_drains() {
    in_pod(|| async {
        models::echo().await;
        let ca = Ca::new("ours");
        let mounted = Mounted::holding(&ca.server(&[&ca]));
        let short = [
            &mounted.argument(),
            "--header-timeout-ms=500",
            "--drain-delay-ms=20000",
        ];
        let mut gateway = Gateway::ready(&short).await;
        let client = Client::new(&ca, H2, rustls::ALL_VERSIONS);
        let mut idle = client.connect().await.expect("let in");
        assert_eq!(idle.send(score("{}")).await.expect("an answer").status, 200);
        idle.ended().await;
        idle.send(score("{}")).await.expect_err("over");

        let mut kept = client.connect().await.expect("let in");
        assert_eq!(kept.send(score("{}")).await.expect("an answer").status, 200);
        gateway.terminate();
        kept.ended().await;
        // Whoever knows of no other replica yet is served.
        let mut late = client.connect().await.expect("let in");
        assert_eq!(late.send(score("{}")).await.expect("an answer").status, 200);
        drop(late);
        assert_eq!(admin("/readyz").await, Some(503));
        drop(gateway.exit());
    });
}
