//! A server on this machine, registered with the cluster as if it were inside.

use std::process::Command;
use std::sync::Arc;

use atelier_apiserver::{FrontProxy, Limits, ServeError, Server};
use atelier_testkit::namespace::SLOW;
use atelier_testkit::wait::check;
use atelier_testkit::{Subject, TestNamespace, eventually};
use k8s_openapi::ByteString;
use k8s_openapi::kube_aggregator::pkg::apis::apiregistration::v1::APIService;
use kube::Api;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::PrivateKeyDer;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::actions::{Counts, actions, admission};
use crate::rights;

pub const SERVICE: &str = "actions";
pub const API_SERVICE: &str = "v1alpha1.actions.atelier.dev";

pub struct Setup {
    pub namespace: TestNamespace,
    pub counts: Counts,
    pub stop: CancellationToken,
    pub running: JoinHandle<Result<(), ServeError>>,
    /// The CA of the server's certificate, as base64 of PEM.
    pub ca_bundle: Value,
}

impl Setup {
    pub async fn new() -> Self {
        let namespace = TestNamespace::with_labels("actions", json!({})).await;
        let name = namespace.name.clone();
        let counts = Counts::default();
        let (ca, certificate) = certificate(&format!("{SERVICE}.{name}.svc"));
        let listener = TcpListener::bind("0.0.0.0:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        apply(&namespace, rights::of_server(&name));

        let front_proxy = FrontProxy::new();
        let server = Server {
            listener,
            certificate: Arc::new(certificate),
            front_proxy: front_proxy.clone(),
            actions: actions(&counts),
            admission: admission(),
            // With the server's own rights and no more.
            client: Subject::service_account(&name, "actions").client(&namespace.cluster),
            limits: Limits::default(),
        };
        let stop = CancellationToken::new();
        let running = tokio::spawn(server.run(stop.clone()));
        tokio::time::timeout(SLOW, front_proxy.known())
            .await
            .unwrap();

        let ca_bundle = serde_json::to_value(ByteString(ca.into_bytes())).unwrap();
        apply(&namespace, registration(&name, port, &ca_bundle));
        let set = Self {
            namespace,
            counts,
            stop,
            running,
            ca_bundle,
        };
        set.available("True").await;
        set
    }

    /// Waits until the API server has found out whether the server is there.
    pub async fn available(&self, wanted: &str) {
        let api: Api<APIService> = Api::all(self.namespace.cluster.client.clone());
        eventually(SLOW, "the API server has looked", async || {
            let service = api.get(API_SERVICE).await.map_err(|e| e.to_string())?;
            let conditions = service.status.and_then(|s| s.conditions);
            let conditions = conditions.unwrap_or_default();
            let found = conditions.iter().find(|c| c.type_ == "Available");
            check(found.is_some_and(|c| c.status == wanted), &conditions)
        })
        .await;
    }

    /// Runs kubectl, which must succeed, as the administrator.
    pub fn kubectl(&self, args: &[&str], input: &str) -> String {
        let (done, out) = self.namespace.cluster.kubectl(args, input);
        assert!(done, "kubectl {args:?}: {out}");
        out
    }

    /// The path of an action in the test's namespace.
    pub fn path(&self, action: &str) -> String {
        format!(
            "/apis/actions.atelier.dev/v1alpha1/namespaces/{}/{action}",
            self.namespace.name
        )
    }
}

/// A Service without selector, where it leads, and that the group is there. EndpointSlices take no loopback address.
fn registration(namespace: &str, port: u16, ca_bundle: &Value) -> Vec<Value> {
    let out = Command::new("hostname").arg("-I").output().unwrap().stdout;
    let addresses = String::from_utf8(out).unwrap();
    let address = addresses
        .split_whitespace()
        .find(|a| !a.contains(':'))
        .unwrap();
    vec![
        json!({
            "apiVersion": "v1", "kind": "Service", "metadata": {"name": SERVICE, "namespace": namespace},
            "spec": {"ports": [{"name": "https", "port": 443, "targetPort": port}]},
        }),
        json!({
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
            "metadata": {
                "name": SERVICE, "namespace": namespace, "labels": {"kubernetes.io/service-name": SERVICE},
            },
            "ports": [{"name": "https", "port": port, "protocol": "TCP"}],
            "endpoints": [{"addresses": [address], "conditions": {"ready": true}}],
        }),
        json!({
            "apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService", "metadata": {"name": API_SERVICE},
            "spec": {
                "group": "actions.atelier.dev", "version": "v1alpha1", "caBundle": ca_bundle,
                "groupPriorityMinimum": 100, "versionPriority": 100,
                "service": {"namespace": namespace, "name": SERVICE, "port": 443},
            },
        }),
    ]
}

pub fn apply(namespace: &TestNamespace, objects: Vec<Value>) {
    let list = json!({"apiVersion": "v1", "kind": "List", "items": objects}).to_string();
    let (done, out) = namespace.cluster.kubectl(&["apply", "-f", "-"], &list);
    assert!(done, "{out}");
}

fn certificate(name: &str) -> (String, Always) {
    let key = || KeyPair::generate().unwrap();
    let mut ca = CertificateParams::default();
    ca.distinguished_name.push(DnType::CommonName, "actions CA");
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca = CertifiedIssuer::self_signed(ca, key()).unwrap();
    let (params, key) = (
        CertificateParams::new(vec![name.to_owned()]).unwrap(),
        key(),
    );
    let certificate = params.signed_by(&key, &ca).unwrap();
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let key = aws_lc_rs::sign::any_supported_type(&key).unwrap();
    let certified = CertifiedKey::new(vec![certificate.der().clone()], key);
    (ca.as_ref().pem(), Always(Arc::new(certified)))
}

#[derive(Debug)]
struct Always(Arc<CertifiedKey>);

impl ResolvesServerCert for Always {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }
}
