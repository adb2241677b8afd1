//! The two bodies that pass through: counted, limited, never gathered.
//!
//! Each hands on one frame when the other side asks for it, so a slow reader slows the writer.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use thiserror::Error;
use tokio::{
    runtime::Handle,
    time::{Instant, Sleep, sleep_until, timeout},
};

use crate::{data::Input, limits::Turn, model::ModelBody, record::Outcome, ticket::Ticket};

/// How much of a body nobody wants is still read, and for how long.
const LINGER_BYTES: u64 = 16 << 20;
const LINGER_TIME: Duration = Duration::from_secs(1);

/// Why a body ends early.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum BodyError {
    /// The client sent more than allowed.
    #[error("the body is larger than allowed")]
    TooLarge,
    /// The client's framing is broken, or the client left.
    #[error("the client's body could not be read")]
    Client,
    /// The model's framing is broken, or the model left.
    #[error("the model's body could not be read")]
    Model,
    /// The request's time ran out.
    #[error("the request took longer than allowed")]
    TimedOut,
}

/// How far a client's body is on its way.
#[derive(Debug, Default)]
pub struct Passed {
    bytes: AtomicU64,
    over: AtomicBool,
}

impl Passed {
    /// So many bytes of it were read.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Whether nobody wants any more of it, most often as all of it has passed.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }
}

/// A client's body on its way to the model.
///
/// Dropped before its end, it goes on reading for a moment: a connection closed on a client
/// that is still sending is reset, and the client may then never see the answer.
#[derive(Debug)]
pub struct RequestBody {
    incoming: Option<Incoming>,
    max: u64,
    passed: Arc<Passed>,
    /// The client waits for leave to send, which the first read gives.
    awaits_leave: bool,
    /// Where what passes is copied to, if it is collected.
    input: Option<Input>,
}

impl RequestBody {
    /// Wraps a body of at most `max` bytes; how far it is stands in `passed`.
    #[must_use]
    pub fn new(incoming: Incoming, max: u64, passed: Arc<Passed>, awaits_leave: bool) -> Self {
        Self {
            incoming: Some(incoming),
            max,
            passed,
            awaits_leave,
            input: None,
        }
    }

    /// How far it is.
    #[must_use]
    pub fn passed(&self) -> Arc<Passed> {
        Arc::clone(&self.passed)
    }

    /// Copies what passes from now on.
    pub fn collect(&mut self, input: Option<Input>) {
        self.input = input;
        self.note(None);
    }

    /// Copies what passes, and notes whether that was all. Who announced a length is not asked for more.
    fn note(&self, data: Option<&Bytes>) {
        let Some(input) = &self.input else {
            return;
        };
        if let Some(data) = data {
            input.take(data);
        }
        if self.is_end_stream() {
            input.end();
        }
    }

    fn noted_end(&self) {
        if let Some(input) = &self.input {
            input.end();
        }
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        self.awaits_leave = false;
        let Some(incoming) = &mut self.incoming else {
            return Poll::Ready(None);
        };
        match ready!(Pin::new(incoming).poll_frame(cx)) {
            None => {
                self.noted_end();
                Poll::Ready(None)
            }
            Some(Err(_)) => Poll::Ready(Some(Err(BodyError::Client))),
            Some(Ok(frame)) => match frame.into_data() {
                Ok(data) => {
                    let before = self
                        .passed
                        .bytes
                        .fetch_add(data.len() as u64, Ordering::Relaxed);
                    if before + data.len() as u64 > self.max {
                        return Poll::Ready(Some(Err(BodyError::TooLarge)));
                    }
                    self.note(Some(&data));
                    Poll::Ready(Some(Ok(Frame::data(data))))
                }
                // Trailers are the last frame, and could smuggle what was cleaned from the header.
                Err(_trailers) => {
                    self.noted_end();
                    Poll::Ready(None)
                }
            },
        }
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming
            .as_ref()
            .map(Body::size_hint)
            .unwrap_or_default()
    }
}

impl Drop for RequestBody {
    fn drop(&mut self) {
        self.passed.over.store(true, Ordering::Relaxed);
        if self.awaits_leave || self.is_end_stream() {
            return;
        }
        // Nobody joins the task: it is over within the time above, or with its connection.
        if let (Some(incoming), Ok(runtime)) = (self.incoming.take(), Handle::try_current()) {
            runtime.spawn(timeout(LINGER_TIME, discard(incoming)));
        }
    }
}

