//! The archive of requests in the workspace's storage: what is in it, who may read it, and what becomes of it without
//! the storage. It takes a storage, and that takes a certificate: the chart has `actions.enabled`, and `storage.probe=5s`.

use std::collections::BTreeMap;
use std::time::Duration;

use atelier_api::conditions::{TELEMETRY_ARCHIVING, TELEMETRY_EXPORTING, reasons};
use atelier_api::report::AUDIENCE;
use atelier_api::{RoleAssignment, WebService};
use atelier_testkit::manifest::{role, service};
use atelier_testkit::namespace::{QUICK, SLOW, condition};
use atelier_testkit::wait::check;
use atelier_testkit::{TestNamespace, Way, eventually, operator};
use http::Request;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Pod, Secret};
use k8s_openapi::api::rbac::v1::RoleBinding;
use kube::ResourceExt as _;
use serde_json::{Value, json};

use crate::autoscale::{post, token};
use crate::storage::{storage, with};
use crate::team::{CONTRIBUTOR, READER, plugin};

const PODS: &str = "app.kubernetes.io/component=webservice";

/// A service that archives, in a workspace with a storage; its key, and the way to it.
async fn archiving(prefix: &str) -> (TestNamespace, Way, String) {
    let namespace = with(prefix, json!({})).await;
    namespace
        .create::<RoleAssignment>(role(READER, "Reader", READER))
        .await;
    namespace.ready::<RoleAssignment>(READER, QUICK).await;
    storage(&namespace, "True", "Probed").await;
    let mut manifest = service("model");
    manifest["spec"]["telemetry"] = json!({"enabled": true, "archive": {"maxDelaySeconds": 5}});
    namespace.create::<WebService>(manifest).await;
    namespace.ready::<WebService>("model", SLOW).await;
    told(&namespace, "True", reasons::ARCHIVING).await;
    let keys: Secret = namespace.api().get("model-keys").await.unwrap();
    let key = String::from_utf8(keys.data.unwrap()["primary"].0.clone()).unwrap();
    let way = Way::to(&namespace, "model").await;
    (namespace, way, key)
}

async fn told(namespace: &TestNamespace, status: &str, reason: &str) -> String {
    let service: WebService = namespace
        .condition("model", TELEMETRY_ARCHIVING, status, reason, SLOW)
        .await;
    condition(&service, TELEMETRY_ARCHIVING).unwrap().message
}

/// Asks under an id of one's own, and says what came of it.
async fn ask(way: &Way, id: &str, key: Option<&str>) -> u16 {
    let request = Request::builder().method("POST").header("x-request-id", id);
    let request = match key {
        Some(key) => request.header("x-api-key", key),
        None => request,
    };
    way.send(request, "/score", b"{}").await.status
}

/// How often each id is in the archive, and with which status.
fn archived(
    namespace: &TestNamespace,
    more: &[&str],
) -> Result<BTreeMap<String, Vec<u64>>, String> {
    let mut args = vec!["requests", "model", "--archive", "-o", "json"];
    args.extend(more);
    let said = plugin(namespace, CONTRIBUTOR, &args)?;
    let mut found = BTreeMap::<String, Vec<u64>>::new();
    for line in said.lines() {
        let record: Value = serde_json::from_str(line).unwrap();
        let id = record["RequestId"].as_str().unwrap().to_owned();
        let status = record["StatusCode"].as_u64().unwrap();
        found.entry(id).or_default().push(status);
    }
    // What the test's way asked to see that it works, is another's.
    found.retain(|id, _| id.starts_with("r-"));
    Ok(found)
}

/// Waits until the archive has these, each once.
async fn has(namespace: &TestNamespace, expected: &BTreeMap<String, Vec<u64>>) {
    eventually(SLOW, "all are in the archive", async || {
        let found = archived(namespace, &["--since", "1h"]);
        check(found.as_ref() == Ok(expected), found)
    })
    .await;
}

