//! The admin port: `/livez`, `/readyz`, `/metrics`.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

/// Connections served at a time; kubelets and scrapers need a handful.
const CONNECTIONS: usize = 32;
const HEADER_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(5);
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What the admin port tells.
pub struct Admin {
    /// All metrics.
    pub registry: Registry,
    /// Cancelled once every store has been filled: from then on a standby can take over at once.
    pub ready: CancellationToken,
}

/// Serves until `stop`.
pub async fn serve(
    address: SocketAddr,
    admin: Arc<Admin>,
    stop: CancellationToken,
) -> std::io::Result<()> {
    let listener = TcpListener::bind(address).await?;
    let slots = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.cancelled() => return Ok(()),
        };
        // A failed accept is the peer's doing; a lack of descriptors passes. Neither ends the server.
        let Ok((stream, _)) = accepted else { continue };
        let (Ok(slot), admin) = (slots.clone().try_acquire_owned(), admin.clone()) else {
            continue;
        };
        tokio::spawn(async move {
            let service = service_fn(move |request| {
                let response = answer(&request, &admin);
                async move { Ok::<_, Infallible>(response) }
            });
            let _ = hyper::server::conn::http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEADER_TIMEOUT)
                .serve_connection(TokioIo::new(stream), service)
                .await;
            drop(slot);
        });
    }
}

fn answer(request: &Request<Incoming>, admin: &Admin) -> Response<Full<Bytes>> {
    match request.uri().path() {
        "/livez" => text(StatusCode::OK, "ok"),
        "/readyz" if admin.ready.is_cancelled() => text(StatusCode::OK, "ok"),
        "/readyz" => text(
            StatusCode::SERVICE_UNAVAILABLE,
            "the first lists from the API server are not complete",
        ),
        "/metrics" => {
            let mut out = String::new();
            match encode(&mut out, &admin.registry) {
                Ok(()) => {
                    let mut response = Response::new(Full::from(out));
                    response.headers_mut().insert(
                        header::CONTENT_TYPE,
                        header::HeaderValue::from_static(OPEN_METRICS),
                    );
                    response
                }
                Err(_) => text(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    "metrics could not be written",
                ),
            }
        }
        _ => text(StatusCode::NOT_FOUND, "try /livez, /readyz or /metrics"),
    }
}

fn text(status: StatusCode, body: &'static str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(body));
    *response.status_mut() = status;
    response
}
