//! How connections to services are encrypted, from certificate to caller.

use std::process::Command;

use atelier_api::WebService;
use atelier_api::conditions::{TRANSPORT_ENCRYPTED, reasons};
use atelier_api::v1alpha1::TlsMode;
use atelier_testkit::certificate::Authority;
use atelier_testkit::manifest::service;
use atelier_testkit::namespace::{QUICK, SLOW, condition};
use atelier_testkit::wait::check;
use atelier_testkit::way::MOUNTED;
use atelier_testkit::{TestNamespace, Way, eventually};
use k8s_openapi::api::core::v1::{Event, Secret, Service};
use kube::Api;
use kube::api::{ListParams, PostParams};
use serde_json::{Value, json};

use crate::team::{CONTRIBUTOR, client, team};

const HOSTNAME: &str = "model.example.com";

/// A service that asks for nothing of its callers.
async fn open(namespace: &TestNamespace, tls: Value) -> WebService {
    namespace.create::<WebService>(manifest(tls)).await;
    namespace.ready("model", SLOW).await
}

fn manifest(tls: Value) -> Value {
    let mut manifest = service("model");
    manifest["spec"]["auth"] = json!({"mode": "None"});
    manifest["spec"]["tls"] = tls;
    manifest
}

fn own(name: &str) -> Value {
    json!({"mode": "Secret", "secretRef": {"name": name}, "hostname": HOSTNAME})
}

async fn ports(namespace: &TestNamespace) -> Vec<i32> {
    let front = namespace.api::<Service>().get("model").await.unwrap();
    let ports = front.spec.unwrap().ports.unwrap_or_default();
    ports.iter().map(|port| port.port).collect()
}

/// Waits until the condition has this status and reason, and until the service is Ready or not.
async fn told(namespace: &TestNamespace, ready: &str, status: &str, reason: &str) -> WebService {
    let sentence = format!("TransportEncrypted={status} {reason}, Ready={ready}");
    eventually(SLOW, &sentence, async || {
        let service = namespace.api::<WebService>().get("model").await;
        let service = service.map_err(|error| error.to_string())?;
        let of = |type_| condition(&service, type_).ok_or("no such condition");
        let (encrypted, is_ready) = (of(TRANSPORT_ENCRYPTED)?, of("Ready")?);
        let holds = (encrypted.status == status && encrypted.reason == reason)
            && is_ready.status == ready
            && is_ready.observed_generation == service.metadata.generation;
        check(holds, (&encrypted, &is_ready))?;
        Ok(service)
    })
    .await
}

#[tokio::test]
async fn without_a_word_of_it_a_service_is_reached_over_tls_and_in_no_other_way() {
    let namespace = team("tls").await;
    open(&namespace, json!({})).await;
    let model = told(&namespace, "True", "True", reasons::GENERATED).await;
    let status = model.status.unwrap();
    let url = format!("https://model.{}.svc/score", namespace.name);
    assert_eq!(status.scoring_uri.as_deref(), Some(url.as_str()));
    let tls = status.tls.unwrap();
    assert_eq!(tls.mode, TlsMode::Generated);
    assert!(tls.expires_at.is_some());
    assert_eq!(ports(&namespace).await, [443, 8443]);
    let way = Way::to(&namespace, "model").await;
    assert_eq!(way.post(None, "{}").await.status, 200);

    // What everybody has: curl, with HTTP/2 and without, with the old TLS and the new.
    let bundle = std::env::temp_dir().join(format!("{}-ca.crt", namespace.name));
    std::fs::write(&bundle, tls.ca_bundle.unwrap()).unwrap();
    let host = url.split('/').nth(2).unwrap();
    let curl = |more: &[&str]| {
        let to = format!("{host}:443:{}", way.address);
        let output = Command::new("curl")
            .args(["-sS", "-m", "10", "-o", "/dev/null", "--data", "{}"])
            .args(["-w", "%{http_version} %{http_code}", "--resolve", &to])
            .args(more)
            .arg(&url)
            .output()
            .unwrap();
        let said = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8(said).unwrap())
    };
    let ca = ["--cacert", bundle.to_str().unwrap()];
    for (more, expected) in [
        (&["--http1.1", "--tls-max", "1.2"][..], "1.1 200"),
        (&["--http1.1", "--tlsv1.3"], "1.1 200"),
        (&["--http2", "--tls-max", "1.2"], "2 200"),
        (&["--http2", "--tlsv1.3"], "2 200"),
    ] {
        let (ok, said) = curl(&[&ca, more].concat());
        assert!(ok && said == expected, "{more:?}: {said}");
    }
    let (ok, said) = curl(&[]);
    assert!(!ok && said.contains("certificate"), "{said}");
    let (ok, said) = curl(&[&ca[..], &["--tls-max", "1.1"]].concat());
    assert!(!ok, "{said}");
    std::fs::remove_file(bundle).unwrap();
    namespace.finish().await;
}

