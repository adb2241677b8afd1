//! Everything that went through the proxy, in order.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Instant, SystemTime};

use super::effect::{Key, Known};
use super::entry::{Entry, Fate, FrameEntry};
use super::frames::{Frame, Meta};
use super::lists::ListSnapshot;
use super::request::Call;

/// A moment in the trail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mark(u64);

impl Mark {
    /// Before everything.
    pub const START: Self = Self(0);
}

/// Everything that went through the proxy, in order. Requests are in the order in which they came, and are there before
/// they are answered. Clones are the same trail. Grows until it is cleared.
#[derive(Clone, Default)]
pub struct Trail(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    next: u64,
    entries: Vec<Arc<Entry>>,
    frames: Vec<FrameEntry>,
    keep_lists: bool,
    lists: Vec<ListSnapshot>,
    known: HashMap<Key, Known>,
}

impl Trail {
    /// All requests that `select` accepts.
    pub fn entries(&self, select: impl Fn(&Entry) -> bool) -> Vec<Arc<Entry>> {
        self.entries_since(Mark::START, select)
    }

    /// The same, of those that came since a mark.
    pub fn entries_since(&self, mark: Mark, select: impl Fn(&Entry) -> bool) -> Vec<Arc<Entry>> {
        self.with(|state| {
            let from = state.entries.partition_point(|entry| entry.seq <= mark.0);
            let since = state.entries[from..].iter();
            since.filter(|entry| select(entry)).cloned().collect()
        })
    }

    /// All writes that changed something.
    pub fn effective_writes(&self) -> Vec<Arc<Entry>> {
        self.effective_writes_since(Mark::START)
    }

    /// The same, of those that came since a mark.
    pub fn effective_writes_since(&self, mark: Mark) -> Vec<Arc<Entry>> {
        self.entries_since(mark, |entry| entry.effective)
    }

    /// All that came since a mark and only read a resource, the beginnings of watches included.
    pub fn reads_since(&self, mark: Mark) -> Vec<Arc<Entry>> {
        self.entries_since(mark, |entry| {
            !entry.is_write() && !entry.resource.is_empty()
        })
    }

    /// All watch events that `select` accepts.
    pub fn frames(&self, select: impl Fn(&FrameEntry) -> bool) -> Vec<FrameEntry> {
        self.frames_since(Mark::START, select)
    }

    /// The same, of those that came from the API server since a mark.
    pub fn frames_since(
        &self,
        mark: Mark,
        select: impl Fn(&FrameEntry) -> bool,
    ) -> Vec<FrameEntry> {
        self.with(|state| {
            let from = state.frames.partition_point(|frame| frame.seq <= mark.0);
            let since = state.frames[from..].iter();
            since.filter(|frame| select(frame)).cloned().collect()
        })
    }

    /// This moment.
    pub fn mark(&self) -> Mark {
        self.with(|state| Mark(state.next))
    }

    /// Whether answers to LIST are kept from now on.
    pub fn keep_lists(&self, keep: bool) {
        self.with(|state| state.keep_lists = keep);
    }

    /// The answers to LIST that were kept and that `select` accepts, first pages only.
    pub fn lists(&self, select: impl Fn(&ListSnapshot) -> bool) -> Vec<ListSnapshot> {
        self.with(|state| {
            let kept = state.lists.iter();
            kept.filter(|list| select(list)).cloned().collect()
        })
    }

    /// Forgets what went through. Marks stay good.
    pub fn clear(&self) {
        self.with(|state| {
            state.entries.clear();
            state.frames.clear();
            state.lists.clear();
        });
    }

    /// A request has come.
    pub(super) fn begin(&self, call: &Call, user: String) -> u64 {
        self.with(|state| {
            let seq = state.number();
            state.entries.push(Arc::new(Entry::new(seq, call, user)));
            seq
        })
    }

