//! `webservices/score`: a request to a model by way of the cluster's API.
//!
//! Whoever may do it needs no key and no way to the service's address. The body goes up and the answer comes down as
//! they are, piece by piece; gateways vouch for limits and records, and we to them for the caller.

mod headers;

use std::error::Error;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use atelier_api::WebService;
use atelier_api::conditions::READY;
use atelier_api::subject;
use atelier_apiserver::{Body, BoxError, Call, Reason, Refusal};
use atelier_pki::{Reloading, client_config};
use http::uri::{PathAndQuery, Scheme, Uri};
use http::{HeaderValue, Request, Response};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::{self, Client};
use hyper_util::rt::{TokioExecutor, TokioTimer};

use super::Deps;
use super::object::get;
use crate::web_service::INTERNAL_PORT;

/// How long an answer may take to begin. The API server cuts what has not ended after 60 s.
const LIMIT: Duration = Duration::from_secs(55);
const CONNECT: Duration = Duration::from_secs(5);
/// How long an unused connection is kept: a replica that goes away closes it 3 s after it was told to.
const IDLE: Duration = Duration::from_secs(2);
const SOON: Duration = Duration::from_secs(1);

/// Who the caller is, to a gateway.
const SUBJECT: &str = "x-atelier-subject";

/// The way to gateways: TLS both ways, with what the installation's authority has signed at that moment.
#[derive(Clone)]
pub struct Gateways(Arc<Shared>);

struct Shared {
    certificate: Arc<Reloading>,
    /// Connections to gateways, and of which generation the certificate was when the first of them was opened.
    pool: Mutex<(u64, Pool)>,
}

type Pool = Client<HttpsConnector<HttpConnector>, Body>;

impl Gateways {
    /// Opens no connection yet. `certificate` is the operator's own.
    pub fn new(certificate: Arc<Reloading>) -> Result<Self, rustls::Error> {
        let pool = Mutex::new((certificate.generation(), pool(&certificate)?));
        Ok(Self(Arc::new(Shared { certificate, pool })))
    }

    /// Connections on which no other certificate was shown than the one that is ours now: gateways judge for each
    /// request by what was shown when the connection began. Requests on others are finished, and no new ones sent.
    fn pool(&self) -> Result<Pool, Refusal> {
        let certificate = &self.0.certificate;
        if !certificate.is_ready() {
            let message = "the operator has no certificate yet that gateways would know it by";
            return Err(Refusal::unavailable(message, SOON));
        }
        let generation = certificate.generation();
        let mut kept = self.0.pool.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.0 != generation {
            let pool = pool(certificate);
            *kept = (
                generation,
                pool.map_err(|error| Refusal::internal(error.to_string()))?,
            );
        }
        Ok(kept.1.clone())
    }
}

fn pool(certificate: &Arc<Reloading>) -> Result<Pool, rustls::Error> {
    let mut connector = HttpConnector::new();
    connector.enforce_http(false);
    connector.set_nodelay(true);
    connector.set_connect_timeout(Some(CONNECT));
    let connector = HttpsConnectorBuilder::new()
        .with_tls_config(client_config(certificate, Some(certificate))?)
        .https_only()
        .enable_http1()
        .wrap_connector(connector);
    Ok(Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE)
        .build(connector))
}

/// Sends the request on and answers what comes back.
pub async fn score(
    deps: Deps,
    call: Call,
    request: Request<Body>,
) -> Result<Response<Body>, Refusal> {
    let service: WebService = get(&deps.client, &call).await?;
    let gateways = deps.gateways.as_ref().ok_or_else(|| {
        Refusal::conflict(
            "the certificates of this installation are kept by somebody else (--certificates external), and gateways \
             have none: call the service at its status.scoringUri",
        )
    })?;
    let pool = gateways.pool()?;
    let request = outbound(&service, &call, request)?;
    let answer = tokio::time::timeout(LIMIT, pool.request(request)).await;
    let answer = answer.map_err(|_| {
        let message = format!(
            "the model has not begun to answer within {LIMIT:?}, which is as long as the cluster's API allows: what takes \
             longer has to call the service at its status.scoringUri"
        );
        Refusal::new(Reason::Timeout, message)
    })?;
    let answer = answer.map_err(|error| refusal(&service, &call, &error))?;
    Ok(inbound(answer))
}

