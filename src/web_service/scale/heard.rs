//! What the replicas of one service have told, and since when the others owe it.

use std::collections::HashMap;
use std::time::Duration;

use atelier_api::report::{Load, SILENT_MS};
use tokio::time::Instant;

use super::decide::Heard;

/// After how long without a report a replica is silent.
const SILENT: Duration = Duration::from_millis(SILENT_MS);
/// Reports that are kept of pods which are not known to answer.
const MOST: usize = 2_000;

/// A replica that answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answering {
    /// Its pod's uid.
    pub uid: String,
    /// Its pod's name.
    pub name: String,
    /// Since when it is known to answer.
    pub since: Option<Instant>,
}

/// Those that were known to answer before.
#[derive(Default)]
pub struct Waiting(HashMap<String, Option<Instant>>);

impl Waiting {
    /// These.
    pub fn of(before: Vec<Answering>) -> Self {
        Self(before.into_iter().map(|one| (one.uid, one.since)).collect())
    }

    /// Those that answer now, each with the moment since when it does.
    pub fn since(&self, answering: Vec<Answering>, now: Instant) -> Vec<Answering> {
        let since = |one: Answering| Answering {
            since: self.0.get(&one.uid).copied().flatten().or(Some(now)),
            ..one
        };
        answering.into_iter().map(since).collect()
    }
}

/// The last report of each pod.
#[derive(Default)]
pub struct Loads(HashMap<String, (Load, Instant)>);

impl Loads {
    /// Takes a report in.
    pub fn hear(&mut self, uid: &str, load: Load, now: Instant) {
        if !self.0.contains_key(uid) && self.0.len() >= MOST {
            self.0.retain(|_, (_, at)| now < *at + SILENT);
        }
        if self.0.contains_key(uid) || self.0.len() < MOST {
            self.0.insert(uid.to_owned(), (load, now));
        }
    }

    /// Forgets whoever has been silent and does not answer.
    pub fn keep(&mut self, answering: &[Answering]) {
        let latest = self.0.values().map(|(_, at)| *at).max();
        self.0.retain(|uid, (_, at)| {
            answering.iter().any(|one| one.uid == *uid)
                || latest.is_some_and(|latest| latest < *at + SILENT)
        });
    }

    /// What is heard of each.
    pub fn heard(&self, answering: &[Answering], now: Instant) -> Vec<Heard> {
        let heard = |one: &Answering| match self.0.get(&one.uid) {
            Some((load, at)) if now < *at + SILENT => Heard::Load(*load),
            _ if now < self.falls_silent_at(one, now) => Heard::NotYet,
            _ => Heard::Silent,
        };
        answering.iter().map(heard).collect()
    }

    /// The names of those that are silent, in order.
    pub fn silent(&self, answering: &[Answering], now: Instant) -> Vec<String> {
        let heard = self.heard(answering, now);
        let silent = answering.iter().zip(heard);
        let silent = silent.filter(|(_, heard)| *heard == Heard::Silent);
        let mut names: Vec<_> = silent.map(|(one, _)| one.name.clone()).collect();
        names.sort();
        names
    }

    /// When the next one falls silent, if nothing is heard of it.
    pub fn falls_silent(&self, answering: &[Answering], now: Instant) -> Option<Instant> {
        let all = answering.iter().map(|one| self.falls_silent_at(one, now));
        all.filter(|at| *at > now).min()
    }

    fn falls_silent_at(&self, one: &Answering, now: Instant) -> Instant {
        let heard = self.0.get(&one.uid).map(|(_, at)| *at);
        let since = one.since.unwrap_or(now);
        heard.map_or(since, |heard| heard.max(since)) + SILENT
    }
}
