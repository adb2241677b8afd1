//! What is spoken on a connection, and how it ends.

mod rest;

use std::{convert::Infallible, future::poll_fn, pin::Pin, sync::Arc, task::Poll, time::Duration};

use bytes::Bytes;
use futures::poll;
use http::{Request, Response};
use hyper::{
    body::Incoming,
    server::conn::{http1, http2},
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    sync::watch,
    time::{sleep, timeout},
};

use crate::{
    body::ReplyBody,
    lifecycle::Lifecycle,
    server::{Handler, Peer, ServerLimits},
};
use rest::{Exchange, Told};

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

/// How often it is looked at whether a connection rests: a client that asks again and again does not pay for buffers each
/// time.
const LOOK: Duration = Duration::from_secs(1);

/// How long a client that was told nothing more may take to hear that this is the end.
const GOODBYE: Duration = Duration::from_secs(1);

/// How often a client of HTTP/2 is asked for a sign of life, and how long it may take over it.
const PING: Duration = Duration::from_secs(30);
const PONG: Duration = Duration::from_secs(20);

/// What a listener speaks.
#[derive(Clone)]
pub struct Protocols {
    http1: http1::Builder,
    http2: http2::Builder<TokioExecutor>,
    idle: Duration,
    look: Duration,
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
            look: LOOK,
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
        let Self {
            protocols,
            mut stream,
            peer,
            lifecycle,
            handler,
        } = self;
        let mut said = Bytes::new();
        loop {
            if said.is_empty() {
                match first_byte(&mut stream, protocols.idle, lifecycle).await {
                    Some(byte) => said = byte,
                    None => break,
                }
            }
            let service = Http1 {
                handler: Arc::clone(&handler),
                peer: peer.clone(),
                exchange: Exchange::default(),
            };
            // In a box, as is all that is not needed while it rests.
            let busy = service.serve(protocols, stream, said, lifecycle);
            match Box::pin(busy).await {
                Some(rests) => (stream, said) = rests,
                None => return,
            }
        }
        // The end of TLS is to be said. Who has gone does not wait for it.
        let _ = timeout(GOODBYE, stream.shutdown()).await;
    }

    /// Serves HTTP/2 to the end, or until nobody has asked for anything for as long as a header may take.
    pub async fn http2(self) {
        let (handler, activity) = (Arc::clone(&self.handler), Activity::default());
        let (peer, busy) = (self.peer, activity.clone());
        let service = service_fn(move |request: Request<Incoming>| {
            let answer = answer(Arc::clone(&handler), peer.clone(), request);
            let busy = busy.begin();
            Box::pin(async move {
                let answer = answer.await;
                drop(busy);
                answer
            })
        });
        let stream = TokioIo::new(self.stream);
        // In a box: a future has room for each place where a value has been.
        let mut connection = Box::pin(self.protocols.http2.serve_connection(stream, service));
        tokio::select! {
            biased;
            ended = connection.as_mut() => return told(ended, &*self.handler),
            () = self.lifecycle.closing() => {}
            () = activity.idle(self.protocols.idle) => {}
            // An answer cannot say it: the connection does.
            () = self.lifecycle.draining_begins() => {}
        }
        connection.as_mut().graceful_shutdown();
        finish(connection, self.lifecycle, &*self.handler).await;
    }
}

/// What answers on a connection of HTTP/1.1 from its first byte until it rests.
struct Http1<H> {
    handler: Arc<H>,
    peer: Option<Peer>,
    exchange: Exchange,
}

impl<H: Handler> Http1<H> {
    /// Serves until the connection ends, or rests: then it is given back, with what came as it was taken.
    async fn serve<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
        self,
        protocols: &Protocols,
        stream: S,
        said: Bytes,
        lifecycle: &Lifecycle,
    ) -> Option<(S, Bytes)> {
        let (handler, exchange) = (Arc::clone(&self.handler), self.exchange.clone());
        let service = service_fn(move |request: Request<Incoming>| {
            self.exchange.begins();
            let exchange = self.exchange.clone();
            let answer = answer(Arc::clone(&self.handler), self.peer.clone(), request);
            // Room for it only while it lasts: it is several times as large as a connection.
            Box::pin(async move {
                answer
                    .await
                    .map(|answer| answer.map(|body| exchange.until(body)))
            })
        });
        let stream = TokioIo::new(Told::new(stream, said, exchange.clone()));
        let mut connection = protocols.http1.serve_connection(stream, service);
        let rests = tokio::select! {
            biased;
            ended = &mut connection => {
                told(ended, &*handler);
                return None;
            }
            // While draining, each answer says that it is the connection's last. Before it is killed, it closes.
            () = lifecycle.closing() => false,
            () = exchange.comes_to_rest(protocols.look) => true,
        };
        // Of a connection that rests this is the end, as far as hyper is concerned.
        Pin::new(&mut connection).graceful_shutdown();
        if rests
            && let Poll::Ready(ended) = poll!(poll_fn(|cx| connection.poll_without_shutdown(cx)))
        {
            if let Err(error) = ended {
                handler.failed(&error);
                return None;
            }
            let parts = connection.into_parts();
            let (stream, unread) = parts.io.into_inner().into_parts();
            return Some((stream, rest_of(&parts.read_buf, &unread)));
        }
        finish(connection, lifecycle, &*handler).await;
        None
    }
}