    /// More is known about a request. Does nothing if it has been forgotten.
    pub(super) fn note(&self, seq: u64, change: impl FnOnce(&mut Entry)) {
        self.with(|state| {
            if let Ok(at) = state.entries.binary_search_by_key(&seq, |entry| entry.seq) {
                change(Arc::make_mut(&mut state.entries[at]));
            }
        });
    }

    /// A request is done with.
    pub(super) fn end(&self, seq: u64, status: Option<u16>) {
        self.note(seq, |entry| {
            if entry.ended.is_none() {
                entry.ended = Some(Instant::now());
                entry.ended_at = Some(SystemTime::now());
                entry.status = status;
            }
        });
    }

    /// An event has come from the API server.
    pub(super) fn frame(&self, watch: u64, call: &Call, frame: &Frame, fate: Fate) -> u64 {
        let now = Instant::now();
        let meta = frame.meta.clone();
        self.with(|state| {
            let seq = state.number();
            state.frames.push(FrameEntry {
                seq,
                watch,
                event: frame.event,
                kind: frame.kind.clone(),
                group: call.group.clone(),
                resource: call.resource.clone(),
                namespace: meta.namespace,
                name: meta.name,
                uid: meta.uid,
                resource_version: meta.resource_version,
                received: now,
                delivered: (fate == Fate::Delivered).then_some(now),
                fate,
            });
            seq
        })
    }

    /// It has been decided what becomes of an event that was held.
    pub(super) fn settle(&self, seq: u64, fate: Fate) {
        self.with(|state| {
            if let Ok(at) = state.frames.binary_search_by_key(&seq, |frame| frame.seq) {
                state.frames[at].fate = fate;
                state.frames[at].delivered = (fate == Fate::Delivered).then(Instant::now);
            }
        });
    }

    /// The version of an object that was seen last.
    pub(super) fn known(&self, key: &Key) -> Option<Known> {
        self.with(|state| state.known.get(key).cloned())
    }

    /// An object was seen.
    pub(super) fn learn(&self, call: &Call, meta: &Meta) {
        if let Some((key, known)) = Known::of(call, meta) {
            self.with(|state| state.known.insert(key, known));
        }
    }

    /// A list was answered.
    pub(super) fn keep(&self, list: impl FnOnce() -> ListSnapshot) {
        self.with(|state| {
            if state.keep_lists {
                state.lists.push(list());
            }
        });
    }

    fn with<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl State {
    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }
}

#[cfg(test)]
mod tests {
    use http::Method;

    use super::super::request::Verb;
    use super::{Call, Fate, Frame, Mark, Trail};

    #[test]
    fn is_asked_from_a_mark_on() {
        let trail = Trail::default();
        let call = |method| Call::parse(&method, "/api/v1/namespaces/a/pods", None);
        let first = trail.begin(&call(Method::POST), "me".into());
        let mark = trail.mark();
        let second = trail.begin(&call(Method::GET), "me".into());
        let frame = Frame::expired();
        trail.frame(second, &call(Method::GET), &frame, Fate::Held);
        trail.note(first, |entry| entry.effective = true);
        assert_eq!(trail.effective_writes()[0].seq, first);
        assert!(trail.effective_writes_since(mark).is_empty());
        assert_eq!(trail.reads_since(mark)[0].verb, Verb::List);
        assert_eq!(trail.frames_since(mark, |_| true).len(), 1);
        assert_eq!(trail.entries_since(Mark::START, |_| true).len(), 2);
        trail.clear();
        trail.end(first, None);
        let third = trail.begin(&call(Method::GET), "me".into());
        assert_eq!(trail.reads_since(mark)[0].seq, third);
    }

    #[test]
    fn a_request_ends_once() {
        let trail = Trail::default();
        let call = Call::parse(&Method::GET, "/api/v1/pods", None);
        let seq = trail.begin(&call, String::new());
        trail.end(seq, Some(200));
        trail.end(seq, None);
        assert_eq!(trail.entries(|_| true)[0].status, Some(200));
    }
}
