//! The way to a web service from the test's host, over TLS where it has that: trusting whom its status names, at that
//! moment.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, PoisonError, RwLock};
use std::task::{Context, Poll};
use std::time::Duration;

use atelier_api::WebService;
use futures::StreamExt as _;
use futures::future::{Ready, ready};
use http_body_util::Full;
use hyper_util::client::legacy::connect::dns::Name;
use k8s_openapi::api::core::v1::Service;
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::watch_object;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;

use crate::load::{Answer, Caller, Load};
use crate::namespace::{QUICK, TestNamespace};
use crate::wait::{check, eventually};

/// The way to a web service.
pub struct Way {
    /// Where scoring requests go.
    pub url: String,
    /// Where that is.
    pub address: IpAddr,
    trust: Arc<Trust>,
    following: JoinHandle<()>,
}

impl Drop for Way {
    fn drop(&mut self) {
        self.following.abort();
    }
}

impl Way {
    /// The way to a service that is ready. Waits until its address works, which it does a moment after.
    pub async fn to(namespace: &TestNamespace, name: &str) -> Self {
        let way = Self::unheard(namespace, name).await;
        way.heard(name).await;
        way
    }

    /// The same, trusting these authorities, PEM, and nobody else.
    pub async fn trusting(namespace: &TestNamespace, name: &str, pem: &str) -> Self {
        let way = Self::trusting_unheard(namespace, name, pem).await;
        way.heard(name).await;
        way
    }

    /// The same, without waiting for an answer.
    pub async fn trusting_unheard(namespace: &TestNamespace, name: &str, pem: &str) -> Self {
        let way = Self::unheard(namespace, name).await;
        way.trust_only(pem);
        way
    }

    async fn unheard(namespace: &TestNamespace, name: &str) -> Self {
        let front: Service = namespace.api().get(name).await.unwrap();
        let address = front.spec.unwrap().cluster_ip.unwrap().parse().unwrap();
        let service = namespace.api::<WebService>().get(name).await.unwrap();
        let url = service.status.clone().unwrap().scoring_uri.unwrap();
        let trust = Arc::new(Trust::default());
        trust.learn(&service);
        Self {
            url,
            address,
            following: tokio::spawn(follow(namespace, name, trust.clone())),
            trust,
        }
    }

    async fn heard(&self, name: &str) {
        let root = self.url.rsplit_once('/').unwrap().0;
        eventually(QUICK, &format!("{name} has an address"), async || {
            let answer = self.caller().post(root, None, "").await;
            check(answer.status != 0, answer)
        })
        .await;
    }

    /// A client with connections of its own.
    pub fn caller(&self) -> Caller {
        Caller::new(Resolver(Some(self.address)), config(self.trust.clone()))
    }

    /// Posts a body on a connection of its own.
    pub async fn post(&self, key: Option<&str>, body: &str) -> Answer {
        self.caller().post(&self.url, key, body).await
    }

    /// Sends any request to a path of the service, on a connection of its own.
    pub async fn send(&self, request: http::request::Builder, path: &str, body: &[u8]) -> Answer {
        let origin = self.url.split('/').take(3).collect::<Vec<_>>().join("/");
        let body = Full::from(body.to_vec());
        let request = request.uri(format!("{origin}{path}")).body(body);
        self.caller().send(request.unwrap()).await
    }

    /// Clients that post one request after another.
    pub fn load(&self, key: Option<&str>, body: &str, clients: usize) -> Load {
        Load::by(&self.url, key, body, (0..clients).map(|_| self.caller()))
    }

    /// The certificate that is shown at an address to who asks for the service, DER.
    pub async fn shown(&self, at: SocketAddr) -> Result<Vec<u8>, String> {
        let mut config = config(self.trust.clone());
        config.resumption = Resumption::disabled();
        let host = self.url.split('/').nth(2).unwrap().to_owned();
        let stream = TcpStream::connect(at).await;
        let stream = stream.map_err(|error| error.to_string())?;
        let connector = TlsConnector::from(Arc::new(config));
        let name = ServerName::try_from(host).unwrap();
        let stream = connector.connect(name, stream).await;
        let stream = stream.map_err(|error| error.to_string())?;
        let shown = stream.get_ref().1.peer_certificates().unwrap_or_default();
        let first = shown.first().ok_or("no certificate")?;
        Ok(first.to_vec())
    }

    /// Trusts these authorities, PEM, and whatever the status says no more.
    pub fn trust_only(&self, pem: &str) {
        self.following.abort();
        self.trust.set(pem);
    }
}

fn follow(
    namespace: &TestNamespace,
    name: &str,
    trust: Arc<Trust>,
) -> impl Future<Output = ()> + Send + use<> {
    let changes = watch_object(namespace.api::<WebService>(), name).default_backoff();
    async move {
        let mut changes = std::pin::pin!(changes);
        while let Some(change) = changes.next().await {
            if let Ok(Some(service)) = change {
                trust.learn(&service);
            }
        }
    }
}

/// Leads every name to one address.
#[derive(Clone, Debug, Default)]
pub struct Resolver(Option<IpAddr>);

impl tower_service::Service<Name> for Resolver {
    type Response = std::option::IntoIter<SocketAddr>;
    type Error = std::io::Error;
    type Future = Ready<Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let address = self.0.map(|ip| SocketAddr::new(ip, 0));
        let unknown = || std::io::Error::other(format!("{name} has no address here"));
        ready(address.map(|at| Some(at).into_iter()).ok_or_else(unknown))
    }
}

/// Trusts nobody.
pub(crate) fn nobody() -> ClientConfig {
    config(Arc::new(Trust::default()))
}

fn config(trust: Arc<Trust>) -> ClientConfig {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider);
    let builder = builder.with_safe_default_protocol_versions().unwrap();
    let verifier = builder.dangerous().with_custom_certificate_verifier(trust);
    verifier.with_no_client_auth()
}

/// Whom to trust at a moment.
#[derive(Debug, Default)]
struct Trust(RwLock<Option<Arc<WebPkiServerVerifier>>>);

impl Trust {
    fn learn(&self, service: &WebService) {
        let tls = service.status.as_ref().and_then(|s| s.tls.as_ref());
        if let Some(bundle) = tls.and_then(|tls| tls.ca_bundle.as_deref()) {
            self.set(bundle);
        }
    }

    fn set(&self, pem: &str) {
        let mut roots = RootCertStore::empty();
        for root in CertificateDer::pem_slice_iter(pem.as_bytes()) {
            roots.add(root.unwrap()).unwrap();
        }
        let provider = Arc::new(aws_lc_rs::default_provider());
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider);
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Some(verifier.build().unwrap());
    }

    fn now(&self) -> Result<Arc<WebPkiServerVerifier>, Error> {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let unknown = Error::InvalidCertificate(CertificateError::UnknownIssuer);
        known.clone().ok_or(unknown)
    }
}

impl ServerCertVerifier for Trust {
    fn verify_server_cert(
        &self,
        end: &CertificateDer<'_>,
        rest: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.now()?.verify_server_cert(end, rest, name, ocsp, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        end: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.now()?.verify_tls12_signature(message, end, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        end: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.now()?.verify_tls13_signature(message, end, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        let provider = aws_lc_rs::default_provider();
        provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}

/// The first certificate of a PEM, DER.
pub fn certificate(pem: &[u8]) -> Vec<u8> {
    CertificateDer::from_pem_slice(pem).unwrap().to_vec()
}

/// How long a certificate that somebody else keeps takes from its Secret into a pod: the kubelet looks once a minute.
pub const MOUNTED: Duration = Duration::from_secs(150);
