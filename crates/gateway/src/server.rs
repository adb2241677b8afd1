//! Listening: accepts connections, speaks HTTP/1.1 on them, and lets them finish at the end.

use std::{convert::Infallible, num::NonZeroUsize, sync::Arc, time::Duration};

use http::{Request, Response};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::pki_types::CertificateDer;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    time::{sleep, timeout},
};
use tokio_rustls::TlsAcceptor;
use tokio_util::task::TaskTracker;

use crate::{body::ReplyBody, lifecycle::Lifecycle};

/// More header lines than this are refused, as are more bytes than configured.
const MAX_HEADERS: usize = 100;

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
pub async fn serve<H: Handler>(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    limits: ServerLimits,
    lifecycle: Lifecycle,
    handler: Arc<H>,
) {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(limits.header_timeout)
        .max_headers(MAX_HEADERS)
        .max_header_size(limits.header_bytes)
        // The header must fit with room for the body that follows it in the same read.
        .max_buf_size(limits.header_bytes * 2);
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
        let (http, lifecycle, handler) = (http.clone(), lifecycle.clone(), Arc::clone(&handler));
        let tls = tls.clone();
        connections.spawn(async move {
            // Without it small answers wait for the client's acknowledgement. Fails only on a dead socket.
            let _ = stream.set_nodelay(true);
            match tls {
                None => connection(&http, stream, None, &lifecycle, handler).await,
                Some(tls) => secured(&http, &tls, stream, &lifecycle, handler).await,
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
    http: &http1::Builder,
    tls: &TlsAcceptor,
    stream: TcpStream,
    lifecycle: &Lifecycle,
    handler: Arc<H>,
) {
    let shaken = tokio::select! {
        shaken = timeout(HANDSHAKE, tls.accept(stream)) => shaken,
        () = lifecycle.closing() => return,
    };
    match shaken {
        Ok(Ok(stream)) => {
            let shown = stream.get_ref().1.peer_certificates().unwrap_or_default();
            let shown = shown.iter().cloned().map(CertificateDer::into_owned);
            let peer = Peer(shown.collect());
            connection(http, stream, Some(peer), lifecycle, handler).await;
        }
        Ok(Err(error)) => tracing::debug!(%error, "a client was not let in"),
        Err(_elapsed) => tracing::debug!("a client took too long over the handshake"),
    }
}

async fn connection<H: Handler>(
    http: &http1::Builder,
    stream: impl AsyncRead + AsyncWrite + Unpin,
    peer: Option<Peer>,
    lifecycle: &Lifecycle,
    handler: Arc<H>,
) {
    let service = {
        let handler = Arc::clone(&handler);
        service_fn(move |mut request: Request<Incoming>| {
            let handler = Arc::clone(&handler);
            if let Some(peer) = &peer {
                request.extensions_mut().insert(peer.clone());
            }
            async move { Ok::<_, Infallible>(handler.handle(request).await) }
        })
    };
    let mut connection = std::pin::pin!(http.serve_connection(TokioIo::new(stream), service));
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = lifecycle.killed() => return,
        () = lifecycle.closing() => {
            connection.as_mut().graceful_shutdown();
            tokio::select! {
                ended = connection.as_mut() => ended,
                () = lifecycle.killed() => return,
            }
        }
    };
    if let Err(error) = ended {
        handler.failed(&error);
    }
}
