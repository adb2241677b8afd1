//! Which plans there are, and in which order they come.

use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;

use sha2::{Digest as _, Sha256};

use crate::args::Sort;
use crate::plan::{Disturbance, Event, Fault, Phase, Plan, STATUSES, Sight, Write};
use crate::random::Random;

/// Plans that once found a bug: the plan's text, and after it what the bug was. They come first.
const REGRESSIONS: &str = include_str!("../regressions.txt");
/// Faults that each write gets, of all that there are.
const FAULTS_A_WRITE: usize = 2;

/// What an undisturbed play shows: where it can be disturbed.
#[derive(Clone, Debug, Default)]
pub struct Moments {
    /// The operator's writes that changed something.
    pub writes: BTreeSet<Write>,
    /// The events that reached it.
    pub events: BTreeSet<Event>,
}

impl Moments {
    /// What is certain: in both plays.
    pub fn and(&self, other: &Self) -> Self {
        Self {
            writes: self.writes.intersection(&other.writes).cloned().collect(),
            events: self.events.intersection(&other.events).cloned().collect(),
        }
    }
}

/// All plans of a scenario; of the faults of writes, a sample.
pub fn plans(scenario: &str, moments: &Moments, random: &mut Random) -> Vec<Plan> {
    let mut all = vec![];
    for write in &moments.writes {
        let phases = [Phase::Before, Phase::Committed, Phase::Answered];
        all.extend(phases.map(|phase| Disturbance::Crash(write.clone(), phase)));
        let mut faults: Vec<_> = STATUSES.map(Fault::Status).into();
        faults.extend([Fault::Reset, Fault::Truncated]);
        random.shuffle(&mut faults);
        let sample = faults.into_iter().take(FAULTS_A_WRITE);
        all.extend(sample.map(|fault| Disturbance::Fault(write.clone(), fault)));
    }
    for event in &moments.events {
        all.extend([Sight::Hold, Sight::Gap].map(|sight| Disturbance::Sight(event.clone(), sight)));
    }
    let resources: BTreeSet<_> = moments.events.iter().map(|event| &event.resource).collect();
    all.extend(
        resources
            .into_iter()
            .map(|resource| Disturbance::Past(resource.clone())),
    );
    all.into_iter()
        .map(|disturbance| Plan {
            scenario: scenario.to_owned(),
            disturbance,
        })
        .collect()
}

/// Regressions first, then one of each sort and scenario in turn, so that whoever stops early has seen all sorts.
pub fn ordered(mut plans: Vec<Plan>, random: &mut Random) -> anyhow::Result<Vec<Plan>> {
    random.shuffle(&mut plans);
    let mut groups: BTreeMap<(Sort, String), Vec<Plan>> = BTreeMap::new();
    for plan in plans {
        groups
            .entry((plan.sort(), plan.scenario.clone()))
            .or_default()
            .push(plan);
    }
    // Each group is spread evenly over the whole, however many plans it has.
    let mut spread: Vec<(f64, Plan)> = vec![];
    for of in groups.into_values() {
        let all = of.len() as f64;
        spread.extend(
            of.into_iter()
                .enumerate()
                .map(|(place, plan)| ((place as f64 + 0.5) / all, plan)),
        );
    }
    spread.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut order = regressions()?;
    let rest: Vec<_> = spread
        .into_iter()
        .map(|(_, plan)| plan)
        .filter(|plan| !order.contains(plan))
        .collect();
    order.extend(rest);
    Ok(order)
}

/// One of several equal parts of all plans. A plan belongs to the same part for every seed, so runs that are each given
/// another part and another seed have together played every moment there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    /// From 1.
    part: u32,
    of: u32,
}

impl Share {
    /// Whether the plan belongs to this part.
    pub fn has(self, plan: &Plan) -> bool {
        let [first, second, third, fourth, ..] = Sha256::digest(plan.to_string()).0;
        u32::from_be_bytes([first, second, third, fourth]) % self.of == self.part - 1
    }
}

impl FromStr for Share {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const WRONG: &str = "not a part of a whole, as 2/3 is";
        let (part, of) = text.split_once('/').ok_or(WRONG)?;
        let (part, of) = (part.parse(), of.parse());
        match (part, of) {
            (Ok(part), Ok(of)) if 1 <= part && part <= of => Ok(Self { part, of }),
            _ => Err(WRONG),
        }
    }
}

/// Plans that once found a bug.
pub fn regressions() -> anyhow::Result<Vec<Plan>> {
    let lines = REGRESSIONS
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines
        .map(|line| line.split_whitespace().next().unwrap_or_default().parse())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regressions_are_plans() {
        regressions().unwrap();
    }

    #[test]
    fn every_plan_is_in_exactly_one_share() {
        let shares = ["1/3", "2/3", "3/3"].map(|text| text.parse::<Share>().unwrap());
        for plan in regressions().unwrap() {
            assert_eq!(shares.iter().filter(|share| share.has(&plan)).count(), 1);
        }
        for bad in ["", "1", "0/3", "4/3", "1/0", "a/b", "1/-1"] {
            assert!(bad.parse::<Share>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_small_group_is_spread_over_the_whole() {
        let write = |name: usize| Write {
            verb: "create".into(),
            resource: "pods".into(),
            name: name.to_string(),
            nth: 1,
        };
        let moments = Moments {
            writes: (0..20).map(write).collect(),
            events: BTreeSet::from([Event {
                resource: "pods".into(),
                kind: "added".into(),
            }]),
        };
        let mut random = Random::new(1);
        let plans = plans("a", &moments, &mut random);
        let order = ordered(plans.clone(), &mut random).unwrap();
        // Regressions come first, whatever they are.
        let first = regressions().unwrap().len();
        let order = &order[first..];
        let views: Vec<_> = order
            .iter()
            .enumerate()
            .filter(|(_, plan)| plan.sort() == Sort::View)
            .collect();
        assert_eq!(views.len(), 3);
        assert!(views[0].0 > order.len() / 10 && views[2].0 < order.len() * 9 / 10 + 3);
        assert!(plans.iter().all(|plan| order.contains(plan)));
    }
}
