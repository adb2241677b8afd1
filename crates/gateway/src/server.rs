//! Listening: accepts connections, agrees on what is spoken on them, and lets them finish at the end.

use std::{num::NonZeroUsize, sync::Arc, time::Duration};

use http::{Request, Response};
use hyper::body::Incoming;
use rustls::pki_types::CertificateDer;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    time::{sleep, timeout},
};
use tokio_rustls::TlsAcceptor;
use tokio_util::task::TaskTracker;

use crate::{
    body::ReplyBody,
    connection::{Connection, H2, Protocols},
    lifecycle::Lifecycle,
};

/// How long to wait when the system has no file descriptor left for a connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// How long a client may take over the handshake of TLS.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// The certificates that a client has shown, among a request's extensions.
#[derive(Clone, Debug)]
pub struct Peer(pub Arc<[CertificateDer<'static>]>);

/// What a listener allows its clients.
#[derive(Clone, Copy, Debug)]
pub struct ServerLimits {
    /// Open connections. More wait in the kernel's backlog.
    pub connections: NonZeroUsize,
    /// Time for the next complete request header.
    pub header_timeout: Duration,
    /// Size of a request header with its request line, in bytes.
    pub header_bytes: usize,
}

/// What answers the requests of a listener.
pub trait Handler: Send + Sync + 'static {
    /// Answers a request.
    fn handle(
        &self,
        request: Request<Incoming>,
    ) -> impl Future<Output = Response<ReplyBody>> + Send;

    /// Hears of a connection that failed, most often on a request that is no HTTP.
    fn failed(&self, error: &hyper::Error);
}

/// Serves, over TLS if there is an acceptor, until the lifecycle closes and the last connection has ended.
///
/// HTTP/2 is spoken where it was agreed upon with TLS, and nowhere else.
pub async fn serve<H: Handler>(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    limits: ServerLimits,
    lifecycle: Lifecycle,
    handler: Arc<H>,
) {
    let protocols = Arc::new(Protocols::new(limits));
    let free = Arc::new(Semaphore::new(
        limits.connections.get().min(Semaphore::MAX_PERMITS),
    ));
    let connections = TaskTracker::new();
    loop {
        let accepted = tokio::select! {
            () = lifecycle.closing() => break,
            accepted = accept(&listener, &free) => accepted,
        };
        let Some((stream, place)) = accepted else {
            continue;
        };
        let (protocols, lifecycle) = (Arc::clone(&protocols), lifecycle.clone());
        let (handler, tls) = (Arc::clone(&handler), tls.clone());
        connections.spawn(async move {
            // Without it small answers wait for the client's acknowledgement. Fails only on a dead socket.
            let _ = stream.set_nodelay(true);
            match tls {
                None => {
                    let connection = Connection {
                        protocols: &protocols,
                        stream,
                        peer: None,
                        lifecycle: &lifecycle,
                        handler,
                    };
                    connection.http1().await;
                }
                // In a box: others need no room for it.
                Some(tls) => {
                    Box::pin(secured(&protocols, &tls, stream, &lifecycle, handler)).await;
                }
            }
            drop(place);
        });
    }
    drop(listener);
    connections.close();
    connections.wait().await;
}

async fn accept(
    listener: &TcpListener,
    free: &Arc<Semaphore>,
) -> Option<(TcpStream, tokio::sync::OwnedSemaphorePermit)> {
    let place = Arc::clone(free).acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, _peer)) => Some((stream, place)),
        Err(error) => {
            tracing::warn!(%error, "cannot accept a connection");
            sleep(ACCEPT_PAUSE).await;
            None
        }
    }
}

async fn secured<H: Handler>(
    protocols: &Protocols,
    tls: &TlsAcceptor,
    stream: TcpStream,
    lifecycle: &Lifecycle,
    handler: Arc<H>,
) {
    let shaken = tokio::select! {
        shaken = Box::pin(timeout(HANDSHAKE, tls.accept(stream))) => shaken,
        () = lifecycle.closing() => return,
    };
    match shaken {
        Ok(Ok(stream)) => {
            let session = stream.get_ref().1;
            let is_http2 = session.alpn_protocol() == Some(H2);
            // Only who was asked for certificates has shown any.
            let shown = session.peer_certificates();
            let peer = shown.map(|shown| {
                let shown = shown.iter().cloned().map(CertificateDer::into_owned);
                Peer(shown.collect())
            });
            let connection = Connection {
                protocols,
                stream: Box::new(stream),
                peer,
                lifecycle,
                handler,
            };
            match is_http2 {
                true => connection.http2().await,
                false => connection.http1().await,
            }
        }
        Ok(Err(error)) => tracing::debug!(%error, "a client was not let in"),
        Err(_elapsed) => tracing::debug!("a client took too long over the handshake"),
    }
}
