//! Authorities come and go under calls by every way that they secure: nobody is refused.
//!
//! For a minute and a half; `ATELIER_TEST_MINUTES` makes it longer.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use atelier_api::{Run, WebService};
use atelier_testkit::cluster::SYSTEM;
use atelier_testkit::manifest::{run, service};
use atelier_testkit::namespace::SLOW;
use atelier_testkit::wait::check;
use atelier_testkit::{Cluster, TestNamespace, Way, eventually, operator};
use k8s_openapi::api::core::v1::Secret;
use kube::api::PostParams;
use kube::{Api, Client};
use serde_json::json;
use tokio::task::JoinHandle;

use crate::team::{CONTRIBUTOR, READER, client, team};

const OPERATOR: &str = "deployment/atelier-operator";
const FAST: [&str; 3] = [
    "ATELIER_CERTIFICATE_ROTATION=30s",
    "ATELIER_CERTIFICATE_OVERLAP=6s",
    "ATELIER_CERTIFICATE_LIFE=45s",
];
const USUAL: [&str; 3] = [
    "ATELIER_CERTIFICATE_ROTATION=2160h",
    "ATELIER_CERTIFICATE_OVERLAP=1h",
    "ATELIER_CERTIFICATE_LIFE=720h",
];

/// Certificates of seconds, as long as this is held.
struct Fast(Cluster);

impl Fast {
    async fn begin(cluster: &Cluster) -> Self {
        let fast = Self(cluster.clone());
        set(cluster, &FAST);
        operator::all_ready(cluster).await;
        fast
    }
}

impl Drop for Fast {
    fn drop(&mut self) {
        set(&self.0, &USUAL);
    }
}

fn set(cluster: &Cluster, periods: &[&str]) {
    let args = [&["-n", SYSTEM, "set", "env", OPERATOR][..], periods].concat();
    let (ok, said) = cluster.kubectl(&args, "");
    assert!(ok, "{said}");
    let (ok, said) = cluster.kubectl(&["-n", SYSTEM, "rollout", "status", OPERATOR], "");
    assert!(ok, "{said}");
}

type Counts = BTreeMap<String, u64>;

/// Does the same again and again, and counts what comes of it.
fn repeat<F, E>(
    done: &Arc<AtomicBool>,
    pause: Duration,
    act: impl Fn() -> F + Send + 'static,
) -> JoinHandle<Counts>
where
    F: Future<Output = Result<(), E>> + Send,
    E: ToString,
{
    let done = done.clone();
    tokio::spawn(async move {
        let mut counts = Counts::new();
        while !done.load(Ordering::SeqCst) {
            let what = act()
                .await
                .map_or_else(|error| error.to_string(), |()| "ok".into());
            *counts.entry(what).or_default() += 1;
            tokio::time::sleep(pause).await;
        }
        counts
    })
}

async fn score(client: &Client, namespace: &str) -> Result<(), kube::Error> {
    let path = format!(
        "/apis/actions.atelier.dev/v1alpha1/namespaces/{namespace}/webservices/model/score"
    );
    let request = http::Request::post(path).body(b"{}".to_vec()).unwrap();
    client.request_text(request).await.map(drop)
}

async fn create_a_run(client: &Client, namespace: &str) -> Result<(), kube::Error> {
    let params = PostParams {
        dry_run: true,
        ..PostParams::default()
    };
    let manifest = serde_json::from_value(run("asked", "none", "true")).unwrap();
    let runs: Api<Run> = Api::namespaced(client.clone(), namespace);
    runs.create(&params, &manifest).await.map(drop)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn authorities_come_and_go_under_scores_and_webhooks_and_nobody_is_refused() {
    let namespace = team("rotation").await;
    let alone = operator::alone().await;
    let mut model = service("model");
    model["spec"]["auth"] = json!({"mode": "None"});
    model["spec"]["replicas"] = json!(2);
    namespace.create::<WebService>(model).await;
    namespace.ready::<WebService>("model", SLOW).await;
    let fast = Fast::begin(&namespace.cluster).await;
    let reader = client(&namespace, READER);
    eventually(SLOW, "it can be scored", async || {
        let scored = score(&reader, &namespace.name).await;
        scored.map_err(|error| error.to_string())
    })
    .await;

    let done = Arc::new(AtomicBool::new(false));
    let (name, pause) = (namespace.name.clone(), Duration::from_millis(20));
    let scores = repeat(&done, pause, move || {
        let (reader, name) = (reader.clone(), name.clone());
        async move { score(&reader, &name).await }
    });
    let (name, author) = (namespace.name.clone(), client(&namespace, CONTRIBUTOR));
    let reviews = repeat(&done, pause * 5, move || {
        let (author, name) = (author.clone(), name.clone());
        async move { create_a_run(&author, &name).await }
    });
    // Those who trust whom the status names, a new connection now and then among them.
    let way = Way::to(&namespace, "model").await;
    let public = way.load(None, "{}", 1);
    let anew = Arc::new(way);
    let connections = repeat(&done, pause * 5, move || {
        let way = anew.clone();
        async move {
            let answer = way.post(None, "{}").await;
            match answer.status {
                200 => Ok(()),
                _ => Err(answer.body),
            }
        }
    });

    let (signers, gateways) = rotations(&namespace).await;
    done.store(true, Ordering::SeqCst);
    let (scores, reviews) = (scores.await.unwrap(), reviews.await.unwrap());
    let (public, connections) = (public.stop().await, connections.await.unwrap());
    println!(
        "{signers} authorities, {gateways} certificates of the gateways; scores {scores:?}, reviews {reviews:?}, public \
         {public:?}, new connections {connections:?}"
    );
    for counts in [&scores, &reviews, &connections] {
        assert!(counts.len() == 1 && counts["ok"] > 100, "{counts:?}");
    }
    assert!(public.len() == 1 && public["200"] > 100, "{public:?}");
    // Each rotation moves bundle, signer and bundle.
    assert!(
        signers >= 3 && gateways >= 3 * (signers - 2),
        "{signers} {gateways}"
    );
    drop(fast);
    drop(alone);
    namespace.finish().await;
}

/// Waits for as long as the test is to take, in minutes by `ATELIER_TEST_MINUTES`. How many authorities have signed, and how many certificates gateways had.
#[allow(clippy::disallowed_methods)] // A test has no command line of its own.
async fn rotations(namespace: &TestNamespace) -> (usize, usize) {
    let minutes = std::env::var("ATELIER_TEST_MINUTES").ok();
    let minutes = minutes.map_or(1.5, |text| text.parse::<f64>().unwrap());
    let end = Instant::now() + Duration::from_secs_f64(minutes * 60.0);
    let authority: Api<Secret> = Api::namespaced(namespace.cluster.client.clone(), SYSTEM);
    let (own, mut signers, mut shown) = (namespace.api::<Secret>(), HashSet::new(), HashSet::new());
    eventually(
        SLOW + Duration::from_secs_f64(minutes * 60.0),
        "time has passed",
        async || {
            for (api, name, key, seen) in [
                (&authority, "atelier-ca", "current.crt", &mut signers),
                (&own, "model-gateway-tls", "tls.crt", &mut shown),
            ] {
                let secret = api.get(name).await.map_err(|error| error.to_string())?;
                seen.extend(
                    secret
                        .data
                        .and_then(|data| data.get(key).cloned())
                        .map(|v| v.0),
                );
            }
            check(Instant::now() > end, "not yet")
        },
    )
    .await;
    (signers.len(), shown.len())
}
