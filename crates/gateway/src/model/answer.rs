//! The body of the model's answer, and with it the connection it comes by.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use futures::task::noop_waker_ref;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use super::pool::{Link, Pool};

/// What the model answers. Who reads it drives the connection; dropped before its end, it closes it.
#[derive(Debug)]
pub struct ModelBody {
    incoming: Incoming,
    /// Until the answer is over, or the connection is.
    link: Option<Box<Link>>,
    pool: Arc<Pool>,
}

impl ModelBody {
    /// A body that comes by a connection, or that is there already.
    pub(super) fn new(incoming: Incoming, mut link: Option<Box<Link>>, pool: &Arc<Pool>) -> Self {
        pool.keep_free(&mut link);
        Self {
            incoming,
            link,
            pool: Arc::clone(pool),
        }
    }

    fn drive(&mut self, cx: &mut Context<'_>) {
        self.pool.drive(&mut self.link, cx);
    }
}

impl Body for ModelBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let there = Pin::new(&mut self.incoming).poll_frame(cx);
        if there.is_ready() || self.link.is_none() {
            return there;
        }
        self.drive(cx);
        Pin::new(&mut self.incoming).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}

impl Drop for ModelBody {
    fn drop(&mut self) {
        // Nobody asks for more once the announced length is reached, and the connection has not heard of it yet.
        if self.incoming.is_end_stream() {
            self.drive(&mut Context::from_waker(noop_waker_ref()));
        }
    }
}
