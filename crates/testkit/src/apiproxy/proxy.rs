//! The proxy as a whole.

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kube::config::Kubeconfig;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio_rustls::TlsAcceptor;

use super::handle::Inner;
use super::killer::Killer;
use super::rules::Rules;
use super::server::serve;
use super::tls::identity;
use super::trail::Trail;
use super::upstream::Upstream;

/// A proxy that runs until the last clone of it is dropped.
#[derive(Clone)]
pub struct Proxy(Arc<Running>);

struct Running {
    inner: Arc<Inner>,
    ca: String,
    port: u16,
    /// Threads of its own: a test that blocks must not stop the proxy that it waits for.
    runtime: Option<Runtime>,
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Proxy {
    /// Starts a proxy in front of the API server that a kubeconfig leads to, whose credentials are not used.
    pub async fn start(kubeconfig: &Path) -> Self {
        // Whoever comes first installs it.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let (ca, server) = identity();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("apiproxy")
            .enable_all()
            .build()
            .expect("threads can be made");
        let inner = Arc::new(Inner {
            rules: Rules::default(),
            trail: Trail::default(),
            killer: Arc::new(Killer::default()),
            upstream: Upstream::new(kubeconfig).await,
        });
        let tls = TlsAcceptor::from(Arc::new(server));
        let serving = inner.clone();
        let listening = runtime.spawn(async move {
            let listener = TcpListener::bind(("127.0.0.1", 0)).await;
            let listener = listener.expect("there is a free port");
            let address = listener
                .local_addr()
                .expect("a bound socket has an address");
            tokio::spawn(serve(listener, tls, serving));
            address.port()
        });
        Self(Arc::new(Running {
            inner,
            ca,
            port: listening.await.expect("the proxy can listen"),
            runtime: Some(runtime),
        }))
    }

    /// Where the proxy is.
    pub fn url(&self) -> String {
        format!("https://127.0.0.1:{}", self.0.port)
    }

    /// A kubeconfig to the proxy, for whom a token is.
    pub fn kubeconfig(&self, token: &str) -> Kubeconfig {
        serde_json::from_value(self.document(token)).expect("this is what a kubeconfig looks like")
    }

    /// Writes such a kubeconfig, for the owner of the file alone to read.
    pub fn write_kubeconfig(&self, token: &str, path: &Path) {
        let text = serde_saphyr::to_string(&self.document(token)).expect("JSON can be YAML");
        let mut options = std::fs::OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(0o600);
        options
            .open(path)
            .and_then(|mut file| file.write_all(text.as_bytes()))
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }

    /// The rules.
    pub fn rules(&self) -> &Rules {
        &self.0.inner.rules
    }

    /// The trail.
    pub fn trail(&self) -> &Trail {
        &self.0.inner.trail
    }

    /// What is called to kill the client. It may block. While it runs no request goes to the API server, and when it
    /// returns all connections from before it are reset.
    pub fn on_kill(&self, kill: Box<dyn Fn() + Send + Sync>) {
        self.0.inner.killer.set(kill.into());
    }

    /// Resets all open connections of clients. What the API server has got already goes on.
    pub fn break_connections(&self) {
        self.0.inner.killer.break_all();
    }

    fn document(&self, token: &str) -> Value {
        let cluster = json!({
            "server": self.url(),
            "certificate-authority-data": STANDARD.encode(&self.0.ca),
        });
        json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "apiproxy", "cluster": cluster}],
            "users": [{"name": "client", "user": {"token": token}}],
            "contexts": [{"name": "apiproxy", "context": {"cluster": "apiproxy", "user": "client"}}],
            "current-context": "apiproxy",
        })
    }
}
