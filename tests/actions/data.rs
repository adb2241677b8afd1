//! Inputs and predictions in the workspace's storage: what is there, in what form, who may read it, and what becomes of
//! it without the storage. It takes a storage, and that takes a certificate: the chart has `actions.enabled`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use atelier_api::conditions::{DATA_COLLECTING, READY, reasons};
use atelier_api::{RoleAssignment, WebService};
use atelier_testkit::manifest::{role, service};
use atelier_testkit::namespace::{QUICK, SLOW, condition};
use atelier_testkit::wait::check;
use atelier_testkit::{TestNamespace, Way, eventually};
use http::Request;
use k8s_openapi::api::core::v1::{Pod, Secret};
use k8s_openapi::api::rbac::v1::RoleBinding;
use kube::ResourceExt as _;
use serde_json::{Value, json};

use crate::storage::{storage, with};
use crate::team::{CONTRIBUTOR, READER, plugin};

const PODS: &str = "app.kubernetes.io/component=webservice";

/// A model that answers with what it was sent, and says so.
const MODEL: &str = r#"
import http.server, json, os, signal
signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_POST(self):
        sent = json.loads(self.rfile.read(int(self.headers.get("content-length", 0))))
        body = json.dumps({"sent": sent}).encode()
        self.send_response(sent.get("status", 200))
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *args): pass
http.server.ThreadingHTTPServer(("127.0.0.1", 5001), Handler).serve_forever()
"#;

/// A service that collects data, in a workspace with a storage.
struct Collecting {
    namespace: TestNamespace,
    way: Way,
    key: String,
    /// What is in storage once all has got there, by request id.
    expected: BTreeMap<String, Vec<(Value, Value)>>,
}

impl Collecting {
    async fn start(prefix: &str) -> Self {
        let namespace = with(prefix, json!({})).await;
        namespace
            .create::<RoleAssignment>(role(READER, "Reader", READER))
            .await;
        namespace.ready::<RoleAssignment>(READER, QUICK).await;
        storage(&namespace, "True", "Probed").await;
        let mut manifest = service("model");
        manifest["spec"]["command"] = json!(["python3", "-c", MODEL]);
        manifest["spec"]["collectData"] = json!({"maxDelaySeconds": 5});
        namespace.create::<WebService>(manifest).await;
        namespace.ready::<WebService>("model", SLOW).await;
        told(&namespace, "True", reasons::COLLECTING).await;
        let keys: Secret = namespace.api().get("model-keys").await.unwrap();
        let key = String::from_utf8(keys.data.unwrap()["primary"].0.clone()).unwrap();
        let way = Way::to(&namespace, "model").await;
        Self {
            namespace,
            way,
            key,
            expected: BTreeMap::new(),
        }
    }

    /// Something that stands in every input and prediction of this test, and nowhere else.
    fn canary(&self) -> String {
        format!("CANARY-of-{}", self.namespace.name)
    }

    async fn ask(&mut self, id: &str, input: Value, key: Option<&str>, status: u16) {
        let request = Request::builder()
            .method("POST")
            .header("x-request-id", id)
            .header("content-type", "application/json");
        let request = match key {
            Some(key) => request.header("x-api-key", key),
            None => request,
        };
        let sent = input.to_string();
        let answer = self.way.send(request, "/score", sent.as_bytes()).await;
        assert_eq!(answer.status, status, "{}", answer.body);
        if status < 400 {
            let call = (input.clone(), json!({"sent": input}));
            self.expected.entry(id.to_owned()).or_default().push(call);
        }
    }

    async fn good(&mut self, id: &str) {
        let (input, key) = (json!({"of": id, "text": self.canary()}), self.key.clone());
        self.ask(id, input, Some(&key), 200).await;
    }

    /// What is in storage, by request id.
    fn found(&self, more: &[&str]) -> Result<BTreeMap<String, Vec<(Value, Value)>>, String> {
        let args = [&["data", "model"], more].concat();
        let said = plugin(&self.namespace, CONTRIBUTOR, &args)?;
        let mut found = BTreeMap::<String, Vec<_>>::new();
        for line in said.lines() {
            let mut call: Value = serde_json::from_str(line).unwrap();
            let id = call["requestId"].as_str().unwrap().to_owned();
            let both = (call["input"].take(), call["prediction"].take());
            found.entry(id).or_default().push(both);
        }
        // What the test's way asked to see that it works, is another's.
        found.retain(|id, _| id.starts_with("r-"));
        Ok(found)
    }