async fn discard(mut incoming: Incoming) {
    let mut left = LINGER_BYTES;
    while let Some(Ok(frame)) = incoming.frame().await {
        let read = frame.data_ref().map_or(0, |data| data.len() as u64);
        match left.checked_sub(read) {
            Some(rest) => left = rest,
            None => return,
        }
    }
}

/// An answer on its way to the client.
#[derive(Debug)]
pub struct ReplyBody {
    content: Content,
    /// Absent for what is not recorded.
    ticket: Option<Ticket>,
    /// What to record when all was handed over.
    outcome: Outcome,
}

#[derive(Debug)]
enum Content {
    /// An answer of the gateway's own.
    Own(Bytes),
    /// The model's answer, which holds the request's turn until its end.
    Model {
        incoming: ModelBody,
        deadline: Instant,
        /// Until the deadline, once the model has to be waited for: most answers are there at once.
        sleep: Option<Pin<Box<Sleep>>>,
        _turn: Turn,
    },
    End,
}

impl ReplyBody {
    /// An answer of the gateway's own, not recorded.
    #[must_use]
    pub fn unrecorded(bytes: Bytes) -> Self {
        Self {
            content: Content::Own(bytes),
            ticket: None,
            outcome: Outcome::Completed,
        }
    }

    /// An answer of the gateway's own.
    #[must_use]
    pub fn own(bytes: Bytes, ticket: Ticket, outcome: Outcome) -> Self {
        let mut body = Self {
            content: Content::Own(bytes),
            ticket: Some(ticket),
            outcome,
        };
        // hyper does not read a body that is empty from the start.
        if body.is_end_stream() {
            body.end(outcome);
        }
        body
    }

    /// The model's answer, until `deadline`.
    #[must_use]
    pub fn model(incoming: ModelBody, turn: Turn, deadline: Instant, ticket: Ticket) -> Self {
        let mut body = Self {
            content: Content::Model {
                incoming,
                deadline,
                sleep: None,
                _turn: turn,
            },
            ticket: Some(ticket),
            outcome: Outcome::Completed,
        };
        // hyper does not read a body that is empty from the start.
        if body.is_end_stream() {
            body.end(Outcome::Completed);
        }
        body
    }

    fn end(&mut self, outcome: Outcome) {
        self.content = Content::End;
        if let Some(mut ticket) = self.ticket.take() {
            ticket.close(outcome);
        }
    }

    fn hand_over(&mut self, data: Bytes) -> Frame<Bytes> {
        if let Some(ticket) = &mut self.ticket {
            ticket.sent(&data);
        }
        // hyper does not ask again once the announced length is reached.
        if self.is_end_stream() {
            self.end(self.outcome);
        }
        Frame::data(data)
    }

    fn fail(
        &mut self,
        error: BodyError,
        outcome: Outcome,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        self.end(outcome);
        Poll::Ready(Some(Err(error)))
    }
}

impl Body for ReplyBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match &mut self.content {
            Content::End => Poll::Ready(None),
            Content::Own(bytes) => {
                let data = std::mem::take(bytes);
                self.content = Content::End;
                Poll::Ready(Some(Ok(self.hand_over(data))))
            }
            Content::Model {
                incoming,
                deadline,
                sleep,
                ..
            } => {
                let frame = Pin::new(incoming).poll_frame(cx);
                let is_late = if frame.is_ready() {
                    Instant::now() >= *deadline
                } else {
                    let sleep = sleep.get_or_insert_with(|| Box::pin(sleep_until(*deadline)));
                    sleep.as_mut().poll(cx).is_ready()
                };
                if is_late {
                    return self.fail(BodyError::TimedOut, Outcome::TimedOut);
                }
                match ready!(frame) {
                    Some(Ok(frame)) => {
                        if let Ok(data) = frame.into_data() {
                            return Poll::Ready(Some(Ok(self.hand_over(data))));
                        }
                    }
                    Some(Err(_)) => return self.fail(BodyError::Model, Outcome::ModelFailed),
                    None => {}
                }
                // The end, or trailers, which are always last and are not passed on.
                let outcome = self.outcome;
                self.end(outcome);
                Poll::Ready(None)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.content {
            Content::End => true,
            Content::Own(bytes) => bytes.is_empty(),
            Content::Model { incoming, .. } => incoming.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            Content::End => SizeHint::with_exact(0),
            Content::Own(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Content::Model { incoming, .. } => incoming.size_hint(),
        }
    }
}