/// The request to the gateways.
fn outbound(
    service: &WebService,
    call: &Call,
    request: Request<Body>,
) -> Result<Request<Body>, Refusal> {
    let (mut head, body) = request.into_parts();
    headers::clean_request(&mut head.headers);
    let subject = HeaderValue::from_str(&subject::encoded(&call.caller.user))
        .map_err(|error| Refusal::internal(error.to_string()))?;
    head.headers.insert(SUBJECT, subject);
    head.uri =
        target(service, call).ok_or_else(|| Refusal::internal("the service's address is none"))?;
    Ok(Request::from_parts(head, body))
}

fn target(service: &WebService, call: &Call) -> Option<Uri> {
    let path = &service.spec.score_path;
    let path = match &call.query {
        Some(query) => format!("{path}?{query}"),
        None => path.clone(),
    };
    let (name, namespace) = (&call.object.name, &call.object.namespace);
    let mut parts = http::uri::Parts::default();
    parts.scheme = Some(Scheme::HTTPS);
    parts.authority = format!("{name}.{namespace}.svc:{INTERNAL_PORT}")
        .parse()
        .ok();
    parts.path_and_query = PathAndQuery::try_from(path).ok();
    Uri::from_parts(parts).ok()
}

fn inbound(answer: Response<Incoming>) -> Response<Body> {
    let (mut head, body) = answer.into_parts();
    headers::clean_response(&mut head.headers);
    Response::from_parts(head, body.map_err(BoxError::from).boxed_unsync())
}

/// What a request that got no answer comes to.
fn refusal(service: &WebService, call: &Call, error: &legacy::Error) -> Refusal {
    let name = &call.object.name;
    if is_of_tls(error) {
        tracing::warn!(
            service = name,
            error = chain(error),
            "a gateway and the operator do not know each other"
        );
        let message = format!(
            "the replicas of webservices.atelier.dev {name:?} and the operator do not know each other's certificates yet"
        );
        return Refusal::unavailable(message, SOON);
    }
    if error.is_connect() {
        let why = service.status.iter().flat_map(|status| &status.conditions);
        let why = why.filter(|c| c.type_ == READY).map(|c| c.message.as_str());
        let why = why.collect::<String>();
        let message =
            format!("no replica of webservices.atelier.dev {name:?} takes requests: {why}");
        return Refusal::unavailable(message, SOON);
    }
    tracing::debug!(
        service = name,
        error = chain(error),
        "a request to a gateway failed"
    );
    Refusal::unavailable(
        format!("the connection to webservices.atelier.dev {name:?} broke before it had answered"),
        SOON,
    )
}

fn causes(error: &legacy::Error) -> impl Iterator<Item = &(dyn Error + 'static)> {
    let error: &(dyn Error + 'static) = error;
    std::iter::successors(Some(error), |error| (*error).source())
}

/// Whether one does not accept the other's certificate.
fn is_of_tls(error: &legacy::Error) -> bool {
    causes(error).any(|cause| {
        // An error of input and output does not count the one that it wraps among its causes.
        let wrapped = cause.downcast_ref::<std::io::Error>();
        let wrapped = wrapped.and_then(std::io::Error::get_ref);
        cause.is::<rustls::Error>() || wrapped.is_some_and(|inner| inner.is::<rustls::Error>())
    })
}

fn chain(error: &legacy::Error) -> String {
    let all: Vec<_> = causes(error).map(ToString::to_string).collect();
    all.join(": ")
}

#[cfg(test)]
#[path = "score/tests.rs"]
mod tests;
