//! Records on their way out of the cluster: the real receiver of the OpenTelemetry Collector on the test's host, the
//! switch that restarts nothing, and the credential that stands in Secrets only.

use std::collections::BTreeSet;
use std::net::{IpAddr, TcpListener, UdpSocket};
use std::time::Duration;

use atelier_api::WebService;
use atelier_api::conditions::{TELEMETRY_EXPORTING, reasons};
use atelier_testkit::collector::{Collector, attributes, program};
use atelier_testkit::manifest::service;
use atelier_testkit::namespace::{QUICK, SLOW, condition};
use atelier_testkit::wait::check;
use atelier_testkit::{TestNamespace, Way, eventually};
use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::api::{Patch, PatchParams};
use kube::{Api, ResourceExt as _};
use serde_json::{Value, json};

use crate::team::{CONTRIBUTOR, client, team};

const CREDENTIAL: &str = "Bearer CANARY-of-the-collector";

/// A collector on this host, and how pods reach it.
async fn collector(way: &Way) -> (Collector, String) {
    let program = tokio::task::spawn_blocking(program).await.unwrap();
    // The address by which this host speaks to the cluster is one by which the cluster speaks to it.
    let socket = UdpSocket::bind(("0.0.0.0", 0)).unwrap();
    socket.connect((way.address, 9)).unwrap();
    let host: IpAddr = socket.local_addr().unwrap().ip();
    let port = TcpListener::bind((host, 0))
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let collector = Collector::start(program, &[format!("endpoint={host}:{port}")]);
    (collector, format!("http://{host}:{port}"))
}

async fn told(namespace: &TestNamespace, status: &str, reason: &str) -> String {
    let service: WebService = namespace
        .condition("model", TELEMETRY_EXPORTING, status, reason, SLOW)
        .await;
    condition(&service, TELEMETRY_EXPORTING).unwrap().message
}

async fn set(namespace: &TestNamespace, telemetry: Value) {
    let patch = json!({"spec": {"telemetry": telemetry}});
    namespace.patch::<WebService>("model", patch).await.unwrap();
}

async fn pods(namespace: &TestNamespace) -> Vec<(String, i32)> {
    let pods = namespace
        .pods("app.kubernetes.io/component=webservice")
        .await;
    let restarts = |pod: &Pod| -> i32 {
        let status = pod.status.as_ref().unwrap();
        let all = status.container_statuses.iter().flatten();
        all.map(|container| container.restart_count).sum()
    };
    pods.iter()
        .map(|pod| (pod.uid().unwrap(), restarts(pod)))
        .collect()
}

/// A secret with headers, as somebody makes one.
async fn credential(namespace: &TestNamespace) {
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "collector"},
        "stringData": {"Authorization": format!("{CREDENTIAL}\n")}});
    namespace.create::<Secret>(secret).await;
}

