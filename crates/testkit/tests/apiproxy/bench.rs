//! A proxy, a namespace, and a client that goes through the proxy with a ServiceAccount's token.

use std::collections::BTreeMap;
use std::time::Duration;

use atelier_testkit::apiproxy::{Matcher, Proxy, Trail, Verb};
use atelier_testkit::{TestNamespace, eventually};
use futures::StreamExt as _;
use futures::stream::BoxStream;
use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::{ConfigMap, ServiceAccount};
use k8s_openapi::api::rbac::v1::RoleBinding;
use kube::api::{DeleteParams, ObjectMeta, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Client, Config, ResourceExt as _};
use serde_json::json;

/// How long anything may take.
pub const LIMIT: Duration = Duration::from_secs(15);
/// How long something is watched that should not happen.
pub const A_WHILE: Duration = Duration::from_millis(400);

pub struct Bench {
    pub ns: TestNamespace,
    pub proxy: Proxy,
    pub token: String,
    pub client: Client,
}

/// A bench with a client that may do everything in the namespace.
pub async fn bench() -> Bench {
    let bench = powerless().await;
    let binding = json!({
        "metadata": {"name": "client"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "admin"},
        "subjects": [{"kind": "ServiceAccount", "name": "client", "namespace": bench.ns.name}],
    });
    bench.ns.create::<RoleBinding>(binding).await;
    let maps = bench.maps();
    // Rights are not there at once.
    eventually(LIMIT, "the client has its rights", async || {
        maps.get_opt("none").await.map_err(|e| e.to_string())
    })
    .await;
    bench.trail().clear();
    bench
}

/// A bench with a client that may do nothing.
pub async fn powerless() -> Bench {
    let ns = TestNamespace::with_labels("apiproxy", json!({})).await;
    ns.create::<ServiceAccount>(json!({"metadata": {"name": "client"}}))
        .await;
    let request = TokenRequest {
        spec: TokenRequestSpec::default(),
        ..TokenRequest::default()
    };
    let accounts = ns.api::<ServiceAccount>();
    let token = accounts
        .create_token_request("client", &PostParams::default(), &request)
        .await
        .unwrap();
    let token = token.status.unwrap().token;
    let proxy = Proxy::start(&kubeconfig()).await;
    let client = client(proxy.kubeconfig(&token)).await;
    Bench {
        ns,
        proxy,
        token,
        client,
    }
}

/// The administrator's.
#[allow(clippy::disallowed_methods)]
fn kubeconfig() -> std::path::PathBuf {
    std::env::var("ATELIER_TEST_KUBECONFIG").unwrap().into()
}

/// A client from a kubeconfig.
pub async fn client(kubeconfig: Kubeconfig) -> Client {
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await;
    Client::try_from(config.unwrap()).unwrap()
}

impl Bench {
    /// ConfigMaps of the namespace, through the proxy.
    pub fn maps(&self) -> Api<ConfigMap> {
        Api::namespaced(self.client.clone(), &self.ns.name)
    }

    /// ConfigMaps of the namespace, past the proxy.
    pub fn direct(&self) -> Api<ConfigMap> {
        self.ns.api()
    }

    pub fn trail(&self) -> &Trail {
        self.proxy.trail()
    }

    /// Another process of the same client: with connections of its own.
    pub async fn another(&self) -> Api<ConfigMap> {
        let client = client(self.proxy.kubeconfig(&self.token)).await;
        Api::namespaced(client, &self.ns.name)
    }

    /// Creates past the proxy.
    pub async fn make(&self, name: &str) -> ConfigMap {
        let created = self
            .direct()
            .create(&PostParams::default(), &map(name, "1"))
            .await;
        created.unwrap()
    }

    /// Deletes past the proxy.
    pub async fn unmake(&self, name: &str) {
        self.direct()
            .delete(name, &DeleteParams::default())
            .await
            .unwrap();
    }

    /// Whether there is one.
    pub async fn exists(&self, name: &str) -> bool {
        self.direct().get_opt(name).await.unwrap().is_some()
    }
}

/// A ConfigMap.
pub fn map(name: &str, value: &str) -> ConfigMap {
    ConfigMap {
        metadata: ObjectMeta {
            name: Some(name.into()),
            labels: Some(BTreeMap::from([("app".into(), "apiproxy".into())])),
            ..ObjectMeta::default()
        },
        data: Some(BTreeMap::from([("key".into(), value.into())])),
        ..ConfigMap::default()
    }
}

/// ConfigMaps with a verb.
pub fn maps(verb: Verb) -> Matcher {
    Matcher::resource("configmaps").verbs(&[verb])
}

/// A status that is an error.
pub fn code<T: std::fmt::Debug>(result: Result<T, kube::Error>) -> u16 {
    match result {
        Err(kube::Error::Api(status)) => status.code,
        other => panic!("no status: {other:?}"),
    }
}

/// What kube's watcher says, in words. Failures are told, not retried at once.
pub struct Watched(BoxStream<'static, watcher::Result<Event<ConfigMap>>>);

impl Watched {
    /// As the operator watches.
    pub fn start(api: Api<ConfigMap>) -> Self {
        let config = watcher::Config::default()
            .any_semantic()
            .labels("app=apiproxy");
        Self(watcher(api, config).boxed())
    }

    /// The next event.
    pub async fn next(&mut self) -> String {
        let next = tokio::time::timeout(LIMIT, self.0.next()).await;
        match next
            .expect("the watcher says something")
            .expect("a watcher does not end")
        {
            Ok(Event::Init) => "init".into(),
            Ok(Event::InitApply(map)) => format!("init {}", map.name_any()),
            Ok(Event::InitDone) => "done".into(),
            Ok(Event::Apply(map)) => format!("apply {}", map.name_any()),
            Ok(Event::Delete(map)) => format!("delete {}", map.name_any()),
            Err(watcher::Error::WatchError(status)) => format!("failed {}", status.code),
            Err(watcher::Error::WatchStartFailed(kube::Error::Api(status))) => {
                format!("not begun {}", status.code)
            }
            Err(error) => format!("error {error}"),
        }
    }

    /// The next events.
    pub async fn expect(&mut self, events: &[&str]) {
        for event in events {
            assert_eq!(self.next().await, *event);
        }
    }

    /// Nothing comes for a while.
    pub async fn silent(&mut self) {
        if let Ok(event) = tokio::time::timeout(A_WHILE, self.next()).await {
            panic!("came all the same: {event}");
        }
    }
}
