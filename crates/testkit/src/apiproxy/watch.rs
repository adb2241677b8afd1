//! Watches, event by event.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::{Bytes, Incoming};
use tokio::sync::mpsc;

use super::entry::Fate;
use super::frames::{Frame, Splitter};
use super::gate::Gate;
use super::handle::{Body, BoxError, Ended, Inner};
use super::killer::AFTERTHOUGHT;
use super::request::Call;
use super::rule::{Action, Phase};

type Sender = mpsc::Sender<Result<hyper::body::Frame<Bytes>, BoxError>>;

/// The body of a watch's answer: what is left of the API server's events when the rules have seen them.
pub(super) fn body(
    inner: Arc<Inner>,
    call: Call,
    connection: u64,
    ended: Ended,
    from: Incoming,
) -> Body {
    let (to, events) = mpsc::channel(64);
    let pump = Pump {
        gate: inner.rules.held(&call),
        inner,
        call,
        connection,
        ended,
        to,
        waiting: VecDeque::new(),
        swallow: None,
    };
    tokio::spawn(pump.run(from));
    let events = futures::stream::unfold(events, |mut events| async move {
        events.recv().await.map(|event| (event, events))
    });
    StreamBody::new(events).boxed_unsync()
}

struct Pump {
    inner: Arc<Inner>,
    call: Call,
    connection: u64,
    ended: Ended,
    to: Sender,
    /// What the events wait for.
    gate: Option<Gate>,
    waiting: VecDeque<Waiting>,
    /// How many events are still to be swallowed before the watch expires.
    swallow: Option<usize>,
}

struct Waiting {
    /// Its place in the trail.
    seq: u64,
    frame: Frame,
    /// Whether the rules have seen it.
    seen: bool,
}

/// The watch is over.
struct Over;

impl Pump {
    async fn run(mut self, mut from: Incoming) {
        let mut splitter = Splitter::default();
        let mut more = true;
        while more || self.gate.is_some() {
            let gate = self.gate.clone();
            let next = tokio::select! {
                () = self.to.closed() => return,
                () = opened(gate.as_ref()) => {
                    self.gate = None;
                    if self.release().await.is_err() {
                        return;
                    }
                    continue;
                }
                next = from.frame(), if more => next,
            };
            let lines = match next {
                Some(Ok(frame)) => frame
                    .into_data()
                    .map(|data| splitter.push(&data))
                    .unwrap_or_default(),
                Some(Err(error)) => {
                    let _ = self.to.send(Err(error.into())).await;
                    return;
                }
                None => {
                    more = false;
                    std::mem::take(&mut splitter).finish().into_iter().collect()
                }
            };
            for line in lines {
                if self.take(Frame::parse(line)).await.is_err() {
                    return;
                }
            }
        }
    }

    /// An event has come from the API server.
    async fn take(&mut self, mut frame: Frame) -> Result<(), Over> {
        if frame.event.is_change() {
            self.inner.trail.learn(&self.call, &frame.meta);
        }
        if frame.meta.namespace.is_empty() {
            frame.meta.namespace = self.call.namespace.clone();
        }
        let seq = self
            .inner
            .trail
            .frame(self.ended.seq, &self.call, &frame, Fate::Held);
        self.waiting.push_back(Waiting {
            seq,
            frame,
            seen: false,
        });
        self.release().await
    }

    /// Decides what becomes of the events that wait, up to one that has to wait.
    async fn release(&mut self) -> Result<(), Over> {
        while self.gate.is_none() {
            let Some(waiting) = self.waiting.pop_front() else {
                break;
            };
            self.decide(waiting).await?;
        }
        Ok(())
    }

    async fn decide(&mut self, event: Waiting) -> Result<(), Over> {
        if self.swallow.is_some() {
            return self.swallow(&event).await;
        }
        let actions = if event.seen {
            Vec::new()
        } else {
            self.inner.rules.on_event(&self.call, &event.frame)
        };
        for action in &actions {
            self.inner
                .trail
                .note(self.ended.seq, |entry| entry.faults.push(action.name()));
        }
        for action in actions {
            match action {
                Action::Delay(delay) => self.pause(delay).await?,
                Action::HoldWatch(gate) => {
                    self.gate = Some(gate);
                    self.waiting.push_front(Waiting {
                        seen: true,
                        ..event
                    });
                    return Ok(());
                }
                Action::DropEventsThen410 { events } => {
                    self.swallow = Some(events.max(1));
                    return self.swallow(&event).await;
                }
                Action::Kill {
                    phase: Phase::Answered,
                } => {
                    self.deliver(&event).await?;
                    let (inner, connection) = (self.inner.clone(), self.connection);
                    tokio::spawn(async move {
                        let standstill = inner.killer.standstill().await;
                        tokio::time::sleep(AFTERTHOUGHT).await;
                        inner.killer.kill(connection, standstill).await;
                    });
                    return Ok(());
                }
                Action::Kill { .. } => {
                    self.inner.trail.settle(event.seq, Fate::Dropped);
                    let standstill = self.inner.killer.standstill().await;
                    self.inner.killer.kill(self.connection, standstill).await;
                    // The reset ends the watch: an end of our own could get there first, and be an orderly one.
                    self.to.closed().await;
                    return Err(Over);
                }
                // Of what is left, only the watch's end is for events.
                _ => {
                    self.inner.trail.settle(event.seq, Fate::Dropped);
                    return Err(Over);
                }
            }
        }
        self.deliver(&event).await
    }

    async fn swallow(&mut self, event: &Waiting) -> Result<(), Over> {
        self.inner.trail.settle(event.seq, Fate::Dropped);
        let counts = usize::from(event.frame.event.is_change());
        let left = self.swallow.unwrap_or_default().saturating_sub(counts);
        self.swallow = Some(left);
        if left > 0 {
            return Ok(());
        }
        let expired = Frame::expired();
        let trail = &self.inner.trail;
        let seq = trail.frame(self.ended.seq, &self.call, &expired, Fate::Held);
        let expired = Waiting {
            seq,
            frame: expired,
            seen: true,
        };
        self.deliver(&expired).await?;
        Err(Over)
    }

    async fn deliver(&self, event: &Waiting) -> Result<(), Over> {
        let data = hyper::body::Frame::data(event.frame.bytes.clone());
        self.to.send(Ok(data)).await.map_err(|_| Over)?;
        self.inner.trail.settle(event.seq, Fate::Delivered);
        Ok(())
    }

    async fn pause(&self, delay: Duration) -> Result<(), Over> {
        tokio::select! {
            () = self.to.closed() => Err(Over),
            () = tokio::time::sleep(delay) => Ok(()),
        }
    }
}

async fn opened(gate: Option<&Gate>) {
    match gate {
        Some(gate) => gate.opened().await,
        None => std::future::pending().await,
    }
}