#[tokio::test]
async fn records_are_exported_live_refused_ones_too_and_by_a_credential_that_shows_nowhere() {
    let namespace = team("export").await;
    let mut manifest = service("model");
    let program = manifest["spec"]["command"][2].as_str().unwrap();
    // A long body takes the model long.
    let slow = "time.sleep(3 if int(self.headers.get('content-length', 0)) > 5 else 0)";
    manifest["spec"]["command"][2] = json!(program.replace("time.sleep(0 / 1000)", slow));
    manifest["spec"]["limits"] =
        json!({"concurrentRequestsPerReplica": 8, "queueWaitMs": 0, "timeoutMs": 1000});
    namespace.create::<WebService>(manifest).await;
    namespace.ready::<WebService>("model", SLOW).await;
    let service: WebService = namespace.api().get("model").await.unwrap();
    assert!(condition(&service, TELEMETRY_EXPORTING).is_none());
    let keys: Secret = namespace.api().get("model-keys").await.unwrap();
    let key = String::from_utf8(keys.data.unwrap()["primary"].0.clone()).unwrap();
    let way = Way::to(&namespace, "model").await;
    let (collector, endpoint) = collector(&way).await;
    let before = pods(&namespace).await;

    let load = way.load(Some(&key), "{}", 4);
    // Nothing without the credential that the spec names.
    let otlp = json!({"endpoint": endpoint, "headersSecretRef": {"name": "collector"}});
    set(&namespace, json!({"enabled": true, "otlp": otlp})).await;
    told(&namespace, "False", reasons::CREDENTIAL_MISSING).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(collector.logs().len(), 0);
    credential(&namespace).await;
    told(&namespace, "True", reasons::EXPORTING).await;
    eventually(QUICK, "records arrive", async || {
        let taken = collector.logs().len();
        check(taken > 0, taken)
    })
    .await;

    // Those who are refused.
    for (path, key, status) in [("/score", None, 401), ("/other", Some(&key), 404)] {
        let url = way.url.replace("/score", path);
        let answer = way.caller().post(&url, key.map(String::as_str), "{}").await;
        assert_eq!(answer.status, status, "{path}: {answer:?}");
    }
    let crowd = (0..16).map(|_| way.post(Some(&key), "a long body"));
    let answers = futures::future::join_all(crowd).await;
    let seen: BTreeSet<_> = answers.iter().map(|answer| answer.status).collect();
    assert_eq!(seen, [503, 504].into(), "{answers:?}");
    eventually(QUICK, "refused requests arrive too", async || {
        let logs = collector.logs();
        let statuses: BTreeSet<_> = logs
            .iter()
            .map(|log| {
                attributes(log)["http.response.status_code"]
                    .as_str()
                    .unwrap()
                    .to_owned()
            })
            .collect();
        let all = ["200", "401", "404", "503", "504"].iter();
        check(
            all.clone().all(|status| statuses.contains(*status)),
            statuses,
        )
    })
    .await;

    // Off again, and nothing comes any more.
    set(&namespace, json!({"enabled": false})).await;
    eventually(QUICK, "the condition is gone", async || {
        let service: WebService = namespace.api().get("model").await.unwrap();
        check(
            condition(&service, TELEMETRY_EXPORTING).is_none(),
            service.status,
        )
    })
    .await;
    // What was handed in before is still on its way for a while. A request that had begun when the export did has a
    // record and no span.
    let mut taken = collector.logs().len();
    eventually(SLOW, "nothing arrives any more", async || {
        tokio::time::sleep(Duration::from_secs(3)).await;
        let logs = collector.logs();
        let before = std::mem::replace(&mut taken, logs.len());
        let traced = logs
            .iter()
            .filter(|log| log["traceId"].as_str().is_some_and(|id| !id.is_empty()));
        let (traced, spans) = (traced.count(), collector.spans().len());
        check(
            before == taken && traced == spans && taken - traced <= 4,
            (before, taken, traced, spans),
        )
    })
    .await;
    let answers = load.stop().await;
    // The crowd took the load's turns for a second.
    let only = |status: &String| ["200", "503"].contains(&status.as_str());
    assert!(answers.keys().all(only), "{answers:?}");
    assert_eq!(pods(&namespace).await, before);

    for signal in ["logs", "traces"] {
        let batches = collector.batches(signal);
        assert!(
            batches
                .iter()
                .all(|batch| batch["authorization"] == CREDENTIAL)
        );
        let resource = if signal == "logs" {
            "resourceLogs"
        } else {
            "resourceSpans"
        };
        let resource = attributes(&batches[0]["batch"][resource][0]["resource"]);
        assert_eq!(resource["k8s.namespace.name"], json!(namespace.name));
        assert_eq!(resource["service.name"], "model");
    }
    nowhere(&namespace).await;
    namespace.finish().await;
}

/// The credential's value stands in Secrets, and nowhere else.
async fn nowhere(namespace: &TestNamespace) {
    let kinds = "webservices,workspaces,deployments,replicasets,pods,configmaps,events,services";
    let args = ["-n", &namespace.name, "get", kinds, "-o", "yaml"];
    let (ok, mut said) = namespace.cluster.kubectl(&args, "");
    assert!(ok, "{said}");
    let system = atelier_testkit::cluster::SYSTEM;
    for (within, selector) in [
        (
            namespace.name.as_str(),
            "app.kubernetes.io/component=webservice",
        ),
        (system, "app.kubernetes.io/name=atelier"),
    ] {
        let args = [
            "-n",
            within,
            "logs",
            "--all-containers",
            "--tail=-1",
            "-l",
            selector,
        ];
        let (ok, logs) = namespace.cluster.kubectl(&args, "");
        assert!(ok && !logs.is_empty(), "{logs}");
        said.push_str(&logs);
    }
    assert!(!said.contains("CANARY"));
}

