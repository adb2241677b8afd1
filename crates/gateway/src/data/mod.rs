//! Inputs and predictions of successful calls, where the service's spec asks for them (docs/design/collected-data.md).
//!
//! Both bodies are copied as they pass, so far as they are collected; nothing waits for that. When the answer has ended
//! well, what was copied goes to a queue, and the rest (what is JSON, how it is written) is done beside the requests.
//! Everything that is copied and not yet written shares one budget: a call that finds no room is counted and not kept.
//!
//! No header's value comes in but the content types and the ids; no query, no credential, no caller.

mod budget;
mod call;
mod content;
mod line;
mod sample;
mod side;

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use atelier_api::{
    archive::Kind,
    report::{Wanted, WantedData},
};
use http::HeaderMap;
use jiff::Timestamp;
use tokio::sync::Notify;

use crate::{
    archive::{Archive, Lines, Source},
    args::Args,
    ids::RequestIds,
    metrics::{Lost, Sink},
    telemetry::queue::Waiting,
};
use budget::Budget;
use call::Held;
use line::append;

pub use call::{Call, Input};
pub use line::Whose;
pub use sample::is_sampled;

/// Bytes of all that is copied and not yet written.
pub const MOST: usize = 8 * 1024 * 1024;

/// Bytes after which a batch is full.
const FULL: usize = 256 * 1024;

impl From<&Args> for Whose {
    fn from(args: &Args) -> Self {
        Self {
            service: args.service.clone(),
            workspace: args.workspace.clone(),
            namespace: args.namespace.clone(),
            replica: args.replica.clone(),
        }
    }
}

/// Calls that wait to be written.
#[derive(Debug)]
pub struct Calls {
    /// What a request pays for while nothing is collected: 0. Else the share and the longest body, so that both are read
    /// at once.
    settings: AtomicU64,
    budget: Arc<Budget>,
    waiting: Mutex<Queued>,
    /// Told when the first call is there, and when a batch is full.
    more: Notify,
    whose: Arc<Whose>,
}

#[derive(Debug, Default)]
struct Queued {
    calls: VecDeque<Held>,
    /// Bytes of their bodies and what each takes beside them.
    bytes: usize,
    /// Nobody will come for more.
    closed: bool,
}

impl Archive<Calls> {
    /// Begins to collect a call, if it is one to collect. Of the body that comes after `headers`.
    #[must_use]
    pub fn begin(&self, headers: &HeaderMap, ids: &RequestIds) -> Option<Call> {
        let (percent, most) = self.source.settings()?;
        if !is_sampled(ids.request_id(), percent) {
            return None;
        }
        Some(Call::new(headers, most, &self.source.budget))
    }

    /// Hands in a call whose answer has ended well, and never waits.
    pub fn push(&self, call: Call, time: Timestamp, ids: &RequestIds) {
        // Turned off meanwhile.
        if !self.source.is_on() {
            return;
        }
        let held = call.finish(time, ids);
        if !held.is_some_and(|held| self.source.push(held)) {
            self.metrics.dropped(Sink::Data, Lost::QueueFull, 1);
        }
    }

    /// Bytes that are held at the moment.
    #[must_use]
    pub fn held(&self) -> usize {
        self.source.budget.held()
    }
}

impl Calls {
    /// None yet, of this replica.
    #[must_use]
    pub fn new(whose: Whose) -> Self {
        Self {
            settings: AtomicU64::new(0),
            budget: Budget::new(MOST),
            waiting: Mutex::default(),
            more: Notify::new(),
            whose: Arc::new(whose),
        }
    }

    /// Of how many calls in a hundred, and the longest body.
    fn settings(&self) -> Option<(u32, usize)> {
        match self.settings.load(Ordering::Relaxed) {
            0 => None,
            packed => Some((
                (packed >> 32) as u32,
                (packed & u64::from(u32::MAX)) as usize,
            )),
        }
    }

    fn waiting(&self) -> MutexGuard<'_, Queued> {
        locked(&self.waiting)
    }

    /// False if nobody comes for it any more.
    fn push(&self, held: Held) -> bool {
        let mut waiting = self.waiting();
        if waiting.closed {
            return false;
        }
        let before = waiting.bytes;
        waiting.bytes += held.bytes();
        waiting.calls.push_back(held);
        let is_full = before < FULL && waiting.bytes >= FULL;
        drop(waiting);
        if before == 0 || is_full {
            self.more.notify_one();
        }
        true
    }
}

impl Source for Calls {
    const KIND: Kind = Kind::Data;
    type Batch = Batch;

    fn want(&self, wanted: Wanted) {
        let packed = wanted.data.map_or(0, |data| {
            let WantedData {
                after_seconds: _,
                sample_percent,
                max_bytes,
            } = data;
            u64::from(sample_percent) << 32 | u64::from(max_bytes)
        });
        self.settings.store(packed, Ordering::Relaxed);
    }

    fn is_on(&self) -> bool {
        self.settings().is_some()
    }

    fn take(&self) -> Option<Batch> {
        let mut waiting = self.waiting();
        let (mut calls, mut bytes) = (VecDeque::new(), 0);
        while bytes < FULL
            && let Some(held) = waiting.calls.pop_front()
        {
            bytes += held.bytes();
            calls.push_back(held);
        }
        waiting.bytes -= bytes;
        drop(waiting);
        let whose = Arc::clone(&self.whose);
        (!calls.is_empty()).then_some(Batch { calls, whose })
    }

    fn close(&self) {
        self.waiting().closed = true;
    }
}

impl Waiting for Calls {
    fn is_empty(&self) -> bool {
        self.waiting().calls.is_empty()
    }

    fn has_full(&self) -> bool {
        self.waiting().bytes >= FULL
    }

    async fn more(&self) {
        self.more.notified().await;
    }
}

/// Calls that are written together.
#[derive(Debug)]
pub struct Batch {
    calls: VecDeque<Held>,
    whose: Arc<Whose>,
}

impl Lines for Batch {
    fn count(&self) -> u64 {
        self.calls.len() as u64
    }

    fn each(self, mut take: impl FnMut(&[u8])) {
        let mut line = Vec::new();
        for held in self.calls {
            line.clear();
            append(&mut line, &held.taken, &self.whose);
            take(&line);
        }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
