//! One connection: TLS, then HTTP/1.1.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::ServerConfig;
use rustls::pki_types::CertificateDer;
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tracing::debug;

use super::router::App;
use super::{Limits, Phases};

/// Header lines of a request. The API server sends one for each of the caller's groups.
const MAX_HEADERS: usize = 1024;

/// The certificates of a client, its own first.
pub(super) type Chain = Arc<[CertificateDer<'static>]>;

/// What all connections share.
pub(super) struct Listening {
    tls: TlsAcceptor,
    app: Arc<App>,
    limits: Limits,
    places: Arc<Semaphore>,
    strangers: Arc<Semaphore>,
    pub(super) phases: Phases,
}

impl Listening {
    pub(super) fn new(tls: ServerConfig, app: App, limits: Limits, phases: Phases) -> Self {
        let places = |number: usize| Arc::new(Semaphore::new(number.min(Semaphore::MAX_PERMITS)));
        Self {
            tls: TlsAcceptor::from(Arc::new(tls)),
            app: Arc::new(app),
            places: places(limits.connections),
            strangers: places(limits.strangers),
            limits,
            phases,
        }
    }

    /// A place for one more connection.
    pub(super) async fn place(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.places).acquire_owned().await.ok()
    }

    pub(super) async fn serve(&self, stream: TcpStream) {
        // Without it small answers wait for the client's acknowledgement. Fails only on a dead socket.
        let _ = stream.set_nodelay(true);
        let handshake = timeout(self.limits.handshake, self.tls.accept(stream));
        let stream = tokio::select! {
            done = handshake => match done {
                Ok(Ok(stream)) => stream,
                // Whoever opens a port to see whether it is open ends here too.
                Ok(Err(error)) => return debug!(%error, "no TLS"),
                Err(_) => return debug!("no TLS in time"),
            },
            () = self.phases.closing.cancelled() => return,
        };
        let chain: Chain = stream.get_ref().1.peer_certificates().unwrap_or(&[]).into();
        if self.app.front_proxy.vouches(&chain) {
            self.http(stream, chain, self.limits.idle).await;
        } else if let Ok(_place) = self.strangers.try_acquire() {
            self.http(stream, chain, self.limits.stranger_idle).await;
        }
    }

    async fn http(&self, stream: TlsStream<TcpStream>, chain: Chain, idle: Duration) {
        let service = service_fn(move |request| {
            let (app, chain) = (Arc::clone(&self.app), Arc::clone(&chain));
            async move { Ok::<_, Infallible>(app.answer(&chain, request).await) }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .max_headers(MAX_HEADERS)
            // hyper's clock for a header runs while there is none, too.
            .header_read_timeout(idle)
            .serve_connection(TokioIo::new(stream), service);
        let mut connection = std::pin::pin!(connection);
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = self.phases.closing.cancelled() => {
                connection.as_mut().graceful_shutdown();
                tokio::select! {
                    ended = connection.as_mut() => ended,
                    () = self.phases.killed.cancelled() => return,
                }
            }
        };
        if let Err(error) = ended {
            debug!(%error, "a connection failed");
        }
    }
}
