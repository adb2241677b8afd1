//! Scoring by way of the cluster's API: who may, what is told of it, and what it goes on through.

use std::time::{Duration, Instant};

use atelier_api::WebService;
use atelier_testkit::audit::Audit;
use atelier_testkit::cluster::OPERATOR;
use atelier_testkit::manifest::service;
use atelier_testkit::namespace::SLOW;
use atelier_testkit::wait::check;
use atelier_testkit::{TestNamespace, Way, eventually, operator};
use k8s_openapi::api::core::v1::{Secret, Service};
use serde_json::{Value, json};

use crate::team::{CONTRIBUTOR, READER, plugin, team};

/// A model that answers with what it was sent, or with the status that its path asks for.
pub const MODEL: &str = r#"
import http.server, json, os, signal, time
signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_POST(self):
        sent = self.rfile.read(int(self.headers.get("content-length", 0))).decode()
        asked = json.loads(sent) if sent.startswith("{") else {}
        time.sleep(asked.get("sleep", 0))
        headers = {k.lower(): v for k, v in self.headers.items()}
        body = json.dumps({"body": sent, "path": self.path, "headers": headers}).encode()
        self.send_response(asked.get("status", 200))
        self.send_header("content-type", "application/vnd.answer")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *args): pass
http.server.ThreadingHTTPServer(("127.0.0.1", 5001), Handler).serve_forever()
"#;

/// A service that is ready and whose gateways the operator knows.
async fn serving(namespace: &TestNamespace, name: &str, change: Value) {
    let mut manifest = service(name);
    manifest["spec"]["command"] = json!(["python3", "-c", MODEL]);
    for (field, value) in change.as_object().unwrap() {
        manifest["spec"][field] = value.clone();
    }
    namespace.create::<WebService>(manifest).await;
    namespace.ready::<WebService>(name, SLOW).await;
    eventually(SLOW, "it can be scored by way of the API", async || {
        score(namespace, READER, name, "{}").map(drop)
    })
    .await;
}

fn score(namespace: &TestNamespace, user: &str, name: &str, body: &str) -> Result<String, String> {
    plugin(namespace, user, &["score", name, "--data", body])
}

fn answer(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[tokio::test]
async fn a_reader_scores_in_every_class_and_mode_and_sees_no_key() {
    let namespace = team("score").await;
    let open = json!({"class": "Instance"});
    let keyed = json!({"class": "Cluster", "scorePath": "/v2/score"});
    tokio::join!(
        serving(&namespace, "open", open),
        serving(&namespace, "keyed", keyed)
    );
    for (name, path) in [("open", "/score"), ("keyed", "/v2/score")] {
        let asked = [
            "score",
            name,
            "--data",
            "[1, 2]",
            "-H",
            "X-Trace: t-1",
            "-H",
            "X-Atelier-Subject: root",
            "-H",
            "X-Request-Id: r-1",
        ];
        let said = answer(&plugin(&namespace, READER, &asked).unwrap());
        assert_eq!(said["body"], "[1, 2]");
        assert_eq!(said["path"], path);
        let headers = &said["headers"];
        assert_eq!(headers["x-atelier-subject"], READER, "{headers}");
        assert_eq!(
            (&headers["x-trace"], &headers["x-request-id"]),
            (&json!("t-1"), &json!("r-1"))
        );
        for hidden in [
            "authorization",
            "x-remote-user",
            "x-remote-group",
            "impersonate-user",
        ] {
            assert!(headers.get(hidden).is_none(), "{headers}");
        }
        let record = recorded(&namespace, name, "r-1");
        assert_eq!(
            (
                &record["subject"],
                &record["authMode"],
                &record["StatusCode"]
            ),
            (&json!(READER), &json!("Action"), &json!(200)),
        );
    }
    let refused = plugin(&namespace, READER, &["keys", "show", "keyed"]).unwrap_err();
    assert!(refused.contains("Forbidden"), "{refused}");
    let refused = score(&namespace, "stranger", "keyed", "{}").unwrap_err();
    assert!(
        refused.contains("Forbidden") && refused.contains("webservices/score"),
        "{refused}"
    );
    namespace.finish().await;
}

/// What a service's gateway has written down of a request.
pub fn recorded(namespace: &TestNamespace, service: &str, id: &str) -> Value {
    let deployment = format!("deployment/{service}");
    let args = ["-n", &namespace.name, "logs", &deployment, "-c", "gateway"];
    let (ok, log) = namespace.cluster.kubectl(&args, "");
    assert!(ok, "{log}");
    let records = log
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok());
    let mut records = records.filter(|record: &Value| record["RequestId"] == id);
    records
        .next()
        .unwrap_or_else(|| panic!("no record of {id}"))
}