#[tokio::test]
async fn the_archive_has_every_request_once_refused_ones_and_those_of_pods_that_are_gone() {
    let (namespace, way, key) = archiving("archive").await;
    let mut expected = BTreeMap::new();
    for n in 0..40 {
        let id = format!("r-{n}");
        let (key, status) = match n % 8 {
            0 => (None, 401),
            _ => (Some(key.as_str()), 200),
        };
        assert_eq!(ask(&way, &id, key).await, status);
        expected.insert(id, vec![u64::from(status)]);
    }
    has(&namespace, &expected).await;

    // The last ones of a pod that goes are sent as it goes.
    for n in 40..50 {
        let id = format!("r-{n}");
        assert_eq!(ask(&way, &id, Some(&key)).await, 200);
        expected.insert(id, vec![200]);
    }
    let before = namespace.pods(PODS).await.remove(0);
    namespace.delete::<Pod>(&before.name_any()).await;
    namespace.gone::<Pod>(&before.name_any(), None, SLOW).await;
    has(&namespace, &expected).await;

    // As people look at it.
    let failed = archived(&namespace, &["--since", "1d", "--failed"]).unwrap();
    assert_eq!(failed.values().flatten().collect::<Vec<_>>(), [&401; 5]);
    let hour = archived(&namespace, &["--since", "2h", "--until", "1h"]).unwrap();
    assert!(hour.is_empty(), "{hour:?}");
    let args = ["requests", "model", "--archive", "--summary"];
    let summary = plugin(&namespace, CONTRIBUTOR, &args).unwrap();
    assert!(
        summary.contains("Unauthorized") && summary.contains("Completed"),
        "{summary}"
    );
    // As a log, it is not for Readers.
    let refused = plugin(&namespace, READER, &args).unwrap_err();
    assert!(refused.contains("Forbidden"), "{refused}");
    let args = ["requests", "model", "--archive", "--since", "400d"];
    let most = plugin(&namespace, CONTRIBUTOR, &args).unwrap_err();
    assert!(most.contains("366 days"), "{most}");
    namespace.finish().await;
}