#[tokio::test]
async fn what_cannot_be_exported_to_is_refused_or_told_of() {
    let namespace = team("nowhere").await;
    let mut manifest = service("model");
    manifest["spec"]["replicas"] = json!(0);
    namespace.create::<WebService>(manifest).await;
    for (otlp, why) in [
        (json!({"endpoint": "http://localhost:4318"}), "loopback"),
        (json!({"endpoint": "https://127.0.0.1"}), "loopback"),
        (json!({"endpoint": "http://127.1:4318"}), "loopback"),
        (json!({"endpoint": "http://[::1]:4318/otlp"}), "loopback"),
        (
            json!({"endpoint": "http://a.example", "caBundle": "x"}),
            "https://",
        ),
        (
            json!({"endpoint": "http://me:you@a.example"}),
            "should match",
        ),
        (json!({"endpoint": "grpc://a.example"}), "should match"),
        (json!({"compression": "Gzip"}), "endpoint"),
    ] {
        let patch = json!({"spec": {"telemetry": {"enabled": true, "otlp": otlp}}});
        let refused = namespace.patch::<WebService>("model", patch).await;
        let refused = refused.unwrap_err().to_string();
        assert!(refused.contains(why), "{otlp}: {refused}");
    }
    set(&namespace, json!({"enabled": true})).await;
    told(&namespace, "False", reasons::NOTHING_TO_EXPORT_TO).await;
    set(
        &namespace,
        json!({"otlp": {"endpoint": "https://a.example", "caBundle": "x"}}),
    )
    .await;
    told(&namespace, "False", reasons::ENDPOINT_REFUSED).await;
    set(&namespace, json!({"otlp": {"caBundle": null}})).await;
    told(&namespace, "True", reasons::EXPORTING).await;

    // Whoever names a Secret may read it.
    let bad = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "collector"},
        "stringData": {"Host": "CANARY"}});
    namespace.create::<Secret>(bad).await;
    let named =
        json!({"spec": {"telemetry": {"otlp": {"headersSecretRef": {"name": "collector"}}}}});
    let as_contributor: Api<WebService> =
        Api::namespaced(client(&namespace, CONTRIBUTOR), &namespace.name);
    let params = PatchParams::default();
    let refused = as_contributor
        .patch("model", &params, &Patch::Merge(&named))
        .await;
    let refused = refused.unwrap_err().to_string();
    assert!(
        refused.contains("may not read the Secret collector"),
        "{refused}"
    );
    namespace.patch::<WebService>("model", named).await.unwrap();
    let why = told(&namespace, "False", reasons::CREDENTIAL_REFUSED).await;
    assert!(why.contains("Host") && !why.contains("CANARY"), "{why}");

    // Put right, changed, and taken away: noticed each time.
    namespace.delete::<Secret>("collector").await;
    told(&namespace, "False", reasons::CREDENTIAL_MISSING).await;
    credential(&namespace).await;
    told(&namespace, "True", reasons::EXPORTING).await;
    let entry = async |name: &str| {
        let secret: Secret = namespace.api().get("model-gateway").await.unwrap();
        let entry = secret.data.unwrap().remove(name);
        entry.map(|entry| String::from_utf8(entry.0).unwrap())
    };
    let headers = json!({"authorization": CREDENTIAL}).to_string();
    assert_eq!(entry("telemetry.headers").await.as_ref(), Some(&headers));
    assert!(!entry("telemetry.json").await.unwrap().contains("CANARY"));
    let other = json!({"stringData": {"Authorization": "Bearer another"}});
    namespace.patch::<Secret>("collector", other).await.unwrap();
    eventually(QUICK, "gateways are told the other", async || {
        let told = entry("telemetry.headers").await;
        check(
            told.as_ref().is_some_and(|told| told.contains("another")),
            told,
        )
    })
    .await;
    set(&namespace, json!({"enabled": false})).await;
    eventually(QUICK, "gateways are told nothing", async || {
        let told = (
            entry("telemetry.json").await,
            entry("telemetry.headers").await,
        );
        check(told == (None, None), told)
    })
    .await;
    // The keys were not touched by any of that.
    let service: WebService = namespace.api().get("model").await.unwrap();
    assert_eq!(service.status.unwrap().keys.unwrap().primary.generation, 1);
    namespace.finish().await;
}
