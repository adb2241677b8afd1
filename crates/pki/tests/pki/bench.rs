//! A namespace, a webhook configuration, and somebody with exactly the rights that it takes.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use atelier_pki::{Config, Leaf, Periods, Purpose, Reloading, Target, TargetKind, run};
use atelier_testkit::audit::{Audit, Entry};
use atelier_testkit::wait::check;
use atelier_testkit::{TestNamespace, eventually};
use futures::FutureExt as _;
use k8s_openapi::api::admissionregistration::v1::ValidatingWebhookConfiguration as Webhooks;
use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::{Secret, ServiceAccount};
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding};
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client};
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// How long anything may take.
pub const LIMIT: Duration = Duration::from_secs(15);
/// How long a repair may take.
pub const REPAIR: Duration = Duration::from_secs(2);

pub const AUTHORITY: &str = "atelier-ca";
pub const SERVING: &str = "atelier-serving";
pub const ASKING: &str = "atelier-asking";

pub struct Bench {
    pub ns: TestNamespace,
    /// The administrator's kubeconfig.
    pub kubeconfig: PathBuf,
    pub token: String,
    /// Somebody who may do what an operator may, and no more.
    pub client: Client,
    stop: CancellationToken,
}

/// Goes through a test on a bench of its own, and leaves nothing behind however that ends.
pub async fn on_bench(test: impl AsyncFnOnce(&Bench)) {
    let bench = Bench::make().await;
    let outcome = std::panic::AssertUnwindSafe(test(&bench))
        .catch_unwind()
        .await;
    bench.finish().await;
    if let Err(panic) = outcome {
        std::panic::resume_unwind(panic);
    }
}

impl Bench {
    #[allow(clippy::disallowed_methods)]
    async fn make() -> Self {
        let ns = TestNamespace::with_labels("pki", json!({})).await;
        ns.create::<ServiceAccount>(json!({"metadata": {"name": "operator"}}))
            .await;
        let request = TokenRequest {
            spec: TokenRequestSpec::default(),
            ..TokenRequest::default()
        };
        let token = ns
            .api::<ServiceAccount>()
            .create_token_request("operator", &PostParams::default(), &request)
            .await
            .unwrap();
        let token = token.status.unwrap().token;
        let kubeconfig = PathBuf::from(std::env::var("ATELIER_TEST_KUBECONFIG").unwrap());
        let read = Kubeconfig::read_from(&kubeconfig).unwrap();
        let client = client(read, Some(&token)).await;
        let bench = Self {
            ns,
            kubeconfig,
            token,
            client,
            stop: CancellationToken::new(),
        };
        bench.give_rights().await;
        bench
    }

