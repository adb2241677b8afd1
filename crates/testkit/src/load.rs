//! Requests to a service: one, or a steady stream whose every answer is counted.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http::{HeaderMap, Request};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rustls::ClientConfig;
use tokio::task::JoinHandle;

use crate::way::{self, Resolver};

/// An HTTP client that keeps connections open.
#[derive(Clone)]
pub struct Caller(Client<HttpsConnector<HttpConnector<Resolver>>, Full<Bytes>>);

/// An answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// HTTP status; 0 if there was none.
    pub status: u16,
    /// Headers.
    pub headers: HeaderMap,
    /// Body, or why there was no answer.
    pub body: String,
}

impl Default for Caller {
    fn default() -> Self {
        Self::new(Resolver::default(), way::nobody())
    }
}

impl Caller {
    /// One that finds names so, and trusts so.
    pub(crate) fn new(resolver: Resolver, tls: ClientConfig) -> Self {
        let mut http = HttpConnector::new_with_resolver(resolver);
        http.enforce_http(false);
        let https = HttpsConnectorBuilder::new()
            .with_tls_config(tls)
            .https_or_http()
            .enable_http1()
            .wrap_connector(http);
        Self(Client::builder(TokioExecutor::new()).build(https))
    }

    /// Posts a body, with a key if there is one.
    pub async fn post(&self, url: &str, key: Option<&str>, body: &str) -> Answer {
        let mut request = Request::post(url).header("content-type", "application/json");
        if let Some(key) = key {
            request = request.header("authorization", format!("Bearer {key}"));
        }
        let request = request.body(Full::from(body.to_owned()));
        self.send(request.unwrap()).await
    }

    /// Sends any request.
    pub async fn send(&self, request: Request<Full<Bytes>>) -> Answer {
        let failed = |reason: String| Answer {
            status: 0,
            headers: HeaderMap::new(),
            body: reason,
        };
        let response =
            match tokio::time::timeout(Duration::from_secs(30), self.0.request(request)).await {
                Ok(Ok(response)) => response,
                Ok(Err(error)) => return failed(format!("{error:?}")),
                Err(_) => return failed("no answer within 30 s".into()),
            };
        let (parts, body) = response.into_parts();
        match body.collect().await {
            Ok(body) => Answer {
                status: parts.status.as_u16(),
                headers: parts.headers,
                body: String::from_utf8_lossy(&body.to_bytes()).into_owned(),
            },
            Err(error) => failed(format!("{error:?}")),
        }
    }
}

/// A stream of requests that goes on until it is stopped.
pub struct Load {
    stop: Arc<AtomicBool>,
    clients: Vec<JoinHandle<BTreeMap<String, u64>>>,
}

impl Load {
    /// Starts `clients` clients, each of which posts one request after another.
    pub fn start(url: &str, key: Option<&str>, body: &str, clients: usize) -> Self {
        Self::by(url, key, body, (0..clients).map(|_| Caller::default()))
    }

    /// The same, by these clients.
    pub(crate) fn by(
        url: &str,
        key: Option<&str>,
        body: &str,
        callers: impl Iterator<Item = Caller>,
    ) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let one = |caller: Caller| {
            let (url, key, body, stop) = (
                url.to_owned(),
                key.map(str::to_owned),
                body.to_owned(),
                stop.clone(),
            );
            tokio::spawn(async move {
                let mut counts = BTreeMap::new();
                while !stop.load(Ordering::Relaxed) {
                    let answer = caller.post(&url, key.as_deref(), &body).await;
                    let what = if answer.status == 0 {
                        answer.body
                    } else {
                        answer.status.to_string()
                    };
                    *counts.entry(what).or_default() += 1;
                    // A steady load, not as much as two cores can take.
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                counts
            })
        };
        Self {
            clients: callers.map(one).collect(),
            stop,
        }
    }

    /// Stops, and returns how often each status (or failure) came.
    pub async fn stop(self) -> BTreeMap<String, u64> {
        self.stop.store(true, Ordering::Relaxed);
        let mut total = BTreeMap::new();
        for client in self.clients {
            for (what, count) in client.await.unwrap() {
                *total.entry(what).or_default() += count;
            }
        }
        total
    }
}
