//! What is spoken on a connection, and how it ends.

use std::{convert::Infallible, future::pending, pin::Pin, sync::Arc, time::Duration};

use http::{Request, Response};
use hyper::{
    body::Incoming,
    server::conn::{http1, http2},
    service::service_fn,
};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::graceful::GracefulConnection,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::watch,
    time::timeout,
};

use crate::{
    body::ReplyBody,
    lifecycle::Lifecycle,
    server::{Handler, Peer, ServerLimits},
};

/// More header lines than this are refused, as are more bytes than configured.
const MAX_HEADERS: usize = 100;

/// hyper takes no smaller buffer.
const LEAST_BUFFER: usize = 8192;

/// How HTTP/2 is called where the protocol is agreed upon with TLS.
pub const H2: &[u8] = b"h2";

/// How HTTP/1.1 is called there.
pub const HTTP_1_1: &[u8] = b"http/1.1";

/// Requests at once on one connection of HTTP/2. What browsers and proxies expect at least.
const STREAMS: u32 = 100;

/// What one stream of HTTP/2 may send before it was read, and what is held of an answer that is not read.
const WINDOW: u32 = 64 * 1024;

/// How often a client of HTTP/2 is asked for a sign of life, and how long it may take over it.
const PING: Duration = Duration::from_secs(30);
const PONG: Duration = Duration::from_secs(20);

/// What a listener speaks.
#[derive(Clone)]
pub struct Protocols {
    http1: http1::Builder,
    http2: http2::Builder<TokioExecutor>,
    idle: Duration,
}

impl Protocols {
    /// Within these limits.
    #[must_use]
    pub fn new(limits: ServerLimits) -> Self {
        let mut http1 = http1::Builder::new();
        http1
            .timer(TokioTimer::new())
            .header_read_timeout(limits.header_timeout)
            .max_headers(MAX_HEADERS)
            .max_header_size(limits.header_bytes)
            // The header must fit with room for the body that follows it in the same read.
            .max_buf_size((limits.header_bytes * 2).max(LEAST_BUFFER));
        let mut http2 = http2::Builder::new(TokioExecutor::new());
        http2
            .timer(TokioTimer::new())
            .max_concurrent_streams(STREAMS)
            .initial_stream_window_size(WINDOW)
            .initial_connection_window_size(WINDOW * 16)
            .max_send_buf_size(WINDOW as usize)
            // What is larger than allowed is to be read, and refused with a record of it; what is much larger is not.
            .max_header_list_size(u32::try_from(limits.header_bytes * 2).unwrap_or(u32::MAX))
            .keep_alive_interval(PING)
            .keep_alive_timeout(PONG);
        Self {
            http1,
            http2,
            idle: limits.header_timeout,
        }
    }
}

/// One connection and whom it serves.
pub struct Connection<'a, H, S> {
    /// What the listener speaks.
    pub protocols: &'a Protocols,
    /// The bytes.
    pub stream: S,
    /// The certificates that the client has shown.
    pub peer: Option<Peer>,
    /// When to end.
    pub lifecycle: &'a Lifecycle,
    /// What answers.
    pub handler: Arc<H>,
}

impl<H: Handler, S: AsyncRead + AsyncWrite + Unpin + Send + 'static> Connection<'_, H, S> {
    /// Serves HTTP/1.1 to the end.
    pub async fn http1(self) {
        let handler = Arc::clone(&self.handler);
        let peer = self.peer;
        let service = service_fn(move |request: Request<Incoming>| {
            answer(Arc::clone(&handler), peer.clone(), request)
        });
        let stream = TokioIo::new(self.stream);
        let connection = Box::pin(self.protocols.http1.serve_connection(stream, service));
        // While draining, each answer says that it is the connection's last.
        drive(connection, pending(), self.lifecycle, &*self.handler).await;
    }

    /// Serves HTTP/2 to the end, or until nobody has asked for anything for as long as a header may take.
    pub async fn http2(self) {
        let (handler, activity) = (Arc::clone(&self.handler), Activity::default());
        let (peer, busy) = (self.peer, activity.clone());
        let service = service_fn(move |request: Request<Incoming>| {
            let answer = answer(Arc::clone(&handler), peer.clone(), request);
            let busy = busy.begin();
            async move {
                let answer = answer.await;
                drop(busy);
                answer
            }
        });
        let stream = TokioIo::new(self.stream);
        let connection = Box::pin(self.protocols.http2.serve_connection(stream, service));
        let stop = async {
            tokio::select! {
                () = activity.idle(self.protocols.idle) => {}
                // An answer cannot say it: the connection does.
                () = self.lifecycle.draining_begins() => {}
            }
        };
        drive(connection, stop, self.lifecycle, &*self.handler).await;
    }
}

async fn answer<H: Handler>(
    handler: Arc<H>,
    peer: Option<Peer>,
    mut request: Request<Incoming>,
) -> Result<Response<ReplyBody>, Infallible> {
    if let Some(peer) = peer {
        request.extensions_mut().insert(peer);
    }
    // Room for it only while it lasts: it is several times as large as a connection.
    Ok(Box::pin(handler.handle(request)).await)
}

/// Serves until the connection ends; after `stop` and while the lifecycle closes it finishes what it has.
///
/// The connection is in a box because a future has room for each place where a value has been.
async fn drive<C: GracefulConnection<Error = hyper::Error>>(
    mut connection: Pin<Box<C>>,
    stop: impl Future<Output = ()>,
    lifecycle: &Lifecycle,
    handler: &impl Handler,
) {
    let ended = tokio::select! {
        biased;
        ended = connection.as_mut() => Some(ended),
        // Before it is killed, it closes.
        () = lifecycle.closing() => None,
        () = stop => None,
    };
    let ended = match ended {
        Some(ended) => ended,
        None => {
            connection.as_mut().graceful_shutdown();
            tokio::select! {
                biased;
                () = lifecycle.killed() => return,
                ended = connection => ended,
            }
        }
    };
    if let Err(error) = ended {
        handler.failed(&error);
    }
}

/// How many requests a connection is busy with.
#[derive(Clone)]
struct Activity(watch::Sender<usize>);

impl Default for Activity {
    fn default() -> Self {
        Self(watch::Sender::new(0))
    }
}

impl Activity {
    fn begin(&self) -> Busy {
        self.0.send_modify(|requests| *requests += 1);
        Busy(self.0.clone())
    }

    /// Waits until nothing was asked for so long.
    async fn idle(&self, time: Duration) {
        let mut requests = self.0.subscribe();
        // The sender is `self`, so it cannot be gone.
        while requests.wait_for(|requests| *requests == 0).await.is_ok() {
            if timeout(time, requests.changed()).await.is_err() {
                return;
            }
        }
    }
}

/// A request that is being answered.
struct Busy(watch::Sender<usize>);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.send_modify(|requests| *requests -= 1);
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use super::*;

    #[tokio::test]
    async fn a_connection_is_idle_when_nothing_is_asked_and_never_while_something_is() {
        let activity = Activity::default();
        let (busy, other) = (activity.begin(), activity.begin());
        let mut idle = pin!(activity.idle(Duration::from_millis(1)));
        assert!(futures::poll!(&mut idle).is_pending());
        drop(busy);
        assert!(
            timeout(Duration::from_millis(50), &mut idle).await.is_err(),
            "another request is not answered yet"
        );
        drop(other);
        let patience = Duration::from_secs(20);
        assert!(timeout(patience, idle).await.is_ok());
    }
}
