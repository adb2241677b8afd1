//! The model, and what is said to it.

mod answer;
mod pool;

use std::{future::poll_fn, net::SocketAddr, pin::pin, sync::Arc};

use http::{
    HeaderMap, HeaderValue, Method, Request, Response, Uri,
    header::{HOST, TRANSFER_ENCODING},
    uri::PathAndQuery,
};
use hyper::body::Body as _;

use crate::{
    authn::Permit,
    body::{BodyError, RequestBody},
    respond::Refusal,
};
pub use answer::ModelBody;
use pool::{Pool, advance};

/// The header with which the model says, under any status, that its function failed.
const RUN_FUNCTION_FAILED: &str = "x-ms-run-function-failed";

/// The model server.
#[derive(Clone, Debug)]
pub struct Model {
    host: HeaderValue,
    pool: Arc<Pool>,
}

impl Model {
    /// The model at a loopback address. Opens no connection yet.
    ///
    /// # Errors
    /// None in practice: every socket address can be a header's value.
    pub fn new(address: SocketAddr) -> Result<Self, http::header::InvalidHeaderValue> {
        Ok(Self {
            host: address.to_string().parse()?,
            pool: Arc::new(Pool::new(address)),
        })
    }

    /// Whether the model accepts connections.
    pub async fn accepts_connections(&self) -> bool {
        self.pool.connect().await.is_ok()
    }

    /// Closes connections that have rested for too long. Does not end.
    pub async fn tidy(self) {
        self.pool.tidy().await;
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
    ) -> Result<Response<ModelBody>, Refusal> {
        let mut request = Request::new(body);
        *request.method_mut() = method;
        *request.uri_mut() = path_of(target).ok_or(Refusal::Malformed)?;
        *request.headers_mut() = headers;
        // The client's goes through. HTTP/1.0 need not have one.
        if !request.headers().contains_key(HOST) {
            request.headers_mut().insert(HOST, self.host.clone());
        }
        if request.body().size_hint().exact().is_none() {
            // hyper would take GET for a request without a body, and drop what it has.
            let chunked = HeaderValue::from_static("chunked");
            request.headers_mut().insert(TRANSFER_ENCODING, chunked);
        }
        let response = self.exchange(request).await?;
        if response.status().is_informational() || run_function_failed(response.headers()) {
            return Err(Refusal::ModelFailed);
        }
        Ok(response)
    }

    async fn exchange(
        &self,
        mut request: Request<RequestBody>,
    ) -> Result<Response<ModelBody>, Refusal> {
        let passed = request.body().passed();
        loop {
            let taken = self.pool.take().await;
            let mut link = taken.map_err(|_| Refusal::ModelUnreachable)?;
            let was_used = link.was_used;
            let mut answer = pin!(link.requests.try_send_request(request));
            let mut link = Some(link);
            let answer = poll_fn(|cx| {
                // Of one that has ended, whoever waits for its answer hears.
                advance(&mut link, cx);
                answer.as_mut().poll(cx)
            });
            match answer.await {
                Ok(response) => {
                    if !passed.is_over() && link.is_some() {
                        // The model answers before it has heard all. What is still said does not wait for the client to
                        // read.
                        tokio::spawn(Arc::clone(&self.pool).finish(link.take()));
                    }
                    return Ok(response.map(|incoming| ModelBody::new(incoming, link, &self.pool)));
                }
                // Only what was never begun to be sent is sent again, and only where the connection had rested: a model that
                // closes a new one does so with the next.
                Err(mut error) => match error.take_message() {
                    Some(unsent) if was_used => request = unsent,
                    _ => return Err(refusal(&error.into_error())),
                },
            }
        }
    }
}

/// What is asked for, as the server itself is asked.
fn path_of(target: &Uri) -> Option<Uri> {
    let mut parts = http::uri::Parts::default();
    let root = || PathAndQuery::from_static("/");
    parts.path_and_query = Some(target.path_and_query().cloned().unwrap_or_else(root));
    Uri::from_parts(parts).ok()
}

fn run_function_failed(headers: &HeaderMap) -> bool {
    headers
        .get_all(RUN_FUNCTION_FAILED)
        .iter()
        .any(|value| value.as_bytes().eq_ignore_ascii_case(b"true"))
}

/// Says whose fault an error is.
fn refusal(error: &hyper::Error) -> Refusal {
    match body_error(error) {
        Some(BodyError::TooLarge) => Refusal::BodyTooLarge,
        Some(BodyError::Client) => Refusal::Malformed,
        _ => Refusal::ModelFailed,
    }
}

fn body_error(error: &hyper::Error) -> Option<BodyError> {
    let mut source = std::error::Error::source(error);
    while let Some(error) = source {
        if let Some(error) = error.downcast_ref::<BodyError>() {
            return Some(*error);
        }
        source = error.source();
    }
    None
}
