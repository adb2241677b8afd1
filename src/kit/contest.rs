//! Who insists on changing a child: after the same foreign change has been undone three times within a minute, the
//! child is left as it is for a while (docs/design/drift.md).
//!
//! In memory only. After a restart the count begins anew, and the first difference found is never counted: it cannot
//! be told from a change of what is wanted.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use kube::runtime::controller::Action;

use super::child::ChildKey;
use super::content::ContentHash;

/// Repairs of the same change within [`WINDOW`] after which somebody insists.
const INSISTS: usize = 3;
/// How far back repairs count, and how long calm lasts before a contest is over.
const WINDOW: SignedDuration = SignedDuration::from_secs(60);
/// How long the first time is, for which a contested child is left alone. Doubles each time.
const FIRST_PAUSE: SignedDuration = SignedDuration::from_secs(30);
const LATE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: SignedDuration = SignedDuration::from_secs(600);

/// What somebody did to a child.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Deleted it.
    Deleted,
    /// Made it into something with this hash.
    Edited(ContentHash),
}

/// What to do about a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Undo it.
    Repair,
    /// Leave it until then.
    Leave(Timestamp),
}

/// The changes of one child.
#[derive(Clone, Debug, Default)]
struct Contest {
    change: Option<Change>,
    /// Whether the change is being undone. Counts once it is: a write that met a conflict has undone nothing.
    underway: bool,
    repairs: Vec<Timestamp>,
    /// How often the child has been left alone.
    pauses: u32,
    until: Option<Timestamp>,
}

impl Contest {
    fn judge(&mut self, change: Change, now: Timestamp) -> Verdict {
        if let Some(until) = self.until.filter(|until| now < *until)
            && self.change == Some(change)
        {
            return Verdict::Leave(until);
        }
        if self.change != Some(change) || self.is_over(now) {
            *self = Self {
                change: Some(change),
                ..Self::default()
            };
        }
        self.repairs.retain(|at| *at + WINDOW > now);
        // Once contested, a single repetition is enough.
        let insists = match self.pauses {
            0 => self.repairs.len() >= INSISTS,
            _ => self.until.is_none(),
        };
        if insists {
            let doubled = FIRST_PAUSE * 2_i32.saturating_pow(self.pauses.min(8));
            let until = now + doubled.min(LONGEST_PAUSE);
            self.until = Some(until);
            self.pauses = self.pauses.saturating_add(1);
            return Verdict::Leave(until);
        }
        self.underway = true;
        Verdict::Repair
    }

    /// The change has been undone.
    fn undone(&mut self, now: Timestamp) {
        if std::mem::take(&mut self.underway) {
            self.until = None;
            self.repairs.push(now);
        }
    }

    /// When a contested child is to be looked at again. `None` if nobody insists.
    fn again(&self, now: Timestamp) -> Option<Timestamp> {
        if self.pauses == 0 || self.is_over(now) {
            return None;
        }
        let last = self.repairs.last().map(|at| *at + WINDOW);
        self.until.filter(|until| now < *until).or(last)
    }

    fn is_over(&self, now: Timestamp) -> bool {
        let paused = self.until.is_some_and(|until| now < until);
        let recent = |at: &Timestamp| *at + WINDOW > now;
        // Right after a pause, nothing has been repaired yet.
        let resumed = self.until.as_ref().is_some_and(recent);
        !paused && !resumed && !self.repairs.last().is_some_and(recent)
    }
}

struct Entry {
    wanted: ContentHash,
    contest: Contest,
}

/// A child that somebody insists on changing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contested {
    /// Which child, and what is done about it.
    pub message: String,
    /// When to look again.
    pub again: Timestamp,
}

/// When to look at an object again: after `next`, if there is such a time, or when a contest of its children is.
pub fn look_again(next: Option<Duration>, contested: Option<&Contested>, now: Timestamp) -> Action {
    // A little late rather than early: an early look would find nothing to do.
    let contest = contested.map(|contested| {
        Duration::try_from(contested.again.duration_since(now)).unwrap_or_default() + LATE
    });
    let next = [next, contest].into_iter().flatten().min();
    next.map_or_else(Action::await_change, Action::requeue)
}

/// What is known of the changes of all children, by owner: each reconcile asks for those of one.
#[derive(Default)]
pub struct Contests(Mutex<Owners>);

type Owners = HashMap<String, BTreeMap<ChildKey, Entry>>;

impl Contests {
    fn owners(&self) -> MutexGuard<'_, Owners> {
        // Whole at any time: a panic elsewhere left nothing half done.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A child is what is wanted, or was `written` to be.
    pub fn settled(
        &self,
        key: &ChildKey,
        owner: &str,
        wanted: ContentHash,
        written: bool,
        now: Timestamp,
    ) {
        let mut owners = self.owners();
        let entries = owners.entry(owner.into()).or_default();
        let entry = entries.entry(key.clone()).or_insert_with(|| Entry {
            wanted,
            contest: Contest::default(),
        });
        entry.wanted = wanted;
        match written {
            true => entry.contest.undone(now),
            // Somebody else undid it.
            false => entry.contest.underway = false,
        }
    }

