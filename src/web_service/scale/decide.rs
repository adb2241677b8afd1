//! How many replicas there are to be: pure, time is an argument.

use std::collections::VecDeque;
use std::time::Duration;

use atelier_api::report::Load;
use tokio::time::Instant;

/// Parts of the window in which peaks are kept: memory is bounded, and a peak counts for this part of it longer.
const PARTS: u32 = 60;

/// By what is decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// Fewest replicas.
    pub min: u32,
    /// Most replicas.
    pub max: u32,
    /// Utilisation aimed at, in percent.
    pub target: u32,
    /// Requests that one replica works on at a time.
    pub concurrency: u32,
    /// For how long fewer have to do before there are fewer.
    pub window: Duration,
}

impl Rules {
    /// Replicas that a demand, in thousandths of a request, takes. Not bounded.
    fn wanted(&self, demand_milli: u64) -> u32 {
        let a_replica = u64::from(self.target.max(1)) * u64::from(self.concurrency.max(1)) * 10;
        u32::try_from(demand_milli.div_ceil(a_replica)).unwrap_or(u32::MAX)
    }

    fn part(&self) -> Duration {
        self.window / PARTS
    }

    /// When a peak does not count any more.
    fn over(&self, peak: Instant) -> Instant {
        peak + self.window + self.part()
    }

    fn bounded(&self, replicas: u32) -> u32 {
        replicas.min(self.max).max(self.min)
    }
}

/// What is heard of a replica that answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// How much it has to do.
    Load(Load),
    /// Nothing yet, and it has not answered for long.
    NotYet,
    /// Nothing for too long.
    Silent,
}

/// What is remembered from one decision to the next.
#[derive(Clone, Debug)]
pub struct State {
    /// Replicas that there are to be.
    pub desired: u32,
    /// Since when there was no replica of which nothing is known.
    heard_since: Option<Instant>,
    /// What was wanted last.
    last: Option<u32>,
    /// The most that was wanted, by parts of the window. Not bounded.
    peaks: VecDeque<(Instant, u32)>,
}

/// A decision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Replicas that there are to be.
    pub desired: u32,
    /// Utilisation, in percent.
    pub utilization: Option<u32>,
    /// How it stands.
    pub standing: Standing,
    /// When time alone may change it.
    pub changes_at: Option<Instant>,
}

/// How it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// The replicas follow the load.
    Following,
    /// More would be needed than there may be.
    AtMaximum,
    /// Some replica is silent.
    Silent,
    /// No replica answers.
    NoneAnswers,
}

impl State {
    /// One that knows nothing but how many there are to be.
    pub fn new(desired: u32) -> Self {
        Self {
            desired,
            heard_since: None,
            last: None,
            peaks: VecDeque::new(),
        }
    }

    /// Takes in what is heard of the replicas that answer, and decides. Takes over nothing: that is for whoever has acted.
    pub fn decide(&mut self, rules: &Rules, replicas: &[Heard], now: Instant) -> Decision {
        let demand = demand(replicas);
        let silent = replicas.contains(&Heard::Silent);
        let not_yet = replicas.contains(&Heard::NotYet);
        // One that is new does not end what was heard of the others: it had nothing to do before.
        self.heard_since = match self.heard_since {
            _ if silent || replicas.is_empty() => None,
            None if not_yet => None,
            since => since.or(Some(now)),
        };
        let wanted = rules.wanted(demand);
        self.remember(wanted, rules, now);
        let before = rules.bounded(self.desired);
        let highest = self.peaks.iter().map(|(_, peak)| *peak).max();
        let highest = highest.unwrap_or(wanted);
        let heard = self
            .heard_since
            .is_some_and(|since| now >= since + rules.window);
        let desired = match heard {
            true => rules.bounded(highest),
            false => before.max(rules.bounded(wanted)),
        };
        Decision {
            desired,
            utilization: utilization(rules, replicas, demand),
            standing: match () {
                () if replicas.is_empty() => Standing::NoneAnswers,
                () if silent => Standing::Silent,
                () if highest > rules.max => Standing::AtMaximum,
                () => Standing::Following,
            },
            changes_at: self.changes_at(rules, desired, now),
        }
    }

    /// What was wanted before was wanted until now.
    fn remember(&mut self, wanted: u32, rules: &Rules, now: Instant) {
        let held = self
            .last
            .replace(wanted)
            .map_or(wanted, |last| last.max(wanted));
        while self
            .peaks
            .front()
            .is_some_and(|(at, _)| rules.over(*at) <= now)
        {
            self.peaks.pop_front();
        }
        match self.peaks.back_mut() {
            Some((at, peak)) if now < *at + rules.part() => *peak = held.max(*peak),
            _ => self.peaks.push_back((now, held)),
        }
    }

    /// When time alone changes what was decided, as long as there is as much to do as now.
    fn changes_at(&self, rules: &Rules, desired: u32, now: Instant) -> Option<Instant> {
        let (heard, last) = (self.heard_since? + rules.window, self.last?);
        let over = |is_it: &dyn Fn(u32) -> bool| {
            let latest = self.peaks.iter().rev().find(|(_, peak)| is_it(*peak));
            latest.map(|(at, _)| rules.over(*at))
        };
        let fewer = (rules.bounded(last) < desired).then(|| {
            let high = over(&|peak| rules.bounded(peak) >= desired);
            high.unwrap_or(now).max(heard)
        });
        let enough = over(&|peak| peak > rules.max).filter(|_| last <= rules.max);
        fewer.into_iter().chain(enough).min()
    }
}

fn demand(replicas: &[Heard]) -> u64 {
    let loads = replicas.iter().map(|heard| match heard {
        Heard::Load(load) => load.demand_milli(),
        Heard::NotYet | Heard::Silent => 0,
    });
    loads.sum()
}

fn utilization(rules: &Rules, replicas: &[Heard], demand: u64) -> Option<u32> {
    let known = replicas.iter().any(|heard| matches!(heard, Heard::Load(_)));
    let turns = u64::try_from(replicas.len()).ok()? * u64::from(rules.concurrency.max(1));
    let percent = demand.checked_div(turns * 10)?;
    known.then(|| u32::try_from(percent).unwrap_or(u32::MAX))
}

#[cfg(test)]
#[path = "decide/tests.rs"]
mod tests;
