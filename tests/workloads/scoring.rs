//! Requests: keys, limits, and models that misbehave.

use std::time::{Duration, Instant};

use atelier_api::WebService;
use atelier_testkit::load::{Caller, Load};
use atelier_testkit::manifest::{server, service};
use atelier_testkit::namespace::{QUICK, SLOW};
use atelier_testkit::operator::undisturbed;
use atelier_testkit::wait::check;
use atelier_testkit::{TestNamespace, eventually};
use k8s_openapi::api::core::v1::Secret;
use serde_json::json;

use crate::service::{key, url};

/// How often a key is made anew, each time measured: `ATELIER_TEST_TRIALS` makes it more.
#[allow(clippy::disallowed_methods)] // A test has no command line of its own.
fn trials() -> i64 {
    let asked = std::env::var("ATELIER_TEST_TRIALS").ok();
    asked.map_or(10, |asked| asked.parse().unwrap())
}

#[tokio::test]
async fn a_rotated_key_is_refused_within_a_second_and_the_other_never() {
    let _operator = undisturbed().await;
    let namespace = TestNamespace::with_workspace("rotate").await;
    namespace.create::<WebService>(service("svc")).await;
    namespace.ready::<WebService>("svc", SLOW).await;
    let (caller, at) = (Caller::default(), url(&namespace, "svc").await);
    let secondary = key(&namespace, "svc", "secondary").await;
    let load = Load::start(&at, Some(&secondary), "{}", 1);
    let mut took = vec![];
    for generation in 2..2 + trials() {
        let old = key(&namespace, "svc", "primary").await;
        assert_eq!(caller.post(&at, Some(&old), "{}").await.status, 200);
        let begun = Instant::now();
        let patch = json!({"spec": {"auth": {"keyGeneration": {"primary": generation}}}});
        namespace.patch::<WebService>("svc", patch).await.unwrap();
        eventually(QUICK, "the old key is refused", async || {
            let answer = caller.post(&at, Some(&old), "{}").await;
            check(answer.status == 401, answer.status)
        })
        .await;
        took.push(begun.elapsed());
        let new = key(&namespace, "svc", "primary").await;
        assert_ne!(new, old);
        assert_eq!(caller.post(&at, Some(&new), "{}").await.status, 200);
    }
    // The median: one that meets a busy moment of the machine says nothing of the way a key takes.
    took.sort();
    let p99 = took[(took.len() - 1) * 99 / 100];
    println!(
        "{} revocations: p50 {:?}, p99 {p99:?}, max {:?}",
        took.len(),
        took[took.len() / 2],
        took[took.len() - 1]
    );
    assert!(took[took.len() / 2] < Duration::from_secs(1), "{took:?}");
    // A rollback rotates nothing.
    let current = key(&namespace, "svc", "primary").await;
    let patch = json!({"spec": {"auth": {"keyGeneration": {"primary": 1}}}});
    namespace.patch::<WebService>("svc", patch).await.unwrap();
    namespace.ready::<WebService>("svc", QUICK).await;
    assert_eq!(key(&namespace, "svc", "primary").await, current);
    let counts = load.stop().await;
    assert!(counts.len() == 1 && counts["200"] > 10, "{counts:?}");
    namespace.finish().await;
}

#[tokio::test]
async fn deleting_the_keys_makes_new_ones() {
    let _operator = undisturbed().await;
    let namespace = TestNamespace::with_workspace("newkeys").await;
    namespace.create::<WebService>(service("svc")).await;
    namespace.ready::<WebService>("svc", SLOW).await;
    let (caller, at) = (Caller::default(), url(&namespace, "svc").await);
    let old = key(&namespace, "svc", "primary").await;
    namespace.delete::<Secret>("svc-keys").await;
    eventually(
        QUICK,
        "the old key is refused and a new one works",
        async || {
            check(
                caller.post(&at, Some(&old), "{}").await.status == 401,
                "the old key works",
            )?;
            let secret = namespace
                .api::<Secret>()
                .get_opt("svc-keys")
                .await
                .map_err(|e| e.to_string())?;
            let data = secret.and_then(|s| s.data).ok_or("no keys")?;
            let new = String::from_utf8(data["primary"].0.clone()).map_err(|e| e.to_string())?;
            check(
                caller.post(&at, Some(&new), "{}").await.status == 200,
                "the new key does not work yet",
            )
        },
    )
    .await;
    namespace.finish().await;
}

