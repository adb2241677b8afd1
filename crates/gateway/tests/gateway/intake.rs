//! A replica of the operator that takes what gateways tell it, for tests.

use std::{
    io::Read as _,
    path::Path,
    sync::{Arc, Mutex},
};

use atelier_gateway::{
    args::{self, Args},
    metrics::{Metrics, Sink},
    report::way::Way,
};
use atelier_pki::server_config;
use bytes::Bytes;
use flate2::read::MultiGzDecoder;
use http::{Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use rcgen::ExtendedKeyUsagePurpose;
use tokio::{net::TcpListener, time::Instant};
use tokio_rustls::TlsAcceptor;

use crate::pki::{Ca, OPERATOR, reading};

/// The arguments of a gateway that tells an operator at this port, as the pod whose token is in this file.
pub fn arguments(port: u16, token: &Path, more: &[&str]) -> Args {
    let line = [
        "atelier-gateway".to_owned(),
        "--namespace=ml".to_owned(),
        "--service=iris".to_owned(),
        "--workspace=ws".to_owned(),
        "--replica=iris-0".to_owned(),
        "--internal-secret=iris-gateway-tls".to_owned(),
        format!("--internal-client={OPERATOR}"),
        format!("--report-to=127.0.0.1:{port}"),
        format!("--report-token={}", token.display()),
    ];
    let line = line.iter().map(String::as_str).chain(more.iter().copied());
    args::parse(line.map(Into::into)).expect("valid")
}

/// The way that those ask for, to an operator of this authority.
pub fn way(args: &Args, ca: &Ca) -> Arc<Way> {
    let trust = reading(&ca.server(&[ca]));
    let way = Way::from_args(args, Some(trust)).expect("TLS");
    Arc::new(way.expect("asked for"))
}

/// One report, as it came in.
#[derive(Clone, Debug)]
pub struct Came {
    /// When.
    pub at: Instant,
    /// Where to.
    pub path: String,
    /// What it came with.
    pub token: String,
    /// What it was.
    pub body: Bytes,
}

/// The lines of a part.
pub fn text(came: &Came) -> String {
    let mut text = String::new();
    let read = MultiGzDecoder::new(&came.body[..]).read_to_string(&mut text);
    read.expect("gzip");
    text
}

/// How many lines a sink has taken.
pub fn exported(metrics: &Metrics, sink: Sink) -> u64 {
    let name = "atelier_gateway_telemetry_exported_total";
    counted(metrics, name, sink, "")
}

/// How many were lost for this reason.
pub fn dropped(metrics: &Metrics, sink: Sink, reason: &str) -> u64 {
    let name = "atelier_gateway_telemetry_dropped_total";
    counted(metrics, name, sink, reason)
}

fn counted(metrics: &Metrics, name: &str, sink: Sink, reason: &str) -> u64 {
    let text = metrics.encode();
    let sink = format!("sink=\"{sink:?}\"");
    let mut lines = text.lines();
    let line =
        lines.find(|line| line.starts_with(name) && line.contains(&sink) && line.contains(reason));
    line.and_then(|line| line.rsplit(' ').next()?.parse().ok())
        .unwrap_or_default()
}

/// A replica of the operator that takes reports.
#[derive(Clone, Default)]
pub struct Intake {
    came: Arc<Mutex<Vec<Came>>>,
    /// Those that are open.
    pub connections: Arc<Mutex<usize>>,
    /// What it answers.
    pub answer: Arc<Mutex<StatusCode>>,
}

impl Intake {
    /// Serves by a certificate of this name.
    pub async fn start(ca: &Ca, name: &str) -> (Self, u16) {
        let this = Self::default();
        *this.answer.lock().expect("whole") = StatusCode::NO_CONTENT;
        let secret = ca.secret(name, ExtendedKeyUsagePurpose::ServerAuth, &[ca]);
        let config = server_config(&reading(&secret), None).expect("a configuration");
        let tls = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("bound").port();
        let serving = this.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (this, tls) = (serving.clone(), tls.clone());
                tokio::spawn(async move {
                    let Ok(stream) = tls.accept(stream).await else {
                        return;
                    };
                    *this.connections.lock().expect("whole") += 1;
                    let noting = this.clone();
                    let service =
                        service_fn(move |request: http::Request<hyper::body::Incoming>| {
                            let this = noting.clone();
                            async move {
                                let path = request.uri().path().to_owned();
                                let token = request.headers()["authorization"].to_str();
                                let token = token.expect("text").to_owned();
                                let body = request.into_body().collect().await?.to_bytes();
                                let at = Instant::now();
                                let came = Came {
                                    at,
                                    path,
                                    token,
                                    body,
                                };
                                this.came.lock().expect("whole").push(came);
                                let mut response = Response::new(Full::<Bytes>::default());
                                *response.status_mut() = *this.answer.lock().expect("whole");
                                Ok::<_, hyper::Error>(response)
                            }
                        });
                    let _ = http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                    *this.connections.lock().expect("whole") -= 1;
                });
            }
        });
        (this, port)
    }

    /// All that came.
    pub fn came(&self) -> Vec<Came> {
        self.came.lock().expect("whole").clone()
    }
}
