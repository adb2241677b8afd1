//! Records that wait for the archive: their lines on stdout.

use std::sync::atomic::{AtomicBool, Ordering};

use atelier_api::{archive::Kind, report::Wanted};

use super::{Archive, Lines, Source};
use crate::{
    metrics::{Lost, Sink},
    telemetry::queue::{Batch, Queue, Waiting},
};

/// Records that wait.
#[derive(Debug, Default)]
pub struct Recorded {
    /// What a request pays for while there is no archive.
    on: AtomicBool,
    queue: Queue,
}

impl Archive<Recorded> {
    /// Whether records are archived.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.source.is_on()
    }

    /// Hands a record in, as its line on stdout, and never waits.
    pub fn push(&self, line: &[u8]) {
        if !self.source.queue.push(line, None) {
            self.metrics.dropped(Sink::Archive, Lost::QueueFull, 1);
        }
    }
}

impl Source for Recorded {
    const KIND: Kind = Kind::Records;
    type Batch = Batch;

    fn want(&self, wanted: Wanted) {
        let on = wanted.records_after_seconds.is_some();
        self.on.store(on, Ordering::Relaxed);
    }

    fn is_on(&self) -> bool {
        self.on.load(Ordering::Relaxed)
    }

    fn take(&self) -> Option<Batch> {
        self.queue.take(true)
    }

    fn close(&self) {
        self.queue.close();
    }
}

impl Waiting for Recorded {
    fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    fn has_full(&self) -> bool {
        self.queue.has_full()
    }

    async fn more(&self) {
        self.queue.more().await;
    }
}

impl Lines for Batch {
    fn count(&self) -> u64 {
        self.len() as u64
    }

    fn each(self, mut take: impl FnMut(&[u8])) {
        for (line, _) in self.records() {
            take(line);
        }
    }
}
