//! What the last probe of each workspace's storage found, and when the next one is due.

use std::collections::HashMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash as _, Hasher as _};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::{Problem, Proof};

/// What a probe found.
pub type Outcome = Result<Proof, Problem>;

/// The first wait after a failure. It doubles, up to the time between probes.
pub const FIRST: Duration = Duration::from_secs(2);
/// How many are under way at most.
const AT_ONCE: usize = 8;

/// Identifies what is probed: another one makes what was found before worthless.
pub type Subject = u64;

/// A subject, of all that a probe depends on and that we are told of.
pub fn subject(parts: impl std::fmt::Debug) -> Subject {
    let mut hasher = DefaultHasher::new();
    format!("{parts:?}").hash(&mut hasher);
    hasher.finish()
}

/// What is known, and what is to be done.
#[derive(Clone, Debug, PartialEq)]
pub struct Look {
    /// What the last probe of this subject found.
    pub outcome: Option<Outcome>,
    /// Whether to begin one now. Whoever is told so does it.
    pub begin: bool,
    /// When to look again; `None` while one is under way, which tells when it has ended.
    pub next: Option<Duration>,
}

struct Entry {
    subject: Subject,
    /// The subject of the probe under way.
    running: Option<Subject>,
    /// When the last one ended, and what the last one found that could be tried.
    ended: Option<Instant>,
    outcome: Option<Outcome>,
    failures: u32,
}

/// The probes of all workspaces, by uid.
pub struct Probes {
    every: Duration,
    entries: Mutex<HashMap<String, Entry>>,
    /// Bounds how many are under way.
    pub permits: Arc<Semaphore>,
    tasks: Mutex<JoinSet<()>>,
}

impl Probes {
    /// None yet. A storage that works is probed again after `every`.
    pub fn new(every: Duration) -> Self {
        Self {
            every,
            entries: Mutex::default(),
            permits: Arc::new(Semaphore::new(AT_ONCE)),
            tasks: Mutex::default(),
        }
    }

    /// What is known of a workspace's storage.
    pub fn look(&self, uid: &str, subject: Subject, now: Instant) -> Look {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = entries.entry(uid.to_owned()).or_insert_with(|| Entry {
            subject,
            running: None,
            ended: None,
            outcome: None,
            failures: 0,
        });
        if entry.subject != subject {
            entry.subject = subject;
            entry.ended = None;
            entry.outcome = None;
            entry.failures = 0;
        }
        let outcome = entry.outcome.clone();
        let wait = self.wait(uid, entry.failures);
        let since = entry
            .ended
            .map(|ended| now.saturating_duration_since(ended));
        let left = since.map_or(Duration::ZERO, |since| wait.saturating_sub(since));
        let begin = entry.running.is_none() && left.is_zero();
        if begin {
            entry.running = Some(subject);
        }
        Look {
            outcome,
            begin,
            next: entry.running.is_none().then_some(left),
        }
    }

    /// Takes in what a probe found; nothing, if it could not be tried.
    pub fn ended(&self, uid: &str, outcome: Option<Outcome>, now: Instant) {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(entry) = entries.get_mut(uid) else {
            return;
        };
        // It was of something else: the next look begins another.
        if entry.running.take() != Some(entry.subject) {
            return;
        }
        entry.failures = match outcome {
            Some(Ok(_)) => 0,
            Some(Err(_)) | None => entry.failures.saturating_add(1),
        };
        entry.ended = Some(now);
        entry.outcome = outcome.or(entry.outcome.take());
    }

    /// Forgets a workspace that is gone.
    pub fn forget(&self, uid: &str) {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.remove(uid);
    }

    /// Runs a probe beside everything else. It ends with these.
    pub fn spawn(&self, probe: impl Future<Output = ()> + Send + 'static) {
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        while tasks.try_join_next().is_some() {}
        tasks.spawn(probe);
    }

    /// From one probe to the next: the same time for a workspace, and a different one for each, so that they spread.
    fn wait(&self, uid: &str, failures: u32) -> Duration {
        let spread = f64::from(u16::try_from(subject(uid) & 0xffff).unwrap_or_default());
        let every = self
            .every
            .mul_f64(0.75 + spread / f64::from(u16::MAX) / 4.0);
        after(failures, every)
    }
}

/// From one probe to the next, after so many failures in a row. What works is probed again after `every`.
pub fn after(failures: u32, every: Duration) -> Duration {
    match failures {
        0 => every,
        n => every.min(FIRST * 2u32.saturating_pow(n.min(16) - 1)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVERY: Duration = Duration::from_secs(300);

    fn proof() -> Outcome {
        Ok(Proof {
            wrapped_by: "k".into(),
            generation: 1,
            key_ref: None,
        })
    }

    fn problem() -> Outcome {
        Err(Problem::new("Reason", "why".into()))
    }

    #[test]
    fn one_probe_at_a_time_and_the_next_when_it_is_due() {
        let (probes, begun) = (Probes::new(EVERY), Instant::now());
        assert!(probes.look("u", 1, begun).begin);
        let meanwhile = probes.look("u", 1, begun);
        assert!(!meanwhile.begin && meanwhile.next.is_none());
        probes.ended("u", Some(proof()), begun);
        let known = probes.look("u", 1, begun);
        assert!(!known.begin && known.outcome == Some(proof()));
        assert!(probes.look("u", 1, begun + EVERY).begin);
    }

    #[test]
    fn what_was_found_of_something_else_is_not_believed() {
        let (probes, now) = (Probes::new(EVERY), Instant::now());
        assert!(probes.look("u", 1, now).begin);
        assert!(!probes.look("u", 2, now).begin);
        probes.ended("u", Some(proof()), now);
        let look = probes.look("u", 2, now);
        assert!(look.begin && look.outcome.is_none());
    }

    #[test]
    fn what_could_not_be_tried_leaves_what_was_known_and_is_tried_again_soon() {
        let (probes, begun) = (Probes::new(EVERY), Instant::now());
        assert!(probes.look("u", 1, begun).begin);
        probes.ended("u", Some(proof()), begun);
        let later = begun + EVERY;
        assert!(probes.look("u", 1, later).begin);
        probes.ended("u", None, later);
        let look = probes.look("u", 1, later);
        assert_eq!((look.outcome, look.next), (Some(proof()), Some(FIRST)));
    }

    #[test]
    fn after_a_failure_the_next_comes_soon_and_then_less_and_less_often() {
        let (probes, mut now) = (Probes::new(EVERY), Instant::now());
        let mut waits = vec![];
        for _ in 0..12 {
            assert!(probes.look("u", 1, now).begin);
            probes.ended("u", Some(problem()), now);
            let next = probes.look("u", 1, now).next.expect("none is under way");
            waits.push(next);
            now += next;
        }
        assert_eq!(waits[..3], [2, 4, 8].map(Duration::from_secs));
        assert!(waits.is_sorted() && waits[11] <= EVERY);
    }

    #[test]
    fn each_failure_in_a_row_doubles_the_wait_up_to_the_usual_one() {
        let every = Duration::from_secs(300);
        let waits: Vec<_> = (0..12).map(|failures| after(failures, every)).collect();
        assert_eq!(waits[0], every);
        assert_eq!(waits[1..4], [2, 4, 8].map(Duration::from_secs));
        assert!(waits[1..].is_sorted() && waits[11] == every);
    }
}
