//! The connection to the model.

use std::{net::SocketAddr, time::Duration};

use http::{
    HeaderMap, HeaderValue, Method, Request, Response, Uri,
    header::TRANSFER_ENCODING,
    uri::{Authority, PathAndQuery, Scheme},
};
use hyper::body::{Body as _, Incoming};
use hyper_util::{
    client::legacy::{Client, Error, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use tokio::{net::TcpStream, time::timeout};

use crate::{
    authn::Permit,
    body::{BodyError, RequestBody},
    respond::Refusal,
};

/// On loopback a connection stands in microseconds, or the model's backlog is full.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// How long an unused connection is kept. Less than model servers keep theirs (gunicorn 2 s,
/// uvicorn 5 s): a request must not meet a connection that is just being closed.
const POOL_IDLE: Duration = Duration::from_secs(1);

/// The largest response header, in bytes, and the most that is read ahead of the client.
const READ_BUFFER: usize = 64 * 1024;

/// The header with which the model says, under any status, that its function failed.
const RUN_FUNCTION_FAILED: &str = "x-ms-run-function-failed";

/// The model server.
#[derive(Clone, Debug)]
pub struct Model {
    address: SocketAddr,
    authority: Authority,
    client: Client<HttpConnector, RequestBody>,
}

impl Model {
    /// The model at a loopback address. Opens no connection yet.
    ///
    /// # Errors
    /// None in practice: every socket address is an authority.
    pub fn new(address: SocketAddr) -> Result<Self, http::uri::InvalidUri> {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(POOL_IDLE)
            .http1_max_buf_size(READ_BUFFER)
            // The client's Host goes through; hyper sets one only where HTTP/1.0 had none.
            .set_host(true)
            // Only what was never begun to be sent is sent again.
            .retry_canceled_requests(true)
            .build(connector);
        Ok(Self {
            address,
            authority: address.to_string().parse()?,
            client,
        })
    }

    /// Whether the model accepts connections.
    pub async fn accepts_connections(&self) -> bool {
        matches!(
            timeout(CONNECT_TIMEOUT, TcpStream::connect(self.address)).await,
            Ok(Ok(_))
        )
    }

    /// Sends a request that may pass, to the path and query the client asked for.
    ///
    /// # Errors
    /// What [`Refusal`] a model that fails, and a body that fails on its way, come to.
    pub async fn send(
        &self,
        _permit: Permit,
        method: Method,
        target: &Uri,
        headers: HeaderMap,
        body: RequestBody,
    ) -> Result<Response<Incoming>, Refusal> {
        let mut request = Request::new(body);
        *request.method_mut() = method;
        *request.uri_mut() = self.uri(target).ok_or(Refusal::Malformed)?;
        *request.headers_mut() = headers;
        if request.body().size_hint().exact().is_none() {
            // hyper would take GET for a request without a body, and drop what it has.
            let chunked = HeaderValue::from_static("chunked");
            request.headers_mut().insert(TRANSFER_ENCODING, chunked);
        }
        let response = self
            .client
            .request(request)
            .await
            .map_err(|error| refusal(&error))?;
        if response.status().is_informational() || run_function_failed(response.headers()) {
            return Err(Refusal::ModelFailed);
        }
        Ok(response)
    }

    fn uri(&self, target: &Uri) -> Option<Uri> {
        let mut parts = http::uri::Parts::default();
        parts.scheme = Some(Scheme::HTTP);
        parts.authority = Some(self.authority.clone());
        parts.path_and_query = target
            .path_and_query()
            .cloned()
            .or(Some(PathAndQuery::from_static("/")));
        Uri::from_parts(parts).ok()
    }
}

fn run_function_failed(headers: &HeaderMap) -> bool {
    headers
        .get_all(RUN_FUNCTION_FAILED)
        .iter()
        .any(|value| value.as_bytes().eq_ignore_ascii_case(b"true"))
}

/// Says whose fault an error is.
fn refusal(error: &Error) -> Refusal {
    match body_error(error) {
        Some(BodyError::TooLarge) => Refusal::BodyTooLarge,
        Some(BodyError::Client) => Refusal::Malformed,
        _ if error.is_connect() => Refusal::ModelUnreachable,
        _ => Refusal::ModelFailed,
    }
}

fn body_error(error: &Error) -> Option<BodyError> {
    let mut source = std::error::Error::source(error);
    while let Some(error) = source {
        if let Some(error) = error.downcast_ref::<BodyError>() {
            return Some(*error);
        }
        source = error.source();
    }
    None
}