#[tokio::test]
async fn encryption_is_turned_off_with_a_warning_and_on_again() {
    let namespace = team("off").await;
    open(&namespace, json!({"mode": "Disabled"})).await;
    let model = told(&namespace, "True", "False", reasons::DISABLED).await;
    let status = model.status.unwrap();
    assert!(status.scoring_uri.unwrap().starts_with("http://"));
    assert_eq!(ports(&namespace).await, [80, 8443]);
    let way = Way::to(&namespace, "model").await;
    assert_eq!(way.post(None, "{}").await.status, 200);
    eventually(QUICK, "there is a warning", async || {
        let events = namespace.api::<Event>().list(&ListParams::default()).await;
        let events = events.map_err(|error| error.to_string())?.items;
        let warned = events.iter().any(|event| {
            event.reason.as_deref() == Some("TransportNotEncrypted")
                && event.type_.as_deref() == Some("Warning")
        });
        check(warned, events.len())
    })
    .await;
    let on = json!({"spec": {"tls": {"mode": "Generated"}}});
    namespace.patch::<WebService>("model", on).await.unwrap();
    told(&namespace, "True", "True", reasons::GENERATED).await;
    let way = Way::to(&namespace, "model").await;
    assert_eq!(way.post(None, "{}").await.status, 200);
    assert_eq!(ports(&namespace).await, [443, 8443]);
    namespace.finish().await;
}

#[tokio::test]
async fn a_brought_certificate_is_served_and_replaced_without_a_failed_request_and_a_bad_one_never()
{
    let namespace = team("own").await;
    let secrets = namespace.api::<Secret>();
    let (first, second) = (Authority::new("first"), Authority::new("second"));
    let put = async |secret: &Secret| {
        let data = json!({"data": secret.data});
        namespace.patch::<Secret>("own", data).await.unwrap();
    };
    namespace.create::<WebService>(manifest(own("own"))).await;
    let missing = told(&namespace, "False", "True", reasons::CERTIFICATE_MISSING).await;
    assert_eq!(missing.status.unwrap().ready_replicas, 0);
    let elsewhere = first.secret("own", "other.example.com");
    secrets
        .create(&PostParams::default(), &elsewhere)
        .await
        .unwrap();
    told(&namespace, "False", "True", reasons::CERTIFICATE_REFUSED).await;
    put(&first.secret("own", HOSTNAME)).await;
    let model = told(&namespace, "True", "True", reasons::FROM_SECRET).await;
    let status = model.status.unwrap();
    let url = format!("https://{HOSTNAME}/score");
    assert_eq!(status.scoring_uri.as_deref(), Some(url.as_str()));
    assert!(status.tls.unwrap().ca_bundle.is_none());

    // Trusting the first authority alone; the service's status names nobody.
    let way = Way::trusting(&namespace, "model", &first.pem()).await;
    assert_eq!(way.post(None, "{}").await.status, 200);
    let uids = pod_names(&namespace).await;

    // A key that is another's: refused, told of, and nobody notices.
    let both = [first.pem(), second.pem()].concat();
    way.trust_only(&both);
    let load = way.load(None, "{}", 2);
    let mut bad = first.secret("own", HOSTNAME);
    let key = second.secret("own", HOSTNAME).data.unwrap()["tls.key"].clone();
    bad.data
        .get_or_insert_default()
        .insert("tls.key".into(), key);
    put(&bad).await;
    told(&namespace, "False", "True", reasons::CERTIFICATE_REFUSED).await;
    assert_eq!(way.post(None, "{}").await.status, 200);
    // Another authority's: taken over when the kubelet has brought it.
    put(&second.secret("own", HOSTNAME)).await;
    told(&namespace, "True", "True", reasons::FROM_SECRET).await;
    let new = Way::trusting_unheard(&namespace, "model", &second.pem()).await;
    eventually(MOUNTED, "the new certificate is served", async || {
        let answer = new.post(None, "{}").await;
        check(answer.status == 200, answer)
    })
    .await;
    let counts = load.stop().await;
    assert!(counts.len() == 1 && counts["200"] > 10, "{counts:?}");
    assert_eq!(pod_names(&namespace).await, uids, "no pod was replaced");

    // One that is over fails the service without anybody's doing.
    put(&second.secret_until("own", HOSTNAME, 2020)).await;
    told(&namespace, "False", "True", reasons::CERTIFICATE_EXPIRED).await;
    namespace.finish().await;
}