#[tokio::test]
async fn what_goes_wrong_is_said_by_whom_it_went_wrong_with() {
    let namespace = team("amiss").await;
    let limits = json!({"timeoutMs": 1000, "maxBodyBytes": 2048});
    serving(&namespace, "model", json!({"limits": limits})).await;
    // The model's own word, and the gateway's.
    let said = score(&namespace, READER, "model", r#"{"status": 418}"#).unwrap_err();
    assert_eq!(answer(&said)["path"], "/score");
    let said = score(&namespace, READER, "model", r#"{"sleep": 3}"#).unwrap_err();
    assert_eq!(answer(&said)["code"], "Timeout", "{said}");
    let said = score(&namespace, READER, "model", &"x".repeat(4096)).unwrap_err();
    assert_eq!(answer(&said)["code"], "PayloadTooLarge", "{said}");
    // The gateway has written down all of it; that is for those who may read logs.
    let told = ["requests", "model", "--failed", "-o", "json"];
    eventually(SLOW, "each is among the requests", async || {
        let lines = plugin(&namespace, CONTRIBUTOR, &told)?;
        let records: Vec<_> = lines.lines().map(answer).collect();
        let of = |status: u16| {
            let mut those = records.iter().filter(|one| one["StatusCode"] == status);
            those.next().cloned().ok_or_else(|| lines.clone())
        };
        for (status, outcome) in [(418, "Completed"), (504, "TimedOut"), (413, "BodyTooLarge")] {
            let record = of(status)?;
            check(
                record["outcome"] == outcome && record["subject"] == READER,
                record,
            )?;
        }
        Ok(())
    })
    .await;
    plugin(&namespace, READER, &told).unwrap_err();
    // And ours.
    let said = score(&namespace, READER, "none", "{}").unwrap_err();
    assert!(
        said.contains("NotFound") && said.contains("\"none\" not found"),
        "{said}"
    );
    let none = json!({"spec": {"replicas": 0}});
    namespace.patch::<WebService>("model", none).await.unwrap();
    eventually(SLOW, "nobody answers, and it is said why", async || {
        let said = score(&namespace, READER, "model", "{}");
        let said = said.err().ok_or("it answers")?;
        let why = "scaled to 0 replicas";
        check(said.contains("no replica of") && said.contains(why), said)
    })
    .await;
    namespace.finish().await;
}

#[tokio::test]
async fn nobody_but_the_operator_comes_in_by_the_operators_way() {
    let namespace = team("inner").await;
    serving(&namespace, "model", json!({"class": "Instance"})).await;
    let front = namespace.api::<Service>().get("model").await.unwrap();
    let address = front.spec.unwrap().cluster_ip.unwrap();
    let certificate = namespace
        .api::<Secret>()
        .get("model-gateway-tls")
        .await
        .unwrap();
    let folder = std::env::temp_dir().join(format!("atelier-{}", namespace.name));
    std::fs::create_dir_all(&folder).unwrap();
    for (name, bytes) in certificate.data.unwrap() {
        std::fs::write(folder.join(name), bytes.0).unwrap();
    }
    let curl = |more: &[&str]| {
        let mut curl = std::process::Command::new("curl");
        let resolve = format!("model.{}.svc:8443:{address}", namespace.name);
        let url = format!("https://model.{}.svc:8443/score", namespace.name);
        curl.current_dir(&folder)
            .args([
                "-sS",
                "--max-time",
                "10",
                "--cacert",
                "ca.crt",
                "--resolve",
                &resolve,
            ])
            .args(["-H", "x-atelier-subject: root", "-d", "{}"])
            .args(more)
            .arg(url);
        let output = curl.output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8(said).unwrap())
    };
    // Without a certificate, and with one of the same authority that is another's: the gateway's own.
    for more in [&[][..], &["--cert", "tls.crt", "--key", "tls.key"]] {
        let (ok, said) = curl(more);
        assert!(!ok && said.contains("alert"), "{said}");
    }
    std::fs::remove_dir_all(&folder).unwrap();
    namespace.finish().await;
}

#[tokio::test]
async fn the_public_way_goes_on_while_the_operator_starts_anew_and_so_does_this_one_after_it() {
    let namespace = team("anew").await;
    serving(&namespace, "model", json!({"auth": {"mode": "None"}})).await;
    let way = Way::to(&namespace, "model").await;
    let load = way.load(None, "{}", 2);
    let alone = operator::alone().await;
    let audit = Audit::from_now(&namespace.cluster);
    let restart = [
        "-n",
        "atelier-system",
        "rollout",
        "restart",
        "deployment/atelier-operator",
    ];
    let (ok, said) = namespace.cluster.kubectl(&restart, "");
    assert!(ok, "{said}");
    let status = [
        "-n",
        "atelier-system",
        "rollout",
        "status",
        "deployment/atelier-operator",
    ];
    let (ok, said) = namespace.cluster.kubectl(&status, "");
    assert!(ok, "{said}");
    operator::all_ready(&namespace.cluster).await;
    eventually(SLOW, "it can be scored again", async || {
        score(&namespace, CONTRIBUTOR, "model", "{}").map(drop)
    })
    .await;
    // Who leads now has looked at everything: it wrote nothing, and read no Secret to know that all is well.
    let said = audit.entries(|entry| {
        entry.user == OPERATOR
            && entry.namespace == namespace.name
            && !matches!(entry.verb.as_str(), "list" | "watch")
            && !(entry.resource == "webservices" && entry.verb == "get")
            && !entry.resource.starts_with("leases")
    });
    assert!(said.is_empty(), "{said:?}");
    drop(alone);
    let counts = load.stop().await;
    assert!(counts.len() == 1 && counts["200"] > 10, "{counts:?}");
    namespace.finish().await;
}

#[tokio::test]
async fn a_certificate_that_is_deleted_or_edited_is_made_anew() {
    let namespace = team("drift").await;
    serving(&namespace, "model", json!({"class": "Instance"})).await;
    let secrets = namespace.api::<Secret>();
    let name = "model-gateway-tls";
    let shown = async || Some(secrets.get_opt(name).await.ok()??.data?["tls.crt"].clone());
    let mut before = shown().await.unwrap();
    let edits = [
        json!({"data": {"ca.crt": "eA=="}}),
        json!({"data": {"more": "eA=="}}),
        json!({"data": {"certificate.json": "e30="}}),
        json!({"metadata": {"labels": {"app.kubernetes.io/managed-by": null}}}),
    ];
    for edit in edits.iter().map(Some).chain([None]) {
        match edit {
            Some(edit) => drop(namespace.patch::<Secret>(name, edit.clone()).await.unwrap()),
            None => namespace.delete::<Secret>(name).await,
        }
        let limit = Duration::from_secs(10);
        before = eventually(limit, "there is another", async || {
            let now = shown().await.ok_or("there is none")?;
            check(now != before, edit)?;
            Ok(now)
        })
        .await;
    }
    let begun = Instant::now();
    score(&namespace, READER, "model", "{}").unwrap();
    println!("the first score after it took {:?}", begun.elapsed());
    namespace.finish().await;
}
