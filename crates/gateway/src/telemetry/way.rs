//! The way to a collector: a client that leaves the pod, and what an answer comes to.

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use atelier_api::gateway_telemetry::{OtlpTarget, TelemetryHeaders, is_local};
use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Request, StatusCode, Uri,
    header::{CONTENT_ENCODING, CONTENT_TYPE, RETRY_AFTER, USER_AGENT},
};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{
        Client as Pooled,
        connect::{
            HttpConnector,
            dns::{GaiResolver, Name},
        },
    },
    rt::{TokioExecutor, TokioTimer},
};
use jiff::Timestamp;
use rustls::{ClientConfig, RootCertStore, crypto::aws_lc_rs};
use thiserror::Error;
use tokio::time::timeout;
use tower_service::Service;

use super::{
    pipe::Carry,
    proto::{self, Field},
};
use crate::logging::chain;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a collector may take over one batch.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// How long an unused connection is kept: longer than records are gathered.
const POOL_IDLE: Duration = Duration::from_secs(20);

/// The longest answer that is read, in bytes: one of few words.
const LONGEST_ANSWER: usize = 64 * 1024;

/// Why there is no way to a collector.
#[derive(Debug, Error)]
pub enum Unusable {
    /// The endpoint is no URL, though it looked like one.
    #[error("the endpoint cannot be used")]
    Endpoint(#[from] http::uri::InvalidUri),
    /// The bundle has no authority.
    #[error("the authorities of the endpoint cannot be read")]
    Authorities(#[from] atelier_pki::Error),
    /// TLS cannot be set up.
    #[error("TLS cannot be set up")]
    Tls(#[from] rustls::Error),
    /// A header is none.
    #[error("the headers of the endpoint cannot be used")]
    Headers,
}

/// One signal's way to a collector.
#[derive(Clone, Debug)]
pub struct Way {
    client: Pooled<HttpsConnector<HttpConnector<Outside>>, Full<Bytes>>,
    uri: Uri,
    headers: HeaderMap,
}

impl Way {
    /// The ways of logs and of traces, over the same connections. Opens none yet.
    ///
    /// # Errors
    /// [`Unusable`].
    pub fn both(
        target: &OtlpTarget,
        credential: Option<&TelemetryHeaders>,
    ) -> Result<[Self; 2], Unusable> {
        let mut connector = HttpConnector::new_with_resolver(Outside(GaiResolver::new()));
        connector.set_nodelay(true);
        connector.enforce_http(false);
        connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls(target)?)
            .https_or_http()
            .enable_http1()
            .wrap_connector(connector);
        let client = Pooled::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(POOL_IDLE)
            .pool_max_idle_per_host(2)
            .build(connector);
        let headers = headers(target, credential)?;
        let way = |signal| -> Result<Self, Unusable> {
            Ok(Self {
                client: client.clone(),
                uri: target.endpoint.url(signal).parse()?,
                headers: headers.clone(),
            })
        };
        Ok([way("/v1/logs")?, way("/v1/traces")?])
    }
}

impl Carry for Way {
    type Load = Bytes;

    /// Sends a batch once. Follows no redirect: the credential is for this place.
    async fn send(&self, body: Bytes) -> Answer {
        let mut request = Request::post(self.uri.clone());
        if let Some(headers) = request.headers_mut() {
            headers.clone_from(&self.headers);
        }
        let exchange = async {
            let request = request
                .body(Full::new(body))
                .map_err(|error| error.to_string())?;
            let response = self.client.request(request).await;
            let (head, body) = response.map_err(|error| chain(&error))?.into_parts();
            let body = Limited::new(body, LONGEST_ANSWER).collect().await;
            // That it answered is enough: what it said besides may be lost.
            let body = body.map(|body| body.to_bytes()).unwrap_or_default();
            Ok((head.status, head.headers, body))
        };
        match timeout(ANSWER_TIMEOUT, exchange).await {
            Err(_) => Answer::again("no answer within 10 s"),
            Ok(Err(error)) => Answer::Again(None, error),
            Ok(Ok((status, headers, body))) => judge(status, &headers, &body, Timestamp::now()),
        }
    }
}

fn tls(target: &OtlpTarget) -> Result<ClientConfig, Unusable> {
    let roots = match &target.ca_bundle {
        Some(bundle) => atelier_pki::roots(bundle.as_bytes())?,
        // They take a quarter of a megabyte: only who needs them has them.
        None if target.endpoint.is_tls() => {
            let mut roots = RootCertStore::empty();
            roots.add_parsable_certificates(
                webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter().cloned(),
            );
            Arc::new(roots)
        }
        None => Arc::new(RootCertStore::empty()),
    };
    let provider = Arc::new(aws_lc_rs::default_provider());
    let config =
        ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}

fn headers(
    target: &OtlpTarget,
    credential: Option<&TelemetryHeaders>,
) -> Result<HeaderMap, Unusable> {
    const AGENT: &str = concat!("atelier-gateway/", env!("CARGO_PKG_VERSION"));
    let mut headers = HeaderMap::new();
    headers.insert(USER_AGENT, HeaderValue::from_static(AGENT));
    for (name, value) in credential.into_iter().flat_map(TelemetryHeaders::iter) {
        let name = HeaderName::try_from(name).map_err(|_| Unusable::Headers)?;
        let mut value = HeaderValue::try_from(value).map_err(|_| Unusable::Headers)?;
        value.set_sensitive(true);
        headers.insert(name, value);
    }
    headers.insert(
        CONTENT_TYPE,
        HeaderValue::from_static("application/x-protobuf"),
    );
    if target.gzip {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    Ok(headers)
}

/// Names, except where they lead to the pod itself: what listens there is the model, or the gateway. Addresses in a
/// URL do not come by here; those are refused where the URL is read.
#[derive(Clone)]
struct Outside(GaiResolver);

impl Service<Name> for Outside {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let found = self.0.call(name);
        Box::pin(async move {
            let found = found.await?.filter(|address| !is_local(address.ip()));
            let found: Vec<_> = found.collect();
            match found.is_empty() {
                true => Err(io::Error::other(
                    "the name leads nowhere, or to the pod's own loopback",
                )),
                false => Ok(found.into_iter()),
            }
        })
    }
}

/// What became of a batch that was sent once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Taken, except so many, for this reason.
    Taken(u64, String),
    /// Not now: again after so long, if it says so.
    Again(Option<Duration>, String),
    /// Never.
    Refused(String),
}

impl Answer {
    /// Not now, for this reason.
    pub fn again(why: &str) -> Self {
        Self::Again(None, why.to_owned())
    }
}

/// What an answer comes to, by the specification of OTLP (1.8, "OTLP/HTTP Response"). Logs and traces have the same
/// numbers.
fn judge(status: StatusCode, headers: &HeaderMap, body: &[u8], now: Timestamp) -> Answer {
    let said = || format!("the collector answered {status}");
    match status.as_u16() {
        200..300 => {
            let partial = match proto::field(body, 1) {
                Some(Field::Bytes(partial)) => partial,
                _ => return Answer::Taken(0, String::new()),
            };
            let rejected = match proto::field(partial, 1) {
                Some(Field::Number(rejected)) => rejected,
                _ => 0,
            };
            let why = match proto::field(partial, 2) {
                Some(Field::Bytes(why)) => String::from_utf8_lossy(why).chars().take(200).collect(),
                _ => String::new(),
            };
            Answer::Taken(rejected, why)
        }
        429 | 502 | 503 | 504 => Answer::Again(retry_after(headers, now), said()),
        _ => Answer::Refused(said()),
    }
}

/// When somebody asks to be asked again: in seconds, or by a date (RFC 9110, section 10.2.3).
pub fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?;
    if let Ok(seconds) = value.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = jiff::fmt::rfc2822::parse(value).ok()?.timestamp();
    Some(Duration::try_from(date.duration_since(now)).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(status: u16, retry_after: Option<&'static str>, body: &[u8]) -> Answer {
        let mut headers = HeaderMap::new();
        if let Some(value) = retry_after {
            headers.insert(RETRY_AFTER, HeaderValue::from_static(value));
        }
        let status = StatusCode::from_u16(status).expect("a status");
        let now = "2015-10-21T07:28:00Z".parse().expect("a time");
        judge(status, &headers, body, now)
    }

    #[tokio::test]
    async fn a_name_that_leads_to_the_pod_itself_leads_nowhere() {
        let mut outside = Outside(GaiResolver::new());
        let name: Name = "localhost".parse().expect("a name");
        let error = outside.call(name).await.expect_err("nowhere");
        assert!(error.to_string().contains("loopback"), "{error}");
    }

    #[test]
    fn what_an_answer_comes_to() {
        for status in [200, 202, 204] {
            assert_eq!(judged(status, None, b""), Answer::Taken(0, String::new()));
        }
        let partial = b"\x0a\x06\x08\x03\x12\x02no";
        assert_eq!(judged(200, None, partial), Answer::Taken(3, "no".into()));
        for status in [429, 502, 503, 504] {
            assert!(matches!(judged(status, None, b""), Answer::Again(None, _)));
            let wait = judged(status, Some("7"), b"");
            assert!(matches!(wait, Answer::Again(Some(wait), _) if wait.as_secs() == 7));
        }
        let date = judged(503, Some("Wed, 21 Oct 2015 07:28:30 GMT"), b"");
        assert!(
            matches!(date, Answer::Again(Some(wait), _) if wait.as_secs() == 30),
            "{date:?}"
        );
        let over = judged(503, Some("Wed, 21 Oct 2015 07:27:00 GMT"), b"");
        assert!(matches!(over, Answer::Again(Some(Duration::ZERO), _)));
        assert!(matches!(
            judged(503, Some("soon"), b""),
            Answer::Again(None, _)
        ));
        for status in [301, 400, 401, 403, 404, 413, 500, 501] {
            assert!(
                matches!(judged(status, Some("1"), b""), Answer::Refused(_)),
                "{status}"
            );
        }
    }
}
