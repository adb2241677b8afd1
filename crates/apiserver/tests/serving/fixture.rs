//! A server, and clients of it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use atelier_apiserver::{FrontProxy, Limits, ServeError, Server};
use atelier_testkit::wait::{check, eventually};
use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use rustls::crypto::aws_lc_rs;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use serde_json::Value;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_rustls::client::TlsStream;
use tokio_util::sync::CancellationToken;

use crate::actions::{Hooks, actions, admission};
use crate::api;
use crate::pki::{Ca, Identity};

pub const SOON: Duration = Duration::from_secs(10);
pub const GROUP: &str = "/apis/actions.atelier.dev/v1alpha1";

/// A server whose front proxy has certificates of `front` with the name `proxy`.
pub struct Fixture {
    pub address: SocketAddr,
    pub front: Ca,
    pub hooks: Hooks,
    pub stop: CancellationToken,
    pub running: JoinHandle<Result<(), ServeError>>,
    config: watch::Sender<Value>,
    ca: Ca,
}

pub struct Answer {
    pub code: u16,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// The reason and message of a Status.
    pub fn refusal(&self) -> (u16, String, String) {
        let status = self.json();
        assert_eq!(
            (&status["kind"], &status["apiVersion"], &status["status"]),
            (&"Status".into(), &"v1".into(), &"Failure".into())
        );
        assert_eq!(status["code"], self.code);
        let text = |field: &str| status[field].as_str().unwrap().to_owned();
        (self.code, text("reason"), text("message"))
    }
}

pub type Connection = SendRequest<Full<Bytes>>;

impl Fixture {
    pub async fn new() -> Self {
        Self::with(Limits::default()).await
    }

    pub async fn with(limits: Limits) -> Self {
        let (fixture, front_proxy) = Self::start(limits, r#"["proxy"]"#).await;
        front_proxy.known().await;
        fixture
    }

    /// A server that finds these names in the configuration.
    pub async fn start(limits: Limits, names: &str) -> (Self, FrontProxy) {
        let _ = aws_lc_rs::default_provider().install_default();
        let (ca, front) = (Ca::new("serving"), Ca::new("front"));
        let (certificate, key) = ca.issue("localhost");
        let key = aws_lc_rs::sign::any_supported_type(&key).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (config, receiver) = watch::channel(api::config_map(1, &front.pem(), names));
        let (front_proxy, hooks) = (FrontProxy::new(), Hooks::default());
        let server = Server {
            listener,
            certificate: Arc::new(Always(Arc::new(CertifiedKey::new(vec![certificate], key)))),
            front_proxy: front_proxy.clone(),
            actions: actions(&hooks),
            admission: admission(),
            client: api::client(receiver),
            limits,
        };
        let stop = CancellationToken::new();
        let running = tokio::spawn(server.run(stop.clone()));
        let fixture = Self {
            address,
            front,
            hooks,
            stop,
            running,
            config,
            ca,
        };
        (fixture, front_proxy)
    }

    /// Tells the server of another configuration.
    pub fn configure(&self, version: u32, names: &str) {
        let config = api::config_map(version, &self.front.pem(), names);
        self.config.send_replace(config);
    }

    pub async fn try_connect(&self, identity: Option<Identity>) -> std::io::Result<Connection> {
        let stream = TcpStream::connect(self.address).await?;
        let name = "localhost".try_into().unwrap();
        let stream = self.ca.connector(identity).connect(name, stream).await?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        Ok(sender)
    }

    /// TLS as the API server's proxy makes it.
    pub async fn proxy_tls(&self, stream: TcpStream) -> TlsStream<TcpStream> {
        let identity = self.front.issue("proxy");
        let name = "localhost".try_into().unwrap();
        let connector = self.ca.connector(Some(identity));
        connector.connect(name, stream).await.unwrap()
    }

    /// A connection as the API server's proxy makes it.
    pub async fn proxy(&self) -> Connection {
        let identity = self.front.issue("proxy");
        self.try_connect(Some(identity)).await.unwrap()
    }

    pub async fn stranger(&self) -> Connection {
        self.try_connect(None).await.unwrap()
    }

    /// A request as the proxy makes it for `jane`.
    pub async fn ask(&self, method: &str, path: &str, body: &str) -> Answer {
        self.ask_as("jane", method, path, body).await
    }

    pub async fn ask_as(&self, user: &str, method: &str, path: &str, body: &str) -> Answer {
        let request = action(user, method, path, body);
        send(&mut self.proxy().await, request).await
    }

    /// Waits until the server has ended by itself.
    pub async fn ended(self) {
        let ended = tokio::time::timeout(SOON, self.running).await;
        ended.unwrap().unwrap().unwrap();
    }

    pub async fn until_following(&self, wanted: usize) {
        eventually(SOON, "logs are followed", async || {
            let following = self
                .hooks
                .following
                .load(std::sync::atomic::Ordering::SeqCst);
            check(following == wanted, following)
        })
        .await;
    }
}

/// A request for an action in the namespace `vision`.
pub fn action(user: &str, method: &str, path: &str, body: &str) -> Request<Full<Bytes>> {
    Request::builder()
        .method(method)
        .uri(format!("{GROUP}/namespaces/vision/{path}"))
        .header("host", "localhost")
        .header("x-remote-user", user)
        .header("x-remote-group", "system:authenticated")
        .body(Full::from(body.to_owned()))
        .unwrap()
}

/// A request for something else.
pub fn plain(method: &str, path: &str, body: &str) -> Request<Full<Bytes>> {
    Request::builder()
        .method(method)
        .uri(path)
        .header("host", "localhost")
        .body(Full::from(body.to_owned()))
        .unwrap()
}

pub async fn begin(
    connection: &mut Connection,
    request: Request<Full<Bytes>>,
) -> hyper::Result<Response<Incoming>> {
    connection.ready().await?;
    connection.send_request(request).await
}

pub async fn send(connection: &mut Connection, request: Request<Full<Bytes>>) -> Answer {
    let response = begin(connection, request).await.unwrap();
    let (parts, body) = response.into_parts();
    Answer {
        code: parts.status.as_u16(),
        headers: parts.headers,
        body: body.collect().await.unwrap().to_bytes(),
    }
}

#[derive(Debug)]
struct Always(Arc<CertifiedKey>);

impl ResolvesServerCert for Always {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }
}
