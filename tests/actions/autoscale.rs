//! Replicas that follow the load: up within seconds, down after the window, no request lost, and nobody believed who is
//! not the pod that they speak for.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use atelier_api::WebService;
use atelier_api::conditions::{SCALING_ACTIVE, reasons};
use atelier_api::report::AUDIENCE;
use atelier_testkit::audit::Audit;
use atelier_testkit::cluster::SYSTEM;
use atelier_testkit::manifest::{server, service};
use atelier_testkit::namespace::{QUICK, SLOW, condition};
use atelier_testkit::wait::check;
use atelier_testkit::{Cluster, TestNamespace, Way, eventually, operator};
use futures::StreamExt as _;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::authentication::v1::{BoundObjectReference, TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::{Pod, ServiceAccount};
use kube::ResourceExt;
use kube::api::PostParams;
use kube::runtime::watcher::watch_object;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::team::team;

const OPERATOR: &str = "deployment/atelier-operator";
const MODEL: &str = "app.kubernetes.io/component=webservice,app.kubernetes.io/instance=model";
const WINDOW: Duration = Duration::from_secs(12);

/// A shorter window, as long as this is held.
struct Short(Cluster);

impl Short {
    async fn begin(cluster: &Cluster) -> Self {
        let short = Self(cluster.clone());
        set(cluster, &format!("{}s", WINDOW.as_secs()));
        operator::all_ready(cluster).await;
        short
    }
}

impl Drop for Short {
    fn drop(&mut self) {
        set(&self.0, "60s");
    }
}

fn set(cluster: &Cluster, window: &str) {
    let window = format!("ATELIER_SCALE_DOWN_WINDOW={window}");
    for args in [
        &["-n", SYSTEM, "set", "env", OPERATOR, &window][..],
        &["-n", SYSTEM, "rollout", "status", OPERATOR],
    ] {
        let (ok, said) = cluster.kubectl(args, "");
        assert!(ok, "{said}");
    }
}

/// A service whose model takes a tenth of a second, one request at a time.
fn manifest(autoscale: Value) -> Value {
    let mut manifest = service("model");
    manifest["spec"]["auth"] = json!({"mode": "None"});
    manifest["spec"]["command"] = json!(["python3", "-c", server("127.0.0.1", 100)]);
    manifest["spec"]["limits"] = json!({"concurrentRequestsPerReplica": 1, "queueWaitMs": 30000});
    manifest["spec"]["autoscale"] = autoscale;
    manifest
}

async fn model(namespace: &TestNamespace) -> Result<WebService, String> {
    let service = namespace.api::<WebService>().get("model").await;
    service.map_err(|error| error.to_string())
}

async fn deployment(namespace: &TestNamespace) -> Deployment {
    namespace.api().get("model").await.unwrap()
}

async fn wanted(namespace: &TestNamespace) -> i32 {
    deployment(namespace).await.spec.unwrap().replicas.unwrap()
}

async fn wants(namespace: &TestNamespace, replicas: i32, within: Duration) {
    eventually(
        within,
        &format!("there are to be {replicas} replicas"),
        async || {
            let now = wanted(namespace).await;
            check(now == replicas, now)
        },
    )
    .await;
}

async fn answer(namespace: &TestNamespace, replicas: i32) {
    eventually(SLOW, &format!("{replicas} replicas answer"), async || {
        let ready = model(namespace)
            .await?
            .status
            .unwrap_or_default()
            .ready_replicas;
        check(ready == replicas, ready)
    })
    .await;
}

async fn scaling(namespace: &TestNamespace, status: &str, reason: &str) {
    eventually(
        SLOW,
        &format!("ScalingActive={status} {reason}"),
        async || {
            let service = model(namespace).await?;
            let told = condition(&service, SCALING_ACTIVE).ok_or("no such condition")?;
            check(told.status == status && told.reason == reason, told)
        },
    )
    .await;
}

/// Every number of replicas that there was to be, from now on.
fn numbers(namespace: &TestNamespace) -> JoinHandle<BTreeSet<i32>> {
    let watch = watch_object(namespace.api::<Deployment>(), "model");
    tokio::spawn(async move {
        let mut seen = BTreeSet::new();
        let mut watch = std::pin::pin!(watch);
        while let Some(Ok(Some(one))) = watch.next().await {
            seen.extend(one.spec.as_ref().and_then(|spec| spec.replicas));
            if one.annotations().contains_key("tests/enough") {
                break;
            }
        }
        seen
    })
}

async fn seen(namespace: &TestNamespace, numbers: JoinHandle<BTreeSet<i32>>) -> Vec<i32> {
    let enough = json!({"metadata": {"annotations": {"tests/enough": "yes"}}});
    namespace
        .patch::<Deployment>("model", enough)
        .await
        .unwrap();
    let seen = numbers.await.unwrap().into_iter().collect();
    let more = json!({"metadata": {"annotations": {"tests/enough": null}}});
    namespace.patch::<Deployment>("model", more).await.unwrap();
    seen
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_follow_the_load_and_no_request_is_lost() {
    let namespace = team("scale").await;
    let alone = operator::alone().await;
    let short = Short::begin(&namespace.cluster).await;
    namespace
        .create::<WebService>(manifest(json!({"max": 3})))
        .await;
    namespace.ready::<WebService>("model", SLOW).await;
    scaling(&namespace, "True", reasons::FOLLOWING_LOAD).await;
    assert_eq!(wanted(&namespace).await, 1);
    let way = Way::to(&namespace, "model").await;

    // Four at a time, of which each takes a tenth of a second: more than three replicas are for.
    let begun = Instant::now();
    let load = way.load(None, "{}", 4);
    wants(&namespace, 3, Duration::from_secs(8)).await;
    let up = begun.elapsed();
    scaling(&namespace, "True", reasons::AT_MAXIMUM).await;
    answer(&namespace, 3).await;
    // As things are they cost no write.
    tokio::time::sleep(Duration::from_secs(5)).await;
    let audit = Audit::from_now(&namespace.cluster);
    tokio::time::sleep(Duration::from_secs(20)).await;
    let writes = audit.operator_writes(&namespace.name);
    assert!(writes.is_empty(), "{writes:?}");

    // Another leader, who knows nothing of the load at first, takes nothing away.
    let seen_numbers = numbers(&namespace);
    namespace.cluster.kill_operator().await;
    tokio::time::sleep(WINDOW + Duration::from_secs(8)).await;
    assert_eq!(seen(&namespace, seen_numbers).await, [3]);

    let ended = Instant::now();
    let counts = load.stop().await;
    wants(&namespace, 1, WINDOW + Duration::from_secs(30)).await;
    let down = ended.elapsed();
    assert!(down > WINDOW - Duration::from_secs(2), "{down:?}");
    answer(&namespace, 1).await;
    println!("up in {up:?}, down in {down:?}, answers {counts:?}");
    assert!(counts.len() == 1 && counts["200"] > 100, "{counts:?}");
    drop(short);
    drop(alone);
    namespace.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fewer_replicas_lose_no_request() {
    let namespace = team("fewer").await;
    let alone = operator::alone().await;
    let short = Short::begin(&namespace.cluster).await;
    namespace
        .create::<WebService>(manifest(json!({"max": 3})))
        .await;
    namespace.ready::<WebService>("model", SLOW).await;
    let way = Way::to(&namespace, "model").await;
    let (much, little) = (way.load(None, "{}", 4), way.load(None, "{}", 1));
    wants(&namespace, 3, Duration::from_secs(20)).await;
    answer(&namespace, 3).await;
    let much = much.stop().await;
    // One that goes on takes two: there are fewer under its requests.
    wants(&namespace, 2, WINDOW + Duration::from_secs(30)).await;
    answer(&namespace, 2).await;
    let little = little.stop().await;
    for counts in [much, little] {
        assert!(counts.len() == 1 && counts["200"] > 5, "{counts:?}");
    }
    drop(short);
    drop(alone);
    namespace.finish().await;
}

#[tokio::test]
async fn autoscale_is_turned_off_and_on_and_the_replicas_stay() {
    let namespace = team("switch").await;
    let undisturbed = operator::undisturbed().await;
    let scale = json!({"min": 2, "max": 4});
    namespace
        .create::<WebService>(manifest(scale.clone()))
        .await;
    namespace.ready::<WebService>("model", SLOW).await;
    wants(&namespace, 2, QUICK).await;
    let managers = |deployment: &Deployment| {
        let entries = deployment
            .metadata
            .managed_fields
            .clone()
            .unwrap_or_default();
        let entries = entries.into_iter().filter(|entry| {
            let fields = serde_json::to_value(&entry.fields_v1).unwrap();
            fields.pointer("/f:spec/f:replicas").is_some()
        });
        entries
            .filter_map(|entry| entry.manager)
            .collect::<Vec<_>>()
    };
    eventually(QUICK, "the autoscaler has claimed the number", async || {
        let managers = managers(&deployment(&namespace).await);
        check(
            managers.iter().any(|one| one == "atelier-autoscaler"),
            managers,
        )
    })
    .await;
    answer(&namespace, 2).await;
    let uids = async || {
        let pods = namespace.pods(MODEL).await;
        pods.iter()
            .filter_map(ResourceExt::uid)
            .collect::<BTreeSet<_>>()
    };
    let (before, noted) = (uids().await, numbers(&namespace));

    // Others may not say how many there are to be, and who does is put right.
    let service = ["-n", &namespace.name, "scale", "--replicas=4"];
    let (ok, said) = namespace
        .cluster
        .kubectl(&[&service[..], &["webservice/model"]].concat(), "");
    assert!(!ok && said.contains("follows the load"), "{said}");
    for turn in [
        json!({"autoscale": null, "replicas": 2}),
        json!({"autoscale": scale, "replicas": 1}),
    ] {
        namespace
            .patch::<WebService>("model", json!({"spec": turn}))
            .await
            .unwrap();
        namespace.ready::<WebService>("model", SLOW).await;
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
    assert_eq!(seen(&namespace, noted).await, [2]);
    assert_eq!(uids().await, before);

    let (ok, said) = namespace
        .cluster
        .kubectl(&[&service[..], &["deployment/model"]].concat(), "");
    assert!(ok, "{said}");
    wants(&namespace, 2, QUICK).await;
    drop(undisturbed);
    namespace.finish().await;
}

/// A token of a pod's ServiceAccount, bound to the pod, for somebody.
pub async fn token(
    namespace: &TestNamespace,
    account: &str,
    pod: Option<&Pod>,
    audience: Option<&str>,
) -> String {
    let bound = |pod: &Pod| BoundObjectReference {
        kind: Some("Pod".into()),
        api_version: Some("v1".into()),
        name: pod.metadata.name.clone(),
        uid: pod.metadata.uid.clone(),
    };
    let request = TokenRequest {
        spec: TokenRequestSpec {
            audiences: audience.map(|one| one.to_owned()).into_iter().collect(),
            bound_object_ref: pod.map(bound),
            expiration_seconds: Some(600),
        },
        ..TokenRequest::default()
    };
    let accounts = namespace.api::<ServiceAccount>();
    let answer = accounts
        .create_token_request(account, &PostParams::default(), &request)
        .await;
    answer.unwrap().status.unwrap().token
}

/// Posts to the intake of a replica, as whoever has a way to it may.
pub fn post(address: &str, path: &str, token: Option<&str>, body: &str) -> String {
    let mut curl = Command::new("curl");
    curl.args(["-sk", "-m", "10", "-o", "/dev/null", "-w", "%{http_code}"]);
    if let Some(token) = token {
        curl.args(["-H", &format!("authorization: Bearer {token}")]);
    }
    let url = format!("https://{address}:8444{path}");
    // What nobody reads to its end, and answers, is an answer.
    curl.args(["--path-as-is", "--data-binary", "@-", &url]);
    let mut running = curl
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let _ = running.stdin.take().unwrap().write_all(body.as_bytes());
    let output = running.wait_with_output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test]
async fn a_report_is_believed_of_the_pod_that_shows_who_it_is_and_of_no_other() {
    let namespace = team("report").await;
    let undisturbed = operator::undisturbed().await;
    namespace
        .create::<WebService>(manifest(json!({"max": 4})))
        .await;
    let mut other = manifest(Value::Null);
    other["metadata"]["name"] = json!("fixed");
    namespace.create::<WebService>(other).await;
    namespace.ready::<WebService>("model", SLOW).await;
    namespace.ready::<WebService>("fixed", SLOW).await;
    let pod = namespace.pods(MODEL).await.remove(0);
    let of_fixed = namespace
        .pods(&MODEL.replace("=model", "=fixed"))
        .await
        .remove(0);
    let stranger = team("stranger").await;
    stranger
        .create::<WebService>(manifest(json!({"max": 2})))
        .await;
    stranger.ready::<WebService>("model", SLOW).await;

    let good = token(&namespace, "model-gateway", Some(&pod), Some(AUDIENCE)).await;
    let for_others = token(&namespace, "model-gateway", Some(&pod), None).await;
    let unbound = token(&namespace, "model-gateway", None, Some(AUDIENCE)).await;
    let fixed = token(&namespace, "fixed-gateway", Some(&of_fixed), Some(AUDIENCE)).await;
    let (head, signature) = good.rsplit_once('.').unwrap();
    let forged = format!("{head}.{}", signature.chars().rev().collect::<String>());
    let load = r#"{"busyMilli": 100000, "queuedMilli": 0}"#;
    let none = r#"{"busyMilli": 0, "queuedMilli": 0}"#;
    let replicas = operator::all_ready(&namespace.cluster).await;
    let addresses = replicas.iter().filter_map(|pod| pod.status.clone()?.pod_ip);
    let addresses: Vec<_> = addresses.collect();
    assert_eq!(addresses.len(), 2);
    for address in &addresses {
        for (what, path, token, body, expected) in [
            ("no token", "/v1/load", None, load, "401"),
            ("no token at all", "/v1/load", Some("a.b.c"), load, "401"),
            (
                "for others",
                "/v1/load",
                Some(for_others.as_str()),
                load,
                "401",
            ),
            ("of no pod", "/v1/load", Some(&unbound), load, "401"),
            (
                "of a service without autoscale",
                "/v1/load",
                Some(&fixed),
                load,
                "403",
            ),
            ("another path", "/v1/loads", Some(&good), load, "404"),
            ("another body", "/v1/load", Some(&good), "{}", "400"),
            (
                "much of it",
                "/v1/load",
                Some(&good),
                &" ".repeat(300),
                "413",
            ),
            ("a good one", "/v1/load", Some(&good), none, "204"),
            ("forged", "/v1/load", Some(&forged), load, "401"),
            ("a good one again", "/v1/load", Some(&good), none, "204"),
        ] {
            let told = post(address, path, token, body);
            assert_eq!(told, expected, "{what}, at {address}");
            // A pod's claims are looked into once a second.
            tokio::time::sleep(Duration::from_millis(400)).await;
        }
    }
    // What was refused has changed nothing.
    assert_eq!((wanted(&namespace).await, wanted(&stranger).await), (1, 1));
    // And whoever is believed is believed of their own.
    let theirs = stranger.pods(MODEL).await.remove(0);
    let theirs = token(&stranger, "model-gateway", Some(&theirs), Some(AUDIENCE)).await;
    for address in &addresses {
        assert_eq!(post(address, "/v1/load", Some(&theirs), load), "204");
    }
    wants(&stranger, 2, QUICK).await;
    assert_eq!(wanted(&namespace).await, 1);
    drop(undisturbed);
    namespace.finish().await;
    stranger.finish().await;
}
