//! The body of an action's answer, with an end from outside.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures::future::BoxFuture;
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt as _;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::body::{Body, BoxError};

/// A body that fails at a deadline or when it is cut, so that the client sees that it is not whole. Holds something
/// until it has ended.
pub(super) struct Stream<T> {
    body: Body,
    end: BoxFuture<'static, &'static str>,
    _held: T,
}

impl<T: Send + Unpin + 'static> Stream<T> {
    pub(super) fn new(
        body: Body,
        deadline: Option<Instant>,
        cut: CancellationToken,
        held: T,
    ) -> Self {
        let end = async move {
            let late = async {
                match deadline {
                    Some(deadline) => sleep_until(deadline).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = late => "the answer took too long",
                () = cut.cancelled_owned() => "the server stops",
            }
        };
        Self {
            body,
            end: Box::pin(end),
            _held: held,
        }
    }

    pub(super) fn boxed(self) -> Body {
        self.boxed_unsync()
    }
}

impl<T: Unpin> http_body::Body for Stream<T> {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        if matches!(frame, Poll::Ready(None)) || self.body.is_end_stream() {
            return frame;
        }
        // Also for a body that always has more.
        match self.end.as_mut().poll(cx) {
            Poll::Ready(why) => Poll::Ready(Some(Err(why.into()))),
            Poll::Pending => frame,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http_body_util::StreamBody;

    use super::*;
    use crate::body::full;

    fn endless() -> Body {
        StreamBody::new(futures::stream::pending::<Result<Frame<Bytes>, BoxError>>()).boxed_unsync()
    }

    #[tokio::test]
    async fn a_body_that_takes_too_long_fails() {
        let deadline = Instant::now() + Duration::from_millis(50);
        let body = Stream::new(endless(), Some(deadline), CancellationToken::new(), ());
        let error = body.boxed().collect().await.unwrap_err();
        assert_eq!(error.to_string(), "the answer took too long");
        assert!(Instant::now() >= deadline);
    }

    #[tokio::test]
    async fn a_body_that_is_cut_fails_and_one_that_has_ended_does_not() {
        let cut = CancellationToken::new();
        cut.cancel();
        let whole = Stream::new(full("all"), None, cut.clone(), ()).boxed();
        assert_eq!(whole.collect().await.unwrap().to_bytes(), "all");
        let body = Stream::new(endless(), None, cut, ()).boxed();
        let error = body.collect().await.unwrap_err();
        assert_eq!(error.to_string(), "the server stops");
    }
}