    /// Waits until each call is in storage, once.
    async fn has_all(&self) {
        eventually(SLOW, "all are in storage", async || {
            let found = self.found(&["--since", "1h"]);
            check(found.as_ref() == Ok(&self.expected), found)
        })
        .await;
    }
}

async fn told(namespace: &TestNamespace, status: &str, reason: &str) -> String {
    let service: WebService = namespace
        .condition("model", DATA_COLLECTING, status, reason, SLOW)
        .await;
    condition(&service, DATA_COLLECTING).unwrap().message
}

/// The files below a folder that a program finds. That some go meanwhile, which are of other tests, is no matter.
fn files(program: &str, before: &[&str], folder: &Path, after: &[&str]) -> Vec<PathBuf> {
    let mut find = Command::new(program);
    let found = find.args(before).arg(folder).args(after).output();
    let found = String::from_utf8(found.unwrap().stdout).unwrap();
    found.lines().map(PathBuf::from).collect()
}

/// What gateways are told of it, if anything.
async fn entry(namespace: &TestNamespace) -> Option<Value> {
    let secret: Option<Secret> = namespace.api().get_opt("model-gateway").await.unwrap();
    let data = secret?.data.unwrap_or_default();
    let wanted: Value = serde_json::from_slice(&data.get("report.json")?.0).unwrap();
    wanted.get("data").cloned()
}

#[tokio::test]
async fn each_successful_call_is_in_storage_once_encrypted_and_for_contributors_alone() {
    let mut all = Collecting::start("data").await;
    let (canary, key) = (all.canary(), all.key.clone());
    for n in 0..20 {
        all.good(&format!("r-{n}")).await;
    }
    let refused = json!({"text": canary});
    all.ask("r-denied", refused.clone(), None, 401).await;
    all.ask("r-wrong", refused, Some("atl_wrong"), 401).await;
    let failed = json!({"text": canary, "status": 500});
    all.ask("r-failed", failed, Some(&key), 500).await;
    all.has_all().await;
    // The last ones of a pod that goes are sent as it goes.
    for n in 20..25 {
        all.good(&format!("r-{n}")).await;
    }
    let namespace = &all.namespace;
    let before = namespace.pods(PODS).await.remove(0);
    let log = ["logs", "model", "--container", "gateway"];
    let log = plugin(namespace, CONTRIBUTOR, &log).unwrap();
    assert!(log.contains("r-19") && !log.contains(&canary), "{log}");
    namespace.delete::<Pod>(&before.name_any()).await;
    namespace.gone::<Pod>(&before.name_any(), None, SLOW).await;
    all.has_all().await;
    let hours = all.found(&["--since", "2h", "--until", "1h", "-o", "json"]);
    assert_eq!(hours, Ok(BTreeMap::new()));

    // Whoever may look, and even score, may not read what others sent.
    for args in [&["data", "model"][..], &["data", "model", "--since", "7d"]] {
        let refused = plugin(namespace, READER, args).unwrap_err();
        assert!(refused.contains("Forbidden"), "{refused}");
        assert!(!refused.contains(&canary), "{refused}");
    }
    let most = all.found(&["--since", "400d"]).unwrap_err();
    assert!(most.contains("366 days"), "{most}");

    // On the disks are encrypted objects, and nothing that can be read.
    let nodes = namespace.cluster.kubeconfig().with_file_name("nodes");
    let nodes = fs::read_dir(nodes)
        .unwrap()
        .map(|node| node.unwrap().path());
    let volumes: Vec<_> = nodes
        .map(|node| node.join("volumes"))
        .filter(|path| path.is_dir())
        .collect();
    let of_the_service = ["-type", "f", "-path", "*/modeldata/model/*.jsonl.gz"];
    let parts: Vec<_> = volumes
        .iter()
        .flat_map(|volumes| files("find", &[], volumes, &of_the_service))
        .collect();
    assert_ne!(parts, Vec::<PathBuf>::new(), "{volumes:?}");
    for part in parts {
        // Another test's may be going.
        let Ok(bytes) = fs::read(&part) else { continue };
        assert!(bytes.starts_with(b"ATELOBJ\x01"), "{}", part.display());
    }
    for volumes in &volumes {
        let found = files("grep", &["-rlasF", "--", &canary], volumes, &[]);
        assert_eq!(found, Vec::<PathBuf>::new());
    }
    all.namespace.finish().await;
}