    /// A webhook that is asked about every ConfigMap of the namespace, at this port of the machine, and another that
    /// belongs to somebody else.
    pub async fn register_webhook(&self, port: u16) {
        let webhook = |name: &str, kind: &str| {
            json!({
                "name": format!("{name}.atelier.dev"),
                "clientConfig": {"url": format!("https://127.0.0.1:{port}/")},
                "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": [kind]}],
                "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": self.ns.name}},
                "failurePolicy": "Fail", "sideEffects": "None", "admissionReviewVersions": ["v1"],
            })
        };
        let webhooks = json!([
            webhook("ours", "configmaps"),
            webhook("theirs", "podtemplates")
        ]);
        self.create_global::<Webhooks>(
            json!({"metadata": {"name": self.ns.name}, "webhooks": webhooks}),
        )
        .await;
    }

    pub fn webhooks(&self) -> Api<Webhooks> {
        Api::all(self.ns.cluster.client.clone())
    }

    pub fn secrets(&self) -> Api<Secret> {
        self.ns.api()
    }

    pub fn config(&self, periods: Periods) -> Config {
        let leaf = |name: &str, purpose| Leaf {
            secret_name: name.into(),
            common_name: name.into(),
            dns_names: vec![format!("{name}.{}.svc", self.ns.name)],
            ips: vec!["127.0.0.1".parse().unwrap()],
            purpose,
        };
        let mut target = Target::new(TargetKind::Validating, &self.ns.name);
        target.webhooks = vec!["ours.atelier.dev".into()];
        Config {
            namespace: self.ns.name.clone(),
            authority_secret: AUTHORITY.into(),
            leaves: vec![
                leaf(SERVING, Purpose::Server),
                leaf(ASKING, Purpose::Client),
            ],
            targets: vec![target],
            elsewhere: None,
            periods,
        }
    }

    /// Runs the authority. It leads while the flag says so.
    pub fn lead(&self, client: Client, periods: Periods) -> (Arc<AtomicBool>, JoinHandle<()>) {
        let leads = Arc::new(AtomicBool::new(true));
        let (config, stop, asked) = (self.config(periods), self.stop.clone(), leads.clone());
        let task = tokio::spawn(async move {
            let leads = || asked.load(Ordering::SeqCst);
            run(client, config, leads, stop).await.unwrap();
        });
        (leads, task)
    }

    /// Reads a certificate, with the same rights.
    pub fn read(&self, secret: &str) -> Arc<Reloading> {
        let reloading = Reloading::new(secret);
        let (reading, client) = (reloading.clone(), self.client.clone());
        let (namespace, stop) = (self.ns.name.clone(), self.stop.clone());
        tokio::spawn(async move { reading.follow(client, &namespace, stop).await });
        reloading
    }

    /// What is written in the name of the authority.
    pub fn writes(&self, audit: &Audit) -> Vec<Entry> {
        let me = format!("system:serviceaccount:{}:operator", self.ns.name);
        audit.entries(|e| {
            e.user == me && ["create", "update", "patch", "delete"].contains(&e.verb.as_str())
        })
    }

    pub async fn patch_secret(&self, name: &str, patch: Value) {
        self.ns.patch::<Secret>(name, patch).await.unwrap();
    }

    /// Waits until all three Secrets and the webhook hold the same bundle; returns it.
    pub async fn agreed(&self, limit: Duration) -> Vec<u8> {
        eventually(limit, "everybody has the same bundle", async || {
            let ours = async |name| Ok::<_, String>(entry(&self.secret(name).await?, "ca.crt"));
            let bundle = ours(SERVING).await?.ok_or("no bundle")?;
            check(
                ours(ASKING).await?.as_ref() == Some(&bundle),
                "another beside the client's",
            )?;
            let kept =
                entry(&self.secret(AUTHORITY).await?, "current.crt").ok_or("no authority")?;
            check(bundle.ends_with(&kept), "not that of the authority")?;
            let webhooks = self.webhooks().get_opt(&self.ns.name).await.unwrap();
            let told = webhooks.map(|w| w.webhooks.unwrap().remove(0).client_config.ca_bundle);
            check(
                told.is_none_or(|b| b.is_some_and(|b| b.0 == bundle)),
                "another in the webhook",
            )?;
            Ok(bundle)
        })
        .await
    }

    pub async fn secret(&self, name: &str) -> Result<Secret, String> {
        self.secrets().get(name).await.map_err(|e| e.to_string())
    }

    pub async fn patch_webhooks(&self, patch: Value) {
        let params = PatchParams::default();
        let patch = Patch::Strategic(patch);
        self.webhooks()
            .patch(&self.ns.name, &params, &patch)
            .await
            .unwrap();
    }

    async fn finish(self) {
        self.stop.cancel();
        let (name, params) = (self.ns.name.clone(), DeleteParams::default());
        let client = self.ns.cluster.client.clone();
        let _ = self.webhooks().delete(&name, &params).await;
        let _ = Api::<ClusterRole>::all(client.clone())
            .delete(&name, &params)
            .await;
        let _ = Api::<ClusterRoleBinding>::all(client)
            .delete(&name, &params)
            .await;
        self.ns.finish().await;
    }
}

pub fn entry(secret: &Secret, key: &str) -> Option<Vec<u8>> {
    Some(secret.data.as_ref()?.get(key)?.0.clone())
}

/// A client of a kubeconfig, with its own credentials or a token.
pub async fn client(kubeconfig: Kubeconfig, token: Option<&str>) -> Client {
    let options = KubeConfigOptions::default();
    let mut config = kube::Config::from_custom_kubeconfig(kubeconfig, &options)
        .await
        .unwrap();
    if let Some(token) = token {
        config.auth_info = serde_json::from_value(json!({"token": token})).unwrap();
    }
    config.default_retry = false;
    Client::try_from(config).unwrap()
}
