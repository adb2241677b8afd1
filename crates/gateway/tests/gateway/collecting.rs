//! A gateway that collects inputs and predictions, and an operator that takes them.

use std::{fs, path::PathBuf, sync::Arc};

use atelier_api::{
    archive::Kind,
    report::{Wanted, WantedData},
};
use atelier_gateway::{
    metrics::{Metrics, Sink},
    policy::{Source, Store},
    proxy::Gateway,
    server::serve,
    tls,
};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use jiff::Timestamp;
use serde_json::Value;
use tokio::net::TcpListener;

use crate::{
    harness::{GATEWAY, PRIMARY, SECONDARY, eventually, folder, policy},
    http_client::request,
    inside::{Lines, gateway},
    intake::{Intake, arguments, dropped, exported, text, way},
    models::{self, Seen},
    pki::{Ca, OPERATOR, reading},
};

pub const DATA: WantedData = WantedData {
    after_seconds: 1,
    sample_percent: 100,
    max_bytes: 65_536,
};

/// A gateway with two keys, and an operator that takes what it collects.
pub struct Collecting {
    pub gateway: Arc<Gateway>,
    metrics: Arc<Metrics>,
    store: Arc<Store>,
    pub intake: Intake,
    pub records: Lines,
    token: PathBuf,
}

impl Collecting {
    pub async fn start(wanted: WantedData, tls: Option<&Ca>, more: &[&str]) -> Self {
        let ca = Ca::new("installation");
        let (intake, port) = Intake::start(&ca, OPERATOR).await;
        let token = folder("data").join("token");
        fs::write(&token, "first\n").expect("a file");
        let args = arguments(port, &token, more);
        let (metrics, records) = (Metrics::new(), Lines::default());
        let store = Arc::new(Store::new(metrics.clone()));
        let keys = policy(Some((PRIMARY, SECONDARY)));
        store.offer(Source::File, keys.as_bytes(), Timestamp::now());
        let (gateway, limits) = gateway(&args, store.clone(), &records, &metrics);
        let data = &gateway.reporter.data;
        data.start(way(&args, &ca), store.wanted());
        let tls = tls.map(|ca| tls::acceptor(&reading(&ca.server(&[ca]))).expect("TLS"));
        let listener = TcpListener::bind(GATEWAY).await.expect("a free port");
        let lifecycle = gateway.reporter.lifecycle.clone();
        tokio::spawn(serve(listener, tls, limits, lifecycle, gateway.clone()));
        let this = Self {
            gateway,
            metrics,
            store,
            intake,
            records,
            token,
        };
        this.want(Some(wanted)).await;
        this
    }

    /// As the watched Secret does.
    pub async fn want(&self, data: Option<WantedData>) {
        self.store.want(Wanted {
            data,
            ..Wanted::default()
        });
        // Whoever is to be told is told at once, in a task of its own.
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
    }

    pub fn exported(&self) -> u64 {
        exported(&self.metrics, Sink::Data)
    }

    pub fn dropped(&self, reason: &str) -> u64 {
        dropped(&self.metrics, Sink::Data, reason)
    }

    pub fn held(&self) -> usize {
        self.gateway.reporter.data.held()
    }

    /// All lines of all parts.
    pub fn lines(&self) -> Vec<String> {
        let came = self.intake.came();
        let parts = came.iter().map(|came| {
            let (kind, _) = Kind::part(&came.path).expect("a part");
            assert_eq!((kind, came.token.as_str()), (Kind::Data, "Bearer first"));
            text(came)
        });
        let lines = parts.flat_map(|part| part.lines().map(str::to_owned).collect::<Vec<_>>());
        lines.collect()
    }

    /// Waits until so many calls have come, and nothing is held any more.
    pub async fn collected(&self, count: u64) -> Vec<Value> {
        eventually("all that is collected has come", || async {
            self.exported() >= count && self.held() == 0
        })
        .await;
        assert_eq!(self.exported(), count);
        let lines = self.lines();
        let read = lines.iter().map(|line| serde_json::from_str(line));
        read.map(|line| line.expect("JSON")).collect()
    }
}

impl Drop for Collecting {
    fn drop(&mut self) {
        if let Some(dir) = self.token.parent() {
            let _ = fs::remove_dir_all(dir);
        }
    }
}

/// A model that reads each request and answers it by a function of its body.
pub async fn model(answer: impl Fn(&str) -> Response<Full<Bytes>> + Clone + Send + Sync + 'static) {
    models::serve(Seen::default(), move |request: Request<Incoming>| {
        let answer = answer.clone();
        async move {
            let body = request.into_body().collect().await;
            let body = body.map_or_else(|_| Bytes::new(), |body| body.to_bytes());
            answer(&String::from_utf8_lossy(&body))
        }
    })
    .await;
}

pub fn json_answer(body: &str) -> Response<Full<Bytes>> {
    typed("application/json", body.to_owned())
}

pub fn typed(content_type: &str, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let response = Response::builder().header("content-type", content_type);
    response.body(Full::new(body.into())).expect("a response")
}

/// `POST /score` under an id of one's own.
pub fn post(id: &str, content_type: &str, body: &str) -> Request<Full<Bytes>> {
    let headers = [
        ("x-api-key", PRIMARY),
        ("x-request-id", id),
        ("content-type", content_type),
    ];
    request("POST", "/score", &headers, body)
}

pub fn ids(calls: &[Value]) -> Vec<&str> {
    calls
        .iter()
        .map(|call| call["requestId"].as_str().expect("an id"))
        .collect()
}
