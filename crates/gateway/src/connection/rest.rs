//! When a connection of HTTP/1.1 rests: its last answer has left, and nothing has come since.
//!
//! hyper keeps 16 KiB of buffers for a connection as long as it has it. One that rests is taken from it, without its
//! client noticing, and given back with its next byte. Clients keep many more connections than they use.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::{Buf as _, Bytes};
use http_body::{Body, Frame, SizeHint};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::sleep,
};

/// A header is awaited, or has begun.
const AWAITED: u8 = 0;
/// A request is being answered.
const ASKED: u8 = 1;
/// The answer is written, and perhaps not flushed.
const ANSWERED: u8 = 2;
/// It has left.
const QUIET: u8 = 3;
/// It had left when somebody looked.
const QUIET_STILL: u8 = 4;

/// How far the exchange on a connection is. Written and read by the connection's task alone: atomic for its parts only.
#[derive(Clone, Debug, Default)]
pub struct Exchange(Arc<AtomicU8>);

impl Exchange {
    /// A request has come. The exchange lasts as long as the body of its answer.
    pub fn begins(&self) {
        self.set(ASKED);
    }

    /// The body of its answer: with it, it ends.
    pub fn until<B>(&self, body: B) -> Answer<B> {
        Answer {
            body,
            exchange: self.clone(),
        }
    }

    /// Waits until the connection rests, which is looked at so often.
    pub async fn comes_to_rest(&self, look: Duration) {
        while !self.rests() {
            sleep(look).await;
        }
    }

    /// Whether nothing has happened since it was looked at last, and all before has left.
    fn rests(&self) -> bool {
        match self.get() {
            QUIET => {
                self.set(QUIET_STILL);
                false
            }
            state => state == QUIET_STILL,
        }
    }

    fn flushed(&self) {
        if self.get() == ANSWERED {
            self.set(QUIET);
        }
    }

    fn heard(&self) {
        if self.get() != ASKED {
            self.set(AWAITED);
        }
    }

    fn get(&self) -> u8 {
        self.0.load(Ordering::Relaxed)
    }

    fn set(&self, state: u8) {
        self.0.store(state, Ordering::Relaxed);
    }
}

/// The body of an answer, whose end is noted.
#[derive(Debug)]
pub struct Answer<B> {
    body: B,
    exchange: Exchange,
}

impl<B> Drop for Answer<B> {
    fn drop(&mut self) {
        self.exchange.set(ANSWERED);
    }
}

impl<B: Body + Unpin> Body for Answer<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A stream that tells an exchange what comes and goes, and that begins with what was read of it before.
#[derive(Debug)]
pub struct Told<S> {
    stream: S,
    before: Bytes,
    exchange: Exchange,
}

impl<S> Told<S> {
    /// `before` comes first.
    pub fn new(stream: S, before: Bytes, exchange: Exchange) -> Self {
        Self {
            stream,
            before,
            exchange,
        }
    }

    /// The stream itself, and what of `before` nobody has read.
    pub fn into_parts(self) -> (S, Bytes) {
        (self.stream, self.before)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Told<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.before.is_empty() {
            let read = self.before.len().min(buf.remaining());
            buf.put_slice(&self.before[..read]);
            self.before.advance(read);
            // What followed comes with it: hyper would make more room for it if it came by itself.
            if self.before.is_empty() && buf.remaining() > 0 {
                // An error, or an end, is found again by whoever reads next.
                let _ = Pin::new(&mut self.stream).poll_read(cx, buf);
            }
            return Poll::Ready(Ok(()));
        }
        let had = buf.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        if buf.filled().len() > had {
            self.exchange.heard();
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Told<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, data)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
        // hyper flushes a stream when all that it has was written to it.
        self.exchange.flushed();
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, data)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::Full;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

    use super::*;

    #[tokio::test]
    async fn it_rests_when_the_answer_has_left_and_nothing_came_while_it_was_looked_at_twice() {
        let exchange = Exchange::default();
        let (mut client, stream) = duplex(64);
        let mut stream = Told::new(stream, Bytes::from_static(b"G"), exchange.clone());
        let mut room = [0; 8];
        assert!(!exchange.rests() && !exchange.rests(), "nobody has asked");
        assert_eq!(stream.read(&mut room).await.unwrap(), 1);
        client.write_all(b"ET").await.unwrap();
        assert_eq!(stream.read(&mut room).await.unwrap(), 2);
        exchange.begins();
        stream.flush().await.unwrap();
        assert!(
            !exchange.rests() && !exchange.rests(),
            "nobody has answered"
        );
        drop(exchange.until(Full::new(Bytes::new())));
        assert!(
            !exchange.rests() && !exchange.rests(),
            "it has not left yet"
        );
        stream.flush().await.unwrap();
        assert!(!exchange.rests() && exchange.rests());
        client.write_all(b"G").await.unwrap();
        assert_eq!(stream.read(&mut room).await.unwrap(), 1);
        assert!(
            !exchange.rests() && !exchange.rests(),
            "the next header has begun"
        );
        let (_, before) = stream.into_parts();
        assert!(before.is_empty());
    }

    #[tokio::test]
    async fn a_body_that_comes_while_it_is_answered_is_no_next_header() {
        let exchange = Exchange::default();
        let (mut client, stream) = duplex(64);
        let mut stream = Told::new(stream, Bytes::new(), exchange.clone());
        exchange.begins();
        client.write_all(b"body").await.unwrap();
        assert_eq!(stream.read(&mut [0; 8]).await.unwrap(), 4);
        drop(exchange.until(Full::new(Bytes::new())));
        stream.flush().await.unwrap();
        assert!(!exchange.rests() && exchange.rests());
    }
}
