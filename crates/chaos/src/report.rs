//! What came of the plans: a line each, a table, a file.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use serde::Serialize;
use serde_json::json;

use crate::args::Sort;
use crate::plan::Plan;

/// How a plan ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// As it should.
    Green,
    /// The scenario went by without the moment of the disturbance, twice.
    Missed,
    /// Not as it should.
    Violated(Vec<String>),
}

/// What came of one plan.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The plan.
    pub plan: Plan,
    /// How it ended.
    pub verdict: Verdict,
    /// How long it took.
    pub took: Duration,
}

/// What came of all plans.
#[derive(Debug, Default)]
pub struct Report {
    /// In the order in which they were played.
    pub outcomes: Vec<Outcome>,
}

/// A line of the table.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Row {
    sort: String,
    scenario: String,
    plans: usize,
    green: usize,
    missed: usize,
    violations: usize,
    median_seconds: f64,
    max_seconds: f64,
}

impl Report {
    /// Whether nothing was violated.
    pub fn is_clean(&self) -> bool {
        self.outcomes
            .iter()
            .all(|one| !matches!(one.verdict, Verdict::Violated(_)))
    }

    /// The table, in Markdown.
    pub fn table(&self) -> String {
        let mut lines = vec![
            "| sort | scenario | plans | green | missed | violations | median s | max s |"
                .to_owned(),
            "|---|---|---:|---:|---:|---:|---:|---:|".to_owned(),
        ];
        lines.extend(self.rows().iter().map(|row| {
            let Row { sort, scenario, plans, green, missed, violations, median_seconds, max_seconds } = row;
            format!(
                "| {sort} | {scenario} | {plans} | {green} | {missed} | {violations} | {median_seconds:.1} | {max_seconds:.1} |"
            )
        }));
        lines.join("\n")
    }

    /// Writes it as JSON.
    pub fn write(&self, path: &Path, seed: u64) -> anyhow::Result<()> {
        let not_green = self.outcomes.iter().filter_map(|one| match &one.verdict {
            Verdict::Green => None,
            Verdict::Missed => Some(json!({"plan": one.plan.to_string(), "verdict": "missed"})),
            Verdict::Violated(wrong) => {
                Some(json!({"plan": one.plan.to_string(), "verdict": "violated", "wrong": wrong}))
            }
        });
        let all =
            json!({"seed": seed, "table": self.rows(), "notGreen": not_green.collect::<Vec<_>>()});
        std::fs::write(path, serde_json::to_string_pretty(&all)?)?;
        Ok(())
    }

    fn rows(&self) -> Vec<Row> {
        let mut groups: BTreeMap<(Sort, &str), Vec<&Outcome>> = BTreeMap::new();
        for one in &self.outcomes {
            groups
                .entry((one.plan.sort(), &one.plan.scenario))
                .or_default()
                .push(one);
        }
        groups
            .into_iter()
            .map(|((sort, scenario), of)| row(sort, scenario, &of))
            .collect()
    }
}

fn row(sort: Sort, scenario: &str, of: &[&Outcome]) -> Row {
    let count = |is: fn(&Verdict) -> bool| of.iter().filter(|one| is(&one.verdict)).count();
    let mut seconds: Vec<_> = of.iter().map(|one| one.took.as_secs_f64()).collect();
    seconds.sort_by(f64::total_cmp);
    Row {
        sort: format!("{sort:?}").to_lowercase(),
        scenario: scenario.to_owned(),
        plans: of.len(),
        green: count(|v| *v == Verdict::Green),
        missed: count(|v| *v == Verdict::Missed),
        violations: count(|v| matches!(v, Verdict::Violated(_))),
        median_seconds: seconds.get(seconds.len() / 2).copied().unwrap_or_default(),
        max_seconds: seconds.last().copied().unwrap_or_default(),
    }
}
