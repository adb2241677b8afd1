//! Changing who may call, while they call.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::Duration,
};

use tokio::{task::JoinHandle, time::sleep};

use crate::{
    harness::{Gateway, PRIMARY, SECONDARY, eventually, in_pod, policy},
    http_client::{admin, call, connect, metrics, request, score, send},
    models,
};

async fn status(headers: &[(&str, &str)]) -> u16 {
    call(request("POST", "/score", headers, "{}"))
        .await
        .status
        .as_u16()
}

/// Clients that call without a pause until told to stop, and count what is not a 200.
struct Load {
    stop: Arc<AtomicBool>,
    answers: Arc<AtomicU32>,
    clients: Vec<JoinHandle<u32>>,
}

impl Load {
    fn start(key: &'static str) -> Self {
        let (stop, answers) = (
            Arc::new(AtomicBool::new(false)),
            Arc::new(AtomicU32::new(0)),
        );
        let client = || {
            let (stop, answers) = (Arc::clone(&stop), Arc::clone(&answers));
            tokio::spawn(async move {
                let mut connection = connect().await.expect("a connection");
                let mut failures = 0;
                while !stop.load(Ordering::Relaxed) {
                    let answer = send(
                        &mut connection,
                        request("POST", "/score", &[("x-api-key", key)], "{}"),
                    )
                    .await;
                    failures += u32::from(!answer.is_ok_and(|answer| answer.status == 200));
                    answers.fetch_add(1, Ordering::Relaxed);
                }
                failures
            })
        };
        let clients = (0..4).map(|_| client()).collect();
        Self {
            stop,
            answers,
            clients,
        }
    }

    /// Waits for more answers; returns how many there were in all.
    async fn more(&self, n: u32) {
        let goal = self.answers.load(Ordering::Relaxed) + n;
        eventually("answers", || async {
            self.answers.load(Ordering::Relaxed) >= goal
        })
        .await;
    }

    async fn failures(self) -> u32 {
        self.stop.store(true, Ordering::Relaxed);
        let mut failures = 0;
        for client in self.clients {
            failures += client.await.expect("a client");
        }
        failures
    }
}

const MANY: [&str; 4] = ["--concurrent-requests", "64", "--queue-wait-ms", "10000"];

#[test]
fn replacing_one_key_shuts_it_out_and_disturbs_nobody_with_the_other() {
    in_pod(|| async {
        models::echo().await;
        let gateway = Gateway::ready(&MANY).await;
        let load = Load::start(SECONDARY);
        let mut old = PRIMARY.to_owned();
        for n in 0..5 {
            let new = format!("atl_new_{n}");
            gateway.mount(&policy(Some((&new, SECONDARY))));
            eventually("the new key is good", || async {
                status(&[("x-api-key", &new)]).await == 200
            })
            .await;
            assert_eq!(status(&[("x-api-key", &old)]).await, 401);
            load.more(50).await;
            old = new;
        }
        assert_eq!(load.failures().await, 0);
    });
}

#[test]
fn turning_keys_off_and_on_fails_nobody_who_has_one() {
    in_pod(|| async {
        models::echo().await;
        let gateway = Gateway::ready(&MANY).await;
        let load = Load::start(PRIMARY);
        for _ in 0..3 {
            gateway.mount(&policy(None));
            eventually("nobody needs a key", || async { status(&[]).await == 200 }).await;
            load.more(50).await;
            gateway.mount(&policy(Some((PRIMARY, SECONDARY))));
            eventually("everybody needs a key", || async {
                status(&[]).await == 401
            })
            .await;
            load.more(50).await;
        }
        assert_eq!(load.failures().await, 0);
    });
}

#[test]
fn without_keys_a_credential_is_still_kept_from_the_model() {
    in_pod(|| async {
        let seen = models::echo().await;
        let gateway = Gateway::spawn(Some(&policy(None)), &[], true);
        gateway.until_ready().await;
        assert_eq!(
            status(&[("authorization", "Bearer s3cret"), ("x-api-key", "s3cret")]).await,
            200
        );
        assert!(!seen.requests()[0].to_string().contains("s3cret"));
        assert_eq!(gateway.record("name", "/score").await["authMode"], "None");
    });
}

#[test]
fn a_bad_policy_changes_nothing_and_is_reported() {
    in_pod(|| async {
        models::echo().await;
        let gateway = Gateway::ready(&[]).await;
        for bad in [
            "",
            "{}",
            r#"{"version":1,"mode":"Key"}"#,
            r#"{"version":2,"mode":"None"}"#,
        ] {
            gateway.mount(bad);
        }
        gateway.logged("the policy cannot be read").await;
        gateway.logged("the last good policy stays in force").await;
        assert_eq!(status(&[("x-api-key", PRIMARY)]).await, 200);
        assert_eq!(status(&[]).await, 401);
        assert_eq!(admin("/readyz").await, Some(200));
        assert!(!metrics().await.contains("policy_rejected_total 0\n"));
    });
}

#[test]
fn without_any_policy_nobody_is_served_until_there_is_one() {
    in_pod(|| async {
        models::echo().await;
        let gateway = Gateway::spawn(None, &[], true);
        gateway.logged("the mounted policy cannot be read").await;
        assert_eq!(admin("/readyz").await, Some(503));
        let refused = call(score("{}")).await;
        assert_eq!(
            (
                refused.status.as_u16(),
                refused.headers["retry-after"].as_bytes()
            ),
            (503, &b"1"[..])
        );
        gateway.mount(&policy(Some((PRIMARY, SECONDARY))));
        gateway.until_ready().await;
        assert_eq!(status(&[("x-api-key", PRIMARY)]).await, 200);
    });
}

#[test]
fn without_an_api_server_the_mounted_policy_serves() {
    in_pod(|| async {
        models::echo().await;
        let gateway = Gateway::ready(&["--secret", "iris-gateway"]).await;
        gateway.logged("the policy cannot be watched yet").await;
        assert_eq!(status(&[("x-api-key", PRIMARY)]).await, 200);
        sleep(Duration::from_millis(100)).await;
        assert_eq!(admin("/readyz").await, Some(200));
    });
}
