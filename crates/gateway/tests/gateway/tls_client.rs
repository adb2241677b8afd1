//! A client over TLS: HTTP/1.1 or HTTP/2, as it was agreed.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Request, Version};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use k8s_openapi::api::core::v1::Secret;
use rustls::{
    ClientConfig, HandshakeKind, ProtocolVersion, RootCertStore, SupportedProtocolVersion,
    client::Resumption,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, ServerName, pem::PemObject as _},
};
use tokio::{net::TcpStream, sync::watch, time::timeout};
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::{
    harness::{GATEWAY, PATIENCE},
    http_client::Answer,
    pki::{Ca, SERVER},
};

pub const H1: &[&[u8]] = &[b"http/1.1"];
pub const H2: &[&[u8]] = &[b"h2", b"http/1.1"];

/// Whom it trusts, what it speaks.
#[derive(Clone)]
pub struct Client(Arc<ClientConfig>);

impl Client {
    pub fn new(ca: &Ca, alpn: &[&[u8]], versions: &[&'static SupportedProtocolVersion]) -> Self {
        let mut roots = RootCertStore::empty();
        let pem = ca.pem();
        let root = CertificateDer::from_pem_slice(pem.as_bytes()).expect("PEM");
        roots.add(root).expect("an authority");
        let provider = Arc::new(aws_lc_rs::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .expect("versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
        Self(Arc::new(config))
    }

    /// The certificate is shown in every handshake.
    pub fn without_resumption(self) -> Self {
        let mut config = Arc::unwrap_or_clone(self.0);
        config.resumption = Resumption::disabled();
        Self(Arc::new(config))
    }

    pub async fn connect(&self) -> Result<Connection, String> {
        Ok(Connection::over(self.stream().await?).await)
    }

    /// A connection on which nothing was said yet.
    pub async fn stream(&self) -> Result<TlsStream<TcpStream>, String> {
        let stream = TcpStream::connect(GATEWAY).await;
        let name = ServerName::try_from(SERVER).expect("a name");
        let connector = TlsConnector::from(Arc::clone(&self.0));
        let shaken = connector.connect(name, stream.expect("it listens"));
        let shaken = timeout(PATIENCE, shaken).await.expect("in time");
        shaken.map_err(|error| error.to_string())
    }
}

enum Sender {
    One(http1::SendRequest<Full<Bytes>>),
    Two(http2::SendRequest<Full<Bytes>>),
}

/// A connection that stands.
pub struct Connection {
    sender: Sender,
    version: Option<ProtocolVersion>,
    kind: Option<HandshakeKind>,
    certificate: CertificateDer<'static>,
    ended: watch::Receiver<bool>,
}

impl Connection {
    async fn over(stream: TlsStream<TcpStream>) -> Self {
        let session = stream.get_ref().1;
        let (version, kind) = (session.protocol_version(), session.handshake_kind());
        let shown = session.peer_certificates().expect("a certificate");
        let certificate = shown[0].clone().into_owned();
        let is_http2 = session.alpn_protocol() == Some(b"h2");
        let stream = TokioIo::new(stream);
        let (end, ended) = watch::channel(false);
        let sender = if is_http2 {
            let (sender, connection) = http2::handshake(TokioExecutor::new(), stream)
                .await
                .expect("HTTP/2");
            tokio::spawn(async move {
                let _ = connection.await;
                end.send_replace(true);
            });
            Sender::Two(sender)
        } else {
            let (sender, connection) = http1::handshake(stream).await.expect("HTTP/1.1");
            tokio::spawn(async move {
                let _ = connection.await;
                end.send_replace(true);
            });
            Sender::One(sender)
        };
        Self {
            sender,
            version,
            kind,
            certificate,
            ended,
        }
    }

    /// Sends a request whose target is a path.
    pub async fn send(&mut self, mut request: Request<Full<Bytes>>) -> hyper::Result<Answer> {
        let answer = match &mut self.sender {
            Sender::One(sender) => {
                sender.ready().await?;
                sender.send_request(request).await?
            }
            Sender::Two(sender) => {
                let uri = format!("https://{SERVER}{}", request.uri());
                *request.uri_mut() = uri.parse().expect("a target");
                request.headers_mut().remove("host");
                sender.ready().await?;
                sender.send_request(request).await?
            }
        };
        let (head, body) = answer.into_parts();
        Ok(Answer {
            status: head.status,
            headers: head.headers,
            body: body.collect().await?.to_bytes(),
        })
    }

    /// Waits until the other side has ended it.
    pub async fn ended(&mut self) {
        let ended = self.ended.wait_for(|ended| *ended);
        let ended = timeout(Duration::from_secs(20), ended).await;
        drop(ended.expect("it ends").expect("told"));
    }

    pub fn version(&self) -> Option<ProtocolVersion> {
        self.version
    }

    pub fn kind(&self) -> Option<HandshakeKind> {
        self.kind
    }

    pub fn spoken(&self) -> Version {
        match self.sender {
            Sender::One(_) => Version::HTTP_11,
            Sender::Two(_) => Version::HTTP_2,
        }
    }

    /// Whether the certificate is the one in this Secret.
    pub fn shows(&self, secret: &Secret) -> bool {
        let pem = &secret.data.as_ref().expect("data")["tls.crt"].0;
        CertificateDer::from_pem_slice(pem).expect("PEM") == self.certificate
    }
}