#[tokio::test]
async fn without_the_grant_nothing_is_written_or_read_and_afterwards_all_of_it_is_there() {
    let mut all = Collecting::start("data-grant").await;
    let uid = |pods: Vec<Pod>| {
        pods.into_iter()
            .map(|pod| pod.metadata.uid)
            .collect::<Vec<_>>()
    };
    let pods = uid(all.namespace.pods(PODS).await);
    let grant = "team-identity-storage";
    all.namespace.delete::<RoleBinding>(grant).await;
    let why = told(&all.namespace, "False", reasons::GRANT_MISSING).await;
    assert!(
        why.contains("GrantMissing/Storage") && why.contains("resync"),
        "{why}"
    );
    for n in 0..10 {
        all.good(&format!("r-{n}")).await;
    }
    eventually(QUICK, "nobody reads", async || {
        let said = all.found(&[]);
        let closed = said
            .as_ref()
            .is_err_and(|why| why.contains("GrantMissing/Storage"));
        check(closed, said)
    })
    .await;
    // It is a matter of what is kept, and not of whether the service works.
    let service: WebService = all.namespace.api().get("model").await.unwrap();
    assert_eq!(condition(&service, READY).unwrap().status, "True");
    plugin(&all.namespace, CONTRIBUTOR, &["resync", "team"]).unwrap();
    told(&all.namespace, "True", reasons::COLLECTING).await;
    all.has_all().await;
    assert_eq!(uid(all.namespace.pods(PODS).await), pods);
    all.namespace.finish().await;
}

#[tokio::test]
async fn it_is_off_unless_asked_for_and_turned_on_off_and_otherwise_without_a_restart() {
    let mut all = Collecting::start("data-switch").await;
    let uid = |pods: Vec<Pod>| {
        pods.into_iter()
            .map(|pod| pod.metadata.uid)
            .collect::<Vec<_>>()
    };
    let pods = uid(all.namespace.pods(PODS).await);
    all.good("r-1").await;
    all.has_all().await;
    let set = async |namespace: &TestNamespace, collect: Value, expected: Option<Value>| {
        let patch = json!({"spec": {"collectData": collect}});
        namespace.patch::<WebService>("model", patch).await.unwrap();
        eventually(SLOW, "gateways are told", async || {
            let service: WebService = namespace.api().get("model").await.unwrap();
            let condition = condition(&service, DATA_COLLECTING).is_some();
            let entry = entry(namespace).await;
            let is_so = entry == expected && condition == expected.is_some();
            check(is_so, (entry, condition))
        })
        .await;
    };
    // Each time a gateway turns it on or off, it says so.
    let heard = async |namespace: &TestNamespace, what: &str, times: usize| {
        eventually(SLOW, what, async || {
            let log = ["logs", "model", "--container", "gateway"];
            let log = plugin(namespace, CONTRIBUTOR, &log).unwrap();
            check(log.matches(what).count() == times, log)
        })
        .await;
    };
    let again = json!({"maxDelaySeconds": 5});
    let told = json!({"afterSeconds": 5, "samplePercent": 100, "maxBytes": 65536});
    set(&all.namespace, Value::Null, None).await;
    heard(
        &all.namespace,
        "inputs and predictions are not kept any more",
        1,
    )
    .await;
    let (off, key) = (json!({"text": all.canary()}), all.key.clone());
    all.ask("r-off", off, Some(&key), 200).await;
    all.expected.remove("r-off");
    set(&all.namespace, again, Some(told)).await;
    heard(&all.namespace, "inputs and predictions are kept", 2).await;
    all.good("r-2").await;
    all.has_all().await;
    let some = json!({"samplePercent": 1, "maxBytes": 3, "maxDelaySeconds": 7, "keepDays": 2});
    let told = json!({"afterSeconds": 7, "samplePercent": 1, "maxBytes": 3});
    set(&all.namespace, some, Some(told)).await;
    assert_eq!(uid(all.namespace.pods(PODS).await), pods);
    all.namespace.finish().await;
}

#[tokio::test]
async fn who_asks_for_it_without_a_storage_is_told_that_there_is_none() {
    let namespace = with("data-none", json!({"storage": {"type": "None"}})).await;
    let mut manifest = service("model");
    manifest["spec"]["replicas"] = json!(0);
    manifest["spec"]["collectData"] = json!({});
    namespace.create::<WebService>(manifest).await;
    let why = told(&namespace, "False", reasons::NO_STORAGE).await;
    assert!(why.contains("spec.storage.type"), "{why}");
    assert_eq!(entry(&namespace).await, None);
    let why = plugin(&namespace, CONTRIBUTOR, &["data", "model"]).unwrap_err();
    assert!(why.contains("spec.storage.type is None"), "{why}");
    namespace.finish().await;
}