    /// A child is not what is wanted: it has the hash `live`, or is not there. Says what to do.
    pub fn judge(
        &self,
        key: &ChildKey,
        owner: &str,
        wanted: ContentHash,
        live: Option<ContentHash>,
        now: Timestamp,
    ) -> Verdict {
        let mut owners = self.owners();
        let known = owners.get_mut(owner).and_then(|of| of.get_mut(key));
        match (known, live) {
            (Some(entry), None) => entry.contest.judge(Change::Deleted, now),
            // Not ours to count where what is wanted has changed too.
            (Some(entry), Some(live)) if entry.wanted == wanted => {
                entry.contest.judge(Change::Edited(live), now)
            }
            _ => Verdict::Repair,
        }
    }

    /// We have deleted a child ourselves.
    pub fn forget(&self, key: &ChildKey) {
        self.owners().values_mut().for_each(|of| {
            of.remove(key);
        });
    }

    /// An owner is gone.
    pub fn forget_owner(&self, uid: &str) {
        self.owners().remove(uid);
    }

    /// The first of an owner's children that somebody insists on changing.
    pub fn of(&self, owner: &str, now: Timestamp) -> Option<Contested> {
        let owners = self.owners();
        let contested: Vec<_> = owners
            .get(owner)?
            .iter()
            .filter_map(|(key, entry)| Some((key, entry.contest.again(now)?)))
            .collect();
        let again = contested.iter().map(|(_, again)| *again).min()?;
        let names: Vec<_> = contested.iter().map(|(key, _)| key.to_string()).collect();
        let message = format!(
            "somebody changes {} again and again; find out who (kubectl get … --show-managed-fields) and stop it. Meanwhile it is put right less and less often, unless it gives a right",
            names.join(", ")
        );
        Some(Contested { message, again })
    }
}

#[cfg(test)]
mod tests {
    use super::super::child::ChildKind;
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).expect("a valid time")
    }

    fn repair(contest: &mut Contest, change: Change, second: i64) -> Verdict {
        let verdict = contest.judge(change, at(second));
        if verdict == Verdict::Repair {
            contest.undone(at(second));
        }
        verdict
    }

    fn edit(text: &str) -> Change {
        Change::Edited(hash(text))
    }

    fn hash(text: &str) -> ContentHash {
        super::super::content::hash(ChildKind::Secret, &serde_json::json!({"data": {"a": text}}))
    }

    #[test]
    fn the_same_change_is_undone_three_times_a_minute_and_then_left_for_longer_and_longer() {
        let mut contest = Contest::default();
        for second in [0, 5, 10] {
            assert_eq!(repair(&mut contest, edit("x"), second), Verdict::Repair);
        }
        assert_eq!(contest.again(at(11)), None);
        assert_eq!(contest.judge(edit("x"), at(15)), Verdict::Leave(at(45)));
        assert_eq!(contest.judge(edit("x"), at(44)), Verdict::Leave(at(45)));
        assert_eq!(contest.again(at(44)), Some(at(45)));
        assert_eq!(repair(&mut contest, edit("x"), 45), Verdict::Repair);
        assert_eq!(contest.judge(edit("x"), at(46)), Verdict::Leave(at(106)));
    }

    #[test]
    fn other_changes_and_rare_ones_are_undone_each_time() {
        let mut contest = Contest::default();
        for second in 0..50 {
            let change = edit(if second % 2 == 0 { "x" } else { "y" });
            assert_eq!(repair(&mut contest, change, second), Verdict::Repair);
        }
        let mut contest = Contest::default();
        for turn in 0..50 {
            assert_eq!(
                repair(&mut contest, Change::Deleted, turn * 25),
                Verdict::Repair
            );
        }
    }

    #[test]
    fn a_repair_that_meets_a_conflict_is_tried_again_and_counts_once() {
        let mut contest = Contest::default();
        for second in 0..20 {
            assert_eq!(contest.judge(edit("x"), at(second)), Verdict::Repair);
        }
        contest.undone(at(20));
        assert_eq!(contest.repairs.len(), 1);
    }

    #[test]
    fn after_a_minute_of_calm_the_contest_is_over() {
        let mut contest = Contest::default();
        for second in [0, 1, 2, 3] {
            repair(&mut contest, edit("x"), second);
        }
        assert_eq!(repair(&mut contest, edit("x"), 33), Verdict::Repair);
        assert_eq!(contest.again(at(34)), Some(at(93)));
        assert_eq!(contest.again(at(94)), None);
        assert_eq!(repair(&mut contest, edit("x"), 95), Verdict::Repair);
        assert_eq!(repair(&mut contest, edit("x"), 96), Verdict::Repair);
    }

    #[test]
    fn a_change_of_what_is_wanted_is_nobodys_drift() {
        let contests = Contests::default();
        let key = ChildKey::new(ChildKind::Secret, "n", "a");
        for turn in 0..10 {
            let (old, new) = (hash(&turn.to_string()), hash(&(turn + 1).to_string()));
            contests.settled(&key, "o", old, true, at(turn));
            assert_eq!(
                contests.judge(&key, "o", new, Some(old), at(turn)),
                Verdict::Repair
            );
        }
        assert_eq!(contests.of("o", at(10)), None);
    }

    #[test]
    fn the_owner_is_told_which_child_is_contested() {
        let contests = Contests::default();
        let key = ChildKey::new(ChildKind::Secret, "n", "a");
        for second in 0..4 {
            contests.settled(&key, "o", hash("wanted"), true, at(second));
            contests.judge(&key, "o", hash("wanted"), None, at(second));
        }
        let told = contests.of("o", at(4)).expect("somebody insists");
        assert!(told.message.contains("Secret a"), "{}", told.message);
        assert_eq!(told.again, at(33));
        contests.forget_owner("o");
        assert_eq!(contests.of("o", at(4)), None);
    }
}