#[tokio::test]
async fn without_the_grant_requests_go_on_the_archive_says_so_and_has_them_afterwards() {
    let (namespace, way, key) = archiving("archive-grant").await;
    let pods = namespace.pods(PODS).await;
    let mut expected = BTreeMap::new();
    namespace
        .delete::<RoleBinding>("team-identity-storage")
        .await;
    let why = told(&namespace, "False", reasons::GRANT_MISSING).await;
    assert!(
        why.contains("GrantMissing/Storage") && why.contains("resync"),
        "{why}"
    );
    for n in 0..10 {
        let id = format!("r-{n}");
        assert_eq!(ask(&way, &id, Some(&key)).await, 200);
        expected.insert(id, vec![200]);
    }
    // Long enough for them to be refused.
    let args = ["requests", "model", "--archive"];
    eventually(QUICK, "nobody reads either", async || {
        let said = plugin(&namespace, CONTRIBUTOR, &args);
        check(
            said.as_ref()
                .is_err_and(|why| why.contains("GrantMissing/Storage")),
            said,
        )
    })
    .await;
    tokio::time::sleep(Duration::from_secs(8)).await;
    plugin(&namespace, CONTRIBUTOR, &["resync", "team"]).unwrap();
    told(&namespace, "True", reasons::ARCHIVING).await;
    has(&namespace, &expected).await;

    // Nor while its server is away.
    let server = namespace.api::<Deployment>();
    let scale = async |replicas: i32| {
        let patch = json!({"spec": {"replicas": replicas}});
        namespace
            .patch::<Deployment>("team-storage", patch)
            .await
            .unwrap();
    };
    scale(0).await;
    for n in 10..20 {
        let id = format!("r-{n}");
        assert_eq!(ask(&way, &id, Some(&key)).await, 200);
        expected.insert(id, vec![200]);
    }
    // The operator puts it back.
    eventually(SLOW, "the server is back", async || {
        let status = server.get("team-storage").await.unwrap().status;
        check(
            status
                .as_ref()
                .is_some_and(|s| s.available_replicas == Some(1)),
            status,
        )
    })
    .await;
    has(&namespace, &expected).await;
    let uids = |pods: &[Pod]| {
        pods.iter()
            .map(|pod| pod.metadata.uid.clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(uids(&namespace.pods(PODS).await), uids(&pods));
    namespace.finish().await;
}

#[tokio::test]
async fn who_is_a_gateway_writes_to_its_own_services_archive_and_who_is_not_writes_nowhere() {
    let (namespace, way, key) = archiving("archive-forge").await;
    assert_eq!(ask(&way, "r-1", Some(&key)).await, 200);
    let undisturbed = operator::undisturbed().await;
    let pod = namespace.pods(PODS).await.remove(0);
    let good = token(&namespace, "model-gateway", Some(&pod), Some(AUDIENCE)).await;
    let for_others = token(&namespace, "model-gateway", Some(&pod), None).await;
    let unbound = token(&namespace, "model-gateway", None, Some(AUDIENCE)).await;
    let part = "/v1/records/2026-01-04/20260104T040000.000Z-1";
    let much = "x".repeat(1024 * 1024 + 1);
    let replicas = operator::all_ready(&namespace.cluster).await;
    for replica in &replicas {
        let address = replica.status.clone().unwrap().pod_ip.unwrap();
        for (what, path, token, body, expected) in [
            ("no token", part, None, "x", "401"),
            ("for others", part, Some(for_others.as_str()), "x", "401"),
            ("of no pod", part, Some(&unbound), "x", "401"),
            ("no part", "/v1/records/", Some(&good), "x", "404"),
            (
                "another folder",
                "/v1/records/../other/2026-01-04/20260104T040000.000Z-1",
                Some(&good),
                "x",
                "404",
            ),
            (
                "no day",
                "/v1/records/other/20260104T040000.000Z-1",
                Some(&good),
                "x",
                "404",
            ),
            (
                "data beside its own folder",
                "/v1/data/../requests/model/2026-01-04/20260104T040000.000Z-1",
                Some(&good),
                "x",
                "404",
            ),
            ("too much", part, Some(&good), &much, "413"),
            ("a good one", part, Some(&good), "no gzip", "204"),
        ] {
            let told = post(&address, path, token, body);
            assert_eq!(told, expected, "{what}");
        }
    }
    drop(undisturbed);
    // What it wrote is its own to suffer from.
    let all = ["requests", "model", "--archive", "--since", "365d"];
    let args = [
        "requests",
        "model",
        "--archive",
        "--since",
        "1d",
        "--summary",
    ];
    let said = plugin(&namespace, CONTRIBUTOR, &all);
    let said = said.unwrap_err();
    assert!(said.contains("not gzip"), "{said}");

    // It bears a day that is long over: whoever begins to lead deletes it, and nothing else.
    eventually(SLOW, "a request is there", async || {
        let said = plugin(&namespace, CONTRIBUTOR, &args);
        check(
            said.as_ref().is_ok_and(|said| said.contains("Completed")),
            said,
        )
    })
    .await;
    let before = plugin(&namespace, CONTRIBUTOR, &args).unwrap();
    assert!(before.contains("Completed"), "{before}");
    namespace.cluster.kill_operator().await;
    eventually(SLOW, "what is too old is gone", async || {
        let said = plugin(&namespace, CONTRIBUTOR, &all);
        check(said.is_ok(), said)
    })
    .await;
    let after = plugin(&namespace, CONTRIBUTOR, &args).unwrap();
    assert_eq!(before, after);
    namespace.finish().await;
}

#[tokio::test]
async fn who_has_no_storage_or_wants_no_archive_has_none() {
    let namespace = with("archive-none", json!({"storage": {"type": "None"}})).await;
    let mut manifest = service("model");
    manifest["spec"]["replicas"] = json!(0);
    manifest["spec"]["telemetry"] = json!({"enabled": true});
    namespace.create::<WebService>(manifest).await;
    let archiving = async || {
        let service: WebService = namespace.api().get("model").await.unwrap();
        condition(&service, TELEMETRY_ARCHIVING).map(|condition| condition.status)
    };
    let entry = async || {
        let secret: Option<Secret> = namespace.api().get_opt("model-gateway").await.unwrap();
        let data = secret.map(|secret| secret.data.unwrap_or_default());
        data.map(|data| {
            data.get("report.json")
                .map(|entry| String::from_utf8(entry.0.clone()).unwrap())
        })
    };
    eventually(SLOW, "gateways are told nothing of it", async || {
        let told = entry().await;
        check(told == Some(None), told)
    })
    .await;
    assert_eq!(archiving().await, None);
    let why = plugin(&namespace, CONTRIBUTOR, &["requests", "model", "--archive"]).unwrap_err();
    assert!(why.contains("spec.storage.type is None"), "{why}");

    let other = with("archive-off", json!({})).await;
    let mut manifest = service("model");
    manifest["spec"]["replicas"] = json!(0);
    manifest["spec"]["telemetry"] = json!({"enabled": true});
    other.create::<WebService>(manifest).await;
    told(&other, "True", reasons::ARCHIVING).await;
    // Without a collector there is nothing to say of one.
    let service: WebService = other.api().get("model").await.unwrap();
    assert!(condition(&service, TELEMETRY_EXPORTING).is_none());
    for (telemetry, there) in [
        (json!({"archive": {"enabled": false}}), false),
        (json!({"archive": null}), true),
        (json!({"enabled": false}), false),
    ] {
        let patch = json!({"spec": {"telemetry": telemetry}});
        other.patch::<WebService>("model", patch).await.unwrap();
        eventually(QUICK, "it is as it is wanted", async || {
            let service: WebService = other.api().get("model").await.unwrap();
            let secret: Secret = other.api().get("model-gateway").await.unwrap();
            let told = secret.data.unwrap().contains_key("report.json");
            let condition = condition(&service, TELEMETRY_ARCHIVING);
            check(
                (told, condition.is_some()) == (there, there),
                (told, condition),
            )
        })
        .await;
    }
    namespace.finish().await;
    other.finish().await;
}
