//! Records on their way to one sink: appended by requests, taken in batches by whoever sends them. Bounded in bytes.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
};

use tokio::sync::Notify;

use super::trace::Trace;

/// Bytes of records that wait at most: two seconds' worth at 2,000 requests a second.
pub const MOST: usize = 2 * 1024 * 1024;

/// Bytes after which a batch is full. As OTLP, with its spans, it has two to three times as many, and receivers take
/// 4 MiB and more.
const FULL: usize = 256 * 1024;

/// What waits for somebody who gathers it.
pub trait Waiting {
    /// Whether nothing waits.
    fn is_empty(&self) -> bool;

    /// Whether a batch is full.
    fn has_full(&self) -> bool;

    /// Waits until there may be more.
    fn more(&self) -> impl Future<Output = ()> + Send;
}

/// One record of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// Where its line ends.
    pub end: usize,
    /// Its place in a trace, if that was asked for when the request came in.
    pub trace: Option<Trace>,
}

/// Records that go together.
#[derive(Debug, Default)]
pub struct Batch {
    lines: Vec<u8>,
    heads: Vec<Head>,
}

impl Batch {
    /// All records, each as the line of JSON that stdout has.
    pub fn records(&self) -> impl Iterator<Item = (&[u8], Option<Trace>)> {
        let starts = [0]
            .into_iter()
            .chain(self.heads.iter().map(|head| head.end));
        let each = starts.zip(&self.heads);
        each.map(|(start, head)| (&self.lines[start..head.end], head.trace))
    }

    /// All lines.
    #[must_use]
    pub fn lines(&self) -> &[u8] {
        &self.lines
    }

    /// How many records.
    #[must_use]
    pub fn len(&self) -> usize {
        self.heads.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.heads.is_empty()
    }

    /// How many of them have a span to export.
    #[must_use]
    pub fn spans(&self) -> usize {
        let heads = self.heads.iter();
        heads
            .filter(|head| head.trace.is_some_and(|trace| trace.sampled))
            .count()
    }

    fn bytes(&self) -> usize {
        self.lines.len() + self.heads.len() * size_of::<Head>()
    }
}

/// Records that wait.
#[derive(Debug, Default)]
pub struct Queue {
    waiting: Mutex<Queued>,
    /// Told when the first record is there, and when a batch is full.
    more: Notify,
}

#[derive(Debug, Default)]
struct Queued {
    full: VecDeque<Batch>,
    open: Batch,
    /// Bytes in all of them.
    bytes: usize,
    /// Nobody will come for more.
    closed: bool,
}

impl Queue {
    fn waiting(&self) -> MutexGuard<'_, Queued> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands a record in, and never waits. False if there is no room for it, or nobody to send it.
    pub fn push(&self, line: &[u8], trace: Option<Trace>) -> bool {
        let mut waiting = self.waiting();
        let needs = line.len() + size_of::<Head>();
        if waiting.closed || waiting.bytes + needs > MOST {
            return false;
        }
        let was_empty = waiting.bytes == 0;
        waiting.bytes += needs;
        let open = &mut waiting.open;
        open.lines.extend_from_slice(line);
        let end = open.lines.len();
        open.heads.push(Head { end, trace });
        let is_full = open.bytes() >= FULL;
        if is_full {
            let full = std::mem::take(open);
            waiting.full.push_back(full);
        }
        drop(waiting);
        if was_empty || is_full {
            self.more.notify_one();
        }
        true
    }

    /// The oldest batch; one that is not full only if `all`.
    pub fn take(&self, all: bool) -> Option<Batch> {
        let mut waiting = self.waiting();
        let batch = match waiting.full.pop_front() {
            Some(batch) => batch,
            None if all && !waiting.open.is_empty() => std::mem::take(&mut waiting.open),
            None => return None,
        };
        waiting.bytes -= batch.bytes();
        Some(batch)
    }

    /// Takes nothing more in.
    pub fn close(&self) {
        self.waiting().closed = true;
    }
}

impl Waiting for Queue {
    fn is_empty(&self) -> bool {
        self.waiting().bytes == 0
    }

    fn has_full(&self) -> bool {
        !self.waiting().full.is_empty()
    }

    async fn more(&self) {
        self.more.notified().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_come_out_as_they_went_in_and_batches_when_they_are_full() {
        let queue = Queue::default();
        assert!(queue.is_empty() && queue.take(true).is_none());
        assert!(queue.push(b"a\n", None) && queue.push(b"bc\n", None));
        assert!(queue.take(false).is_none());
        let batch = queue.take(true).expect("two records");
        let lines: Vec<_> = batch.records().map(|(line, _)| line).collect();
        assert_eq!(lines, [&b"a\n"[..], b"bc\n"]);
        let line = [b'x'; 1000];
        while !queue.has_full() {
            assert!(queue.push(&line, None));
        }
        let full = queue.take(false).expect("a full batch");
        assert!((FULL..FULL + 2000).contains(&full.bytes()) && queue.is_empty());
    }

    #[test]
    fn what_does_not_fit_is_refused_and_room_comes_back() {
        let queue = Queue::default();
        let line = [b'x'; 1000];
        let mut taken = 0;
        while queue.push(&line, None) {
            taken += 1;
        }
        assert!(taken * 1000 < MOST && taken * 1200 > MOST);
        let mut out = 0;
        while let Some(batch) = queue.take(true) {
            out += batch.len();
        }
        assert_eq!(out, taken);
        assert!(queue.is_empty() && queue.push(&line, None));
    }
}