#[tokio::test]
async fn a_slow_model_gives_504_a_crowd_503_and_a_dead_one_502_and_the_gateway_lives() {
    let _operator = undisturbed().await;
    let namespace = TestNamespace::with_workspace("trouble").await;
    let mut slow = service("slow");
    slow["spec"]["command"] = json!(["python3", "-c", server("127.0.0.1", 3000)]);
    slow["spec"]["limits"] =
        json!({"timeoutMs": 1000, "queueWaitMs": 200, "concurrentRequestsPerReplica": 1});
    slow["spec"]["auth"] = json!({"mode": "None"});
    namespace.create::<WebService>(slow).await;
    // Takes every request and breaks off.
    let mut dying = service("dying");
    let breaks_off = server("127.0.0.1", 0).replace(
        "time.sleep(0 / 1000)",
        "self.connection.shutdown(2); return",
    );
    dying["spec"]["command"] = json!(["python3", "-c", breaks_off]);
    dying["spec"]["auth"] = json!({"mode": "None"});
    namespace.create::<WebService>(dying).await;
    namespace.ready::<WebService>("slow", SLOW).await;
    namespace.ready::<WebService>("dying", SLOW).await;

    let caller = Caller::default();
    let (slow, dying) = (
        url(&namespace, "slow").await,
        url(&namespace, "dying").await,
    );
    // A Service's address works a moment after its first replica is ready.
    eventually(QUICK, "the slow model takes too long", async || {
        let answer = caller.post(&slow, None, "{}").await;
        check(answer.status == 504, &answer)
    })
    .await;
    let (first, second) = tokio::join!(caller.post(&slow, None, "{}"), async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        caller.post(&slow, None, "{}").await
    });
    assert_eq!(
        (first.status, second.status),
        (504, 503),
        "{first:?} {second:?}"
    );
    assert!(second.headers.contains_key("retry-after"), "{second:?}");
    let broken = eventually(QUICK, "the model breaks off", async || {
        let answer = caller.post(&dying, None, "{}").await;
        check(answer.status == 502, &answer)?;
        Ok(answer)
    })
    .await;
    for answer in [&first, &second, &broken] {
        assert!(
            answer.body.contains(r#""code":"#) && answer.body.contains("requestId"),
            "{answer:?}"
        );
    }
    assert_eq!(gateway_restarts(&namespace).await, 0);
    namespace.finish().await;
}

/// How often gateways were started again.
async fn gateway_restarts(namespace: &TestNamespace) -> i32 {
    let pods = namespace
        .pods("app.kubernetes.io/component=webservice")
        .await;
    let gateways = pods.iter().flat_map(|p| {
        p.status
            .iter()
            .flat_map(|s| &s.container_statuses)
            .flatten()
    });
    gateways.map(|c| c.restart_count).sum()
}

#[tokio::test]
async fn a_model_that_ends_or_does_not_listen_is_never_ready_and_the_gateway_lives() {
    let _operator = undisturbed().await;
    let namespace = TestNamespace::with_workspace("down").await;
    for (name, script) in [
        ("ends", "exit 1"),
        ("deaf", "trap 'exit 0' TERM; sleep 600 & wait"),
    ] {
        let mut manifest = service(name);
        manifest["spec"]["command"] = json!(["/bin/sh", "-c", script]);
        manifest["spec"]["auth"] = json!({"mode": "None"});
        namespace.create::<WebService>(manifest).await;
    }
    // Nobody is sent there; asked directly, the gateway says so.
    let caller = Caller::default();
    eventually(
        SLOW,
        "the gateway says that the model is not there",
        async || {
            let pods = namespace.pods("app.kubernetes.io/instance=deaf").await;
            let address = pods.first().and_then(|p| p.status.as_ref()?.pod_ip.clone());
            let address = address.ok_or("no address yet")?;
            let answer = caller
                .post(&format!("http://{address}:8080/score"), None, "{}")
                .await;
            check(
                answer.status == 502 && answer.body.contains("ModelUnreachable"),
                &answer,
            )
        },
    )
    .await;
    let ends: WebService = namespace
        .condition("ends", "Ready", "False", "CrashLoop", SLOW)
        .await;
    let deaf: WebService = namespace.api().get("deaf").await.unwrap();
    for service in [ends, deaf] {
        let status = service.status.unwrap();
        assert_eq!(status.ready_replicas, 0, "{status:?}");
    }
    assert_eq!(gateway_restarts(&namespace).await, 0);
    namespace.finish().await;
}
