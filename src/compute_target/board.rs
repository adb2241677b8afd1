//! Where compute targets tell their runs how things stand in the queue.
//!
//! In memory only: after a restart a run's status stays as it is until its target has looked at its queue.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};

/// How often a stored position is refreshed.
const REFRESH: SignedDuration = SignedDuration::from_secs(10);
/// Runs whose position is stored.
const SHOWN: usize = 20;

/// What a waiting run is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// Its place, from 1, if it is among the first.
    pub position: Option<i32>,
    /// Why it waits.
    pub sentence: String,
    /// Set when the API server refused the run's pod for what is in it: the run has failed.
    pub refused: bool,
}

#[derive(Default)]
struct Queue {
    notices: HashMap<String, Notice>,
    told: Option<Timestamp>,
    members: Vec<String>,
    /// The last attempt whose pod was made, by the run's uid: a view that lags behind starts nothing twice.
    started: HashMap<String, i32>,
}

/// Where compute targets tell their runs how things stand.
#[derive(Default)]
pub struct Board(Mutex<HashMap<(String, String), Queue>>);

/// What a publication led to.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Published {
    /// Runs that have something new to tell.
    pub changed: Vec<String>,
    /// When to publish again, if something new was held back.
    pub again: Option<Timestamp>,
}

impl Board {
    fn with<T>(&self, namespace: &str, target: &str, work: impl FnOnce(&mut Queue) -> T) -> T {
        let mut boards = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        work(boards.entry((namespace.into(), target.into())).or_default())
    }

    /// Publishes the queue of a target. Newcomers are told at once, the others every ten seconds at most.
    pub fn publish(
        &self,
        namespace: &str,
        target: &str,
        notices: Vec<(String, Notice)>,
        now: Timestamp,
    ) -> Published {
        self.with(namespace, target, |queue| {
            let members: Vec<_> = notices.iter().map(|(run, _)| run.clone()).collect();
            let next: HashMap<_, _> = notices.into_iter().collect();
            let may_refresh = queue.told.is_none_or(|told| told + REFRESH <= now);
            let mut published = Published::default();
            for run in &members {
                let (old, new) = (queue.notices.get(run), next.get(run));
                let urgent = old.is_none() || new.is_some_and(|n| n.refused);
                if old == new {
                } else if urgent || may_refresh {
                    published.changed.push(run.clone());
                } else {
                    published.again = queue.told.map(|told| told + REFRESH);
                }
            }
            let held_back =
                |run: &String| published.again.is_some() && !published.changed.contains(run);
            queue.notices = next
                .into_iter()
                .map(|(run, new)| match queue.notices.remove(&run) {
                    Some(old) if held_back(&run) => (run, old),
                    _ => (run, new),
                })
                .collect();
            if !published.changed.is_empty() && (may_refresh || queue.told.is_none()) {
                queue.told = Some(now);
            }
            queue.members = members;
            published
        })
    }

    /// What a run is told. `None` if its target has not looked yet, or it does not wait.
    pub fn notice(&self, namespace: &str, target: &str, run: &str) -> Option<Notice> {
        self.with(namespace, target, |queue| queue.notices.get(run).cloned())
    }

    /// Notes that an attempt's pod was made.
    pub fn started(&self, namespace: &str, target: &str, run_uid: &str, attempt: i32) {
        self.with(namespace, target, |queue| {
            queue.started.insert(run_uid.into(), attempt)
        });
    }

    /// The last attempt whose pod was made by this process; 0 if none was.
    pub fn last_started(&self, namespace: &str, target: &str, run_uid: &str) -> i32 {
        self.with(namespace, target, |queue| {
            queue.started.get(run_uid).copied().unwrap_or_default()
        })
    }

    /// Forgets a target.
    pub fn forget(&self, namespace: &str, target: &str) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&(namespace.into(), target.into()));
    }
}

/// What the runs that wait are told. `missing` is what holds all of them back, if anything does.
pub fn notices(
    waiting: &[super::plan::Waiting],
    max: u32,
    missing: Option<&str>,
) -> Vec<(String, Notice)> {
    let total = waiting.len();
    let why = match missing {
        Some(missing) => missing,
        None if max == 0 => "the compute target is paused (max: 0)",
        None => "needs 1 node, 0 free",
    };
    let one = |(index, waiting): (usize, &super::plan::Waiting)| {
        let notice = match i32::try_from(index + 1) {
            Ok(position) if index < SHOWN => Notice {
                position: Some(position),
                sentence: format!("Queued ({position}/{total}): {why}"),
                refused: false,
            },
            _ => Notice {
                position: None,
                sentence: format!("Queued: behind {SHOWN} others; {why}"),
                refused: false,
            },
        };
        (waiting.run.clone(), notice)
    };
    waiting.iter().enumerate().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compute_target::plan::Waiting;

    fn queue(runs: &[&str]) -> Vec<(String, Notice)> {
        let waiting: Vec<_> = runs
            .iter()
            .map(|run| Waiting {
                run: (*run).into(),
                attempt: 1,
            })
            .collect();
        notices(&waiting, 2, None)
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).expect("a valid time")
    }

    #[test]
    fn newcomers_are_told_at_once_and_moves_every_ten_seconds() {
        let board = Board::default();
        assert_eq!(
            board.publish("n", "t", queue(&["a", "b"]), at(0)).changed,
            ["a", "b"]
        );
        let moved = board.publish("n", "t", queue(&["b"]), at(3));
        assert_eq!(
            moved,
            Published {
                changed: vec![],
                again: Some(at(10))
            }
        );
        assert_eq!(
            board.notice("n", "t", "b").and_then(|n| n.position),
            Some(2)
        );
        assert_eq!(
            board.publish("n", "t", queue(&["b"]), at(10)).changed,
            ["b"]
        );
        assert_eq!(
            board.notice("n", "t", "b").and_then(|n| n.position),
            Some(1)
        );
        assert_eq!(
            board.publish("n", "t", queue(&["b"]), at(60)),
            Published::default()
        );
    }

    #[test]
    fn the_sentence_says_the_place_and_what_is_missing() {
        assert_eq!(
            queue(&["a", "b", "c"])[2].1.sentence,
            "Queued (3/3): needs 1 node, 0 free"
        );
    }
}