async fn pod_names(namespace: &TestNamespace) -> Vec<String> {
    let pods = namespace
        .pods("app.kubernetes.io/component=webservice")
        .await;
    let mut names: Vec<_> = pods
        .into_iter()
        .filter_map(|pod| pod.metadata.name)
        .collect();
    names.sort();
    names
}

#[tokio::test]
async fn only_who_may_read_a_secret_names_it_as_a_certificate() {
    let namespace = team("names").await;
    let authority = Authority::new("team");
    let secret = authority.secret("own", HOSTNAME);
    let secrets = namespace.api::<Secret>();
    secrets
        .create(&PostParams::default(), &secret)
        .await
        .unwrap();
    let try_as = async |user: kube::Client, name: &str, tls: Value| {
        let services: Api<WebService> = Api::namespaced(user, &namespace.name);
        let mut manifest = manifest(tls);
        manifest["metadata"]["name"] = json!(name);
        let manifest = serde_json::from_value(manifest).unwrap();
        services.create(&PostParams::default(), &manifest).await
    };
    let conny = client(&namespace, CONTRIBUTOR);
    let refused = try_as(conny.clone(), "theirs", own("own"))
        .await
        .unwrap_err();
    let said = refused.to_string();
    assert!(said.contains("may not read the Secret own"), "{said}");
    // On the way of an update it is the same.
    try_as(conny.clone(), "plain", json!({})).await.unwrap();
    let services: Api<WebService> = Api::namespaced(conny, &namespace.name);
    let patch = kube::api::Patch::Merge(json!({"spec": {"tls": own("own")}}));
    let refused = services.patch("plain", &Default::default(), &patch).await;
    let said = refused.unwrap_err().to_string();
    assert!(said.contains("may not read the Secret own"), "{said}");
    // The administrator may.
    let admin = namespace.cluster.client.clone();
    try_as(admin, "ours", own("own")).await.unwrap();

    for (tls, said) in [
        (json!({"mode": "Secret"}), "go together"),
        (json!({"secretRef": {"name": "own"}}), "go together"),
        (
            json!({"mode": "Generated", "hostname": HOSTNAME}),
            "vouches for names of the cluster only",
        ),
        (
            json!({"mode": "Secret", "secretRef": {"name": "own"}, "hostname": "No Name"}),
            "hostname",
        ),
    ] {
        let refused = namespace
            .try_create::<WebService>(manifest(tls.clone()))
            .await;
        let refused = refused.unwrap_err().to_string();
        assert!(refused.contains(said), "{tls}: {refused}");
    }
    namespace.finish().await;
}
