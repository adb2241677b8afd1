//! The listener: TLS, HTTP/1.1, one report after another.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use atelier_pki::{Reloading, server_config};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tracing::debug;

use super::places::{Place, Places};
use super::{Intake, Kind, Refused};

/// How long a handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(5);
/// How long the next request may take to come: longer than an idle gateway is silent.
const NEXT: Duration = Duration::from_secs(30);
/// How long whoever connects may take to show who they are.
const INTRODUCTION: Duration = Duration::from_secs(15);
/// How long a body may take to come.
const BODY: Duration = Duration::from_secs(5);
/// The largest header, in bytes: a token has a good thousand. As little as hyper allows.
const HEADER: usize = 8 * 1024;
/// How long to wait when the system has no file descriptor left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Takes reports until `stop`. Handshakes fail until there is a certificate.
pub async fn serve(
    intake: Arc<Intake>,
    certificate: Arc<Reloading>,
    address: SocketAddr,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let listener = TcpListener::bind(address)
        .await
        .with_context(|| format!("cannot listen at {address} (--intake-listen)"))?;
    let tls = TlsAcceptor::from(Arc::new(server_config(&certificate, None)?));
    let places = Places::default();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.cancelled() => return Ok(()),
        };
        let Ok((stream, peer)) = accepted else {
            sleep(ACCEPT_PAUSE).await;
            continue;
        };
        // Who finds no place comes again.
        let Some(place) = places.stranger(peer.ip()) else {
            continue;
        };
        let connection = Connection {
            intake: intake.clone(),
            places: places.clone(),
            place: Mutex::new(place),
        };
        let (tls, stop) = (tls.clone(), stop.clone());
        tokio::spawn(async move {
            tokio::select! {
                () = connection.serve(tls, stream) => {}
                () = stop.cancelled() => {}
            }
        });
    }
}

/// One connection.
struct Connection {
    intake: Arc<Intake>,
    places: Places,
    place: Mutex<Place>,
}

impl Connection {
    async fn serve(self, tls: TlsAcceptor, stream: TcpStream) {
        // Without it small answers wait for the client's acknowledgement. Fails only on a dead socket.
        let _ = stream.set_nodelay(true);
        let stream = match timeout(HANDSHAKE, tls.accept(stream)).await {
            Ok(Ok(stream)) => Box::new(stream),
            Ok(Err(error)) => return debug!(%error, "no TLS"),
            Err(_) => return debug!("no TLS in time"),
        };
        let this = Arc::new(self);
        let serving = this.clone();
        let service = service_fn(move |request| {
            let this = serving.clone();
            async move { Ok::<_, Infallible>(this.answer(request).await) }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(NEXT)
            .max_buf_size(HEADER)
            .serve_connection(TokioIo::new(stream), service);
        let mut connection = std::pin::pin!(connection);
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = sleep(INTRODUCTION) => match this.is_strangers() {
                true => return debug!("nobody has shown who they are"),
                false => connection.await,
            },
        };
        if let Err(error) = ended {
            debug!(%error, "a connection of a gateway failed");
        }
    }

    fn is_strangers(&self) -> bool {
        let place = self.place.lock().unwrap_or_else(PoisonError::into_inner);
        place.is_strangers()
    }

    async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let answered = self.report(request).await;
        let metrics = &self.intake.metrics;
        metrics.reported(answered.as_ref().map_or_else(Refused::label, |()| "taken"));
        let mut response = Response::new(Full::default());
        match answered {
            Ok(()) => *response.status_mut() = StatusCode::NO_CONTENT,
            Err(refused) => {
                *response.status_mut() = refused.status();
                let headers = response.headers_mut();
                if let Some(wait) = refused.retry_after() {
                    headers.insert(header::RETRY_AFTER, wait.as_secs().into());
                }
                // The rest of what was sent is not read.
                let close = HeaderValue::from_static("close");
                headers.insert(header::CONNECTION, close);
                *response.body_mut() = Full::from(refused.sentence());
            }
        }
        response
    }

    async fn report(&self, request: Request<Incoming>) -> Result<(), Refused> {
        let kind = Kind::of(request.uri().path()).ok_or(Refused::NotFound)?;
        if request.method() != Method::POST {
            return Err(Refused::Method);
        }
        let token = bearer(request.headers()).ok_or(Refused::Token)?;
        let reporter = self.intake.recognise(kind, token).await?;
        self.is_of(&reporter.uid)?;
        let _turn = self.intake.turn(kind, &reporter)?;
        let body = Limited::new(request.into_body(), kind.longest());
        let body = timeout(BODY, body.collect()).await;
        let body = body.map_err(|_| Refused::Malformed)?;
        let body = body.map_err(|_| Refused::TooLong)?.to_bytes();
        self.intake.take(kind, &reporter, body).await
    }

    /// From now on the connection is this pod's.
    fn is_of(&self, uid: &str) -> Result<(), Refused> {
        let mut place = self.place.lock().unwrap_or_else(PoisonError::into_inner);
        if !place.is_of(uid) {
            *place = self.places.pod(uid).ok_or(Refused::TooOften)?;
        }
        Ok(())
    }
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let mut all = headers.get_all(header::AUTHORIZATION).into_iter();
    let (value, None) = (all.next()?, all.next()) else {
        return None;
    };
    value.to_str().ok()?.strip_prefix("Bearer ")
}