/// What was said and not answered. A copy: it is short, most often nothing, and what it was read into is long.
fn rest_of(read: &[u8], unread: &[u8]) -> Bytes {
    Bytes::from([read, unread].concat())
}

/// Waits for the client to say something. None if it does not, in this time: then, and at the end of the lifecycle, the
/// connection is over. Only with it anything is made: most connections that a client opens in advance are never used.
async fn first_byte<S: AsyncRead + Unpin>(
    stream: &mut S,
    limit: Duration,
    lifecycle: &Lifecycle,
) -> Option<Bytes> {
    let mut byte = [0];
    tokio::select! {
        biased;
        read = stream.read(&mut byte) => (read.ok()? == 1).then(|| Bytes::copy_from_slice(&byte)),
        () = lifecycle.closing() => None,
        () = sleep(limit) => None,
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
    Ok(handler.handle(request).await)
}

/// Lets a connection finish what it has, until it is killed.
async fn finish<C: Future<Output = hyper::Result<()>> + Unpin>(
    connection: C,
    lifecycle: &Lifecycle,
    handler: &impl Handler,
) {
    tokio::select! {
        biased;
        () = lifecycle.killed() => {}
        ended = connection => told(ended, handler),
    }
}

fn told(ended: hyper::Result<()>, handler: &impl Handler) {
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
    use std::{num::NonZeroUsize, pin::pin};

    use atelier_testkit::wait::eventually;
    use tokio::io::{DuplexStream, duplex};

    use super::*;

    const LIMITS: ServerLimits = ServerLimits {
        connections: NonZeroUsize::MIN,
        header_timeout: Duration::from_secs(1),
        header_bytes: 1024,
    };
    const SOON: Duration = Duration::from_millis(5);
    const PATIENCE: Duration = Duration::from_secs(20);
    const ASK: &[u8] = b"GET / HTTP/1.1\r\nhost: model\r\n\r\n";

    /// Answers with so many bytes.
    struct Bytewise(usize);

    impl Handler for Bytewise {
        async fn handle(&self, _: Request<Incoming>) -> Response<ReplyBody> {
            Response::new(ReplyBody::unrecorded(vec![b'.'; self.0].into()))
        }

        fn failed(&self, _: &hyper::Error) {}
    }

    struct Client {
        stream: DuplexStream,
        handler: Arc<Bytewise>,
    }

    impl Client {
        /// One whose connection is served, with answers of so many bytes.
        fn new(answer: usize) -> Self {
            let handler = Arc::new(Bytewise(answer));
            let (client, stream) = duplex(4096);
            let served = Arc::clone(&handler);
            tokio::spawn(async move {
                let connection = Connection {
                    protocols: &Protocols {
                        look: SOON,
                        ..Protocols::new(LIMITS)
                    },
                    stream,
                    peer: None,
                    lifecycle: &Lifecycle::default(),
                    handler: served,
                };
                connection.http1().await;
            });
            Self {
                stream: client,
                handler,
            }
        }

        async fn says(&mut self, what: &[u8]) {
            self.stream.write_all(what).await.unwrap();
        }

        /// Reads an answer, some of it, then nothing for a while, and so on.
        async fn is_answered(&mut self, pause: Duration) {
            let (mut room, mut said) = ([0; 4096], vec![]);
            let body = vec![b'.'; self.handler.0];
            while !said.ends_with(&body) {
                let read = self.stream.read(&mut room).await.unwrap();
                assert_ne!(read, 0, "it ended with {}", String::from_utf8_lossy(&said));
                said.extend(&room[..read]);
                sleep(pause).await;
            }
            assert!(said.starts_with(b"HTTP/1.1 200 OK\r\n"));
        }

        /// Besides us and the connection nobody knows then what answers.
        async fn is_not_thought_of(&self) {
            let rests = async || match Arc::strong_count(&self.handler) {
                2 => Ok(()),
                others => Err(format!("{others} know")),
            };
            eventually(PATIENCE, "the connection rests", rests).await;
        }
    }

    #[tokio::test]
    async fn a_connection_rests_between_its_requests_and_answers_as_ever() {
        let mut client = Client::new(9);
        for _ in 0..3 {
            client.is_not_thought_of().await;
            // In two pieces, the first of which wakes it.
            client.says(&ASK[..5]).await;
            client.says(&ASK[5..]).await;
            client.is_answered(Duration::ZERO).await;
            client.is_not_thought_of().await;
            client.says(&[ASK, ASK].concat()).await;
            client.is_answered(Duration::ZERO).await;
        }
        let end = timeout(PATIENCE, client.stream.read(&mut [0])).await;
        assert_eq!(end.unwrap().unwrap(), 0, "it was silent for long");
    }

    #[tokio::test]
    async fn an_answer_that_is_read_slowly_is_whole() {
        let mut client = Client::new(64 * 1024);
        for _ in 0..2 {
            client.says(ASK).await;
            client.is_answered(SOON * 4).await;
            client.is_not_thought_of().await;
        }
    }

    #[tokio::test]
    async fn a_header_has_its_time_however_slowly_it_comes() {
        let mut client = Client::new(9);
        client.says(ASK).await;
        client.is_answered(Duration::ZERO).await;
        client.is_not_thought_of().await;
        let slowly = async {
            while client.stream.write_all(b"G").await.is_ok() {
                sleep(SOON * 4).await;
            }
        };
        timeout(PATIENCE, slowly).await.expect("it is let go");
    }

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
