//! The connections to the model that are kept between requests.
//!
//! No task of its own drives a connection: the request that has it does. So a request wakes one task and not two, which is
//! a good part of what it costs.

use std::{
    future::poll_fn,
    io,
    net::SocketAddr,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use futures::poll;
use hyper::client::conn::http1::{Builder, Connection, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::{
    net::TcpStream,
    sync::Notify,
    time::{Instant, sleep, timeout},
};

use crate::body::RequestBody;

/// On loopback a connection stands in microseconds, or the model's backlog is full.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// How long an unused connection is kept. Less than model servers keep theirs (gunicorn 2 s,
/// uvicorn 5 s): a request must not meet a connection that is just being closed.
const IDLE: Duration = Duration::from_secs(1);

/// The largest response header, in bytes, and the most that is read ahead of the client.
const READ_BUFFER: usize = 64 * 1024;

/// One connection to the model, of whoever has it.
#[derive(Debug)]
pub struct Link {
    /// Takes one request when the one before is over.
    pub requests: SendRequest<RequestBody>,
    /// Whether it has taken one before.
    pub was_used: bool,
    connection: Connection<TokioIo<TcpStream>, RequestBody>,
}

impl Link {
    /// Goes on with what there is to read and to write. Ready when the connection has ended: then it is not to be asked
    /// again.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        Pin::new(&mut self.connection).poll(cx).map(|ended| {
            if let Err(error) = ended {
                tracing::debug!(%error, "a connection to the model failed");
            }
        })
    }
}

/// Goes on with a connection. None is left when it has ended.
pub fn advance(link: &mut Option<Box<Link>>, cx: &mut Context<'_>) {
    if link.as_mut().is_some_and(|link| link.poll(cx).is_ready()) {
        *link = None;
    }
}

/// A connection, and since when nobody uses it.
type Rested = (Box<Link>, Instant);

/// The connections that nobody uses at the moment, the one used last at the end.
#[derive(Debug)]
pub struct Pool {
    address: SocketAddr,
    resting: Mutex<Vec<Rested>>,
    /// Told when there is one again.
    filled: Notify,
}

impl Pool {
    /// An empty one.
    pub fn new(address: SocketAddr) -> Self {
        Self {
            address,
            resting: Mutex::default(),
            filled: Notify::new(),
        }
    }

    /// A new connection, which is in no pool.
    ///
    /// # Errors
    /// What the system says, or that it took too long.
    pub async fn connect(&self) -> io::Result<TcpStream> {
        let stream = timeout(CONNECT_TIMEOUT, TcpStream::connect(self.address)).await??;
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    /// A connection that takes a request: one that rests, or a new one.
    ///
    /// # Errors
    /// That a new one cannot be had.
    pub async fn take(&self) -> io::Result<Box<Link>> {
        while let Some((mut link, _)) = self.of_young(Vec::pop) {
            // The model may have closed it. Who has it hears of it now.
            let goes_on = poll!(poll_fn(|cx| link.poll(cx))).is_pending();
            if goes_on && link.requests.is_ready() {
                return Ok(link);
            }
        }
        let io = TokioIo::new(self.connect().await?);
        let (requests, connection) = Builder::new()
            .max_buf_size(READ_BUFFER)
            .handshake(io)
            .await
            .map_err(io::Error::other)?;
        Ok(Box::new(Link {
            requests,
            was_used: false,
            connection,
        }))
    }

    /// Goes on with a connection whose answer has begun. None is left when it has ended, or takes another request: then it
    /// is kept.
    pub fn drive(&self, link: &mut Option<Box<Link>>, cx: &mut Context<'_>) {
        advance(link, cx);
        self.keep_free(link);
    }

    /// Keeps a connection if it takes another request.
    pub fn keep_free(&self, link: &mut Option<Box<Link>>) {
        let Some(mut link) = link.take_if(|link| link.requests.is_ready()) else {
            return;
        };
        link.was_used = true;
        let mut resting = self.lock();
        resting.push((link, Instant::now()));
        if resting.len() == 1 {
            self.filled.notify_one();
        }
    }

    /// Drives a connection to the end of its answer, for whoever is busy with something else.
    pub async fn finish(self: Arc<Self>, mut link: Option<Box<Link>>) {
        poll_fn(|cx| {
            self.drive(&mut link, cx);
            match link {
                Some(_) => Poll::Pending,
                None => Poll::Ready(()),
            }
        })
        .await;
    }

    /// Closes what has rested for too long. Does not end.
    pub async fn tidy(&self) {
        loop {
            self.filled.notified().await;
            while self.of_young(|resting| !resting.is_empty()) {
                sleep(IDLE).await;
            }
        }
    }

    /// What is asked of those that have not rested for too long. The others are closed, when nobody waits for it.
    fn of_young<T>(&self, ask: impl FnOnce(&mut Vec<Rested>) -> T) -> T {
        let now = Instant::now();
        let mut resting = self.lock();
        let is_old = |(_, since): &Rested| now.saturating_duration_since(*since) >= IDLE;
        let young = resting.partition_point(is_old);
        let old: Vec<_> = resting.drain(..young).collect();
        let answer = ask(&mut resting);
        drop(resting);
        drop(old);
        answer
    }

    /// Nothing that holds it panics.
    fn lock(&self) -> MutexGuard<'_, Vec<Rested>> {
        self.resting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
