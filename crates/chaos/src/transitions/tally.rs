//! What came of a walk, and what all walks say together.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::{Value, json};

use super::exceptions;
use super::schema::Place;

/// A bad value, what the operator said of it, and how soon all was good again.
#[derive(Clone, Debug, Serialize)]
pub struct Recovery {
    /// The change.
    pub what: String,
    /// What the status said.
    pub told: String,
    /// Seconds from the good value to the state before.
    pub seconds: f64,
}

/// What came of a walk.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Tally {
    kind: &'static str,
    /// The step it is at.
    pub at: usize,
    leaves: BTreeSet<String>,
    /// Changes asked about.
    pub changes: usize,
    /// Those that the API server takes.
    pub accepted: usize,
    /// Those that it never takes.
    pub invalid: usize,
    /// Those that it takes in new objects only: how many.
    pub fixed: usize,
    /// What it says of them, by leaf.
    pub fixed_leaves: BTreeMap<String, String>,
    /// Accepted values that were not applied.
    pub only_asked: BTreeSet<String>,
    /// Comparisons with fresh objects.
    pub comparisons: usize,
    /// Those that failed.
    pub mismatches: usize,
    /// Exceptions that were needed, and how often.
    pub excused: BTreeMap<&'static str, usize>,
    /// Bad values.
    pub bad: Vec<Recovery>,
    /// What is not as it should be.
    pub failures: Vec<String>,
}

impl Tally {
    /// Nothing yet.
    pub fn new(kind: &'static str) -> Self {
        Self {
            kind,
            ..Self::default()
        }
    }

    /// A leaf is walked.
    pub fn leaf(&mut self, place: &Place) {
        self.leaves.insert(place.to_string());
    }

    /// A change is refused because the leaf is fixed.
    pub fn fixed(&mut self, place: &Place, message: &str) {
        self.fixed += 1;
        // What comes before it names the object.
        let reason = message.rsplit("Invalid value: ").next();
        let reason = reason.unwrap_or(message);
        // Of a text, it repeats the value.
        let reason = reason.split_once("\": ").map_or(reason, |(_, why)| why);
        self.fixed_leaves
            .insert(place.to_string(), reason.trim_end_matches(']').to_owned());
    }

    /// Something is not as it should be. Told at once.
    pub fn fail(&mut self, what: &str, why: &str) {
        let line = format!("step {} {what}: {why}", self.at);
        println!("{} FAILS {line}", self.kind);
        self.failures.push(line);
    }

    /// Bad values of which the status says no more than that all is under way.
    fn vague(&self) -> usize {
        let vague = self.bad.iter().filter(|one| one.told.contains("stays: "));
        vague.count()
    }

    fn worst(&self) -> f64 {
        let seconds = self.bad.iter().map(|one| one.seconds);
        seconds.fold(0.0, f64::max)
    }
}

/// All walks.
#[derive(Debug)]
pub struct Summary {
    /// Decides the courses.
    pub seed: u64,
    /// One a kind.
    pub tallies: Vec<Tally>,
}

impl Summary {
    /// Whether all is as it should be.
    pub fn is_clean(&self) -> bool {
        self.tallies.iter().all(|one| one.failures.is_empty())
    }

    /// The table and the lists, in Markdown.
    pub fn markdown(&self) -> String {
        let mut lines = vec![
            "| kind | leaves | changes | accepted | fixed | invalid | comparisons | mismatches | bad values | told vaguely | worst recovery s | failures |".to_owned(),
            "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|".to_owned(),
        ];
        lines.extend(self.tallies.iter().map(|t| {
            format!(
                "| {} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {:.1} | {} |",
                t.kind,
                t.leaves.len(),
                t.changes,
                t.accepted,
                t.fixed,
                t.invalid,
                t.comparisons,
                t.mismatches,
                t.bad.len(),
                t.vague(),
                t.worst(),
                t.failures.len()
            )
        }));
        lines.push("\nFixed leaves, and what the API server says:\n".into());
        for tally in &self.tallies {
            for (leaf, message) in &tally.fixed_leaves {
                lines.push(format!("- {} `{leaf}`: {message}", tally.kind));
            }
        }
        lines.push("\nMay differ from a fresh object:\n".into());
        let slots = (exceptions::SLOTS, exceptions::SLOTS_WHY);
        let named = exceptions::ALL.iter().map(|one| (one.name, one.why));
        for (name, why) in named.chain([slots]) {
            let times: usize = self
                .tallies
                .iter()
                .filter_map(|t| t.excused.get(name))
                .sum();
            lines.push(format!("- {name} ({times} times): {why}"));
        }
        lines.push("\nBad values, what the status said, and seconds to recover:\n".into());
        for tally in &self.tallies {
            for Recovery {
                what,
                told,
                seconds,
            } in &tally.bad
            {
                let told: String = told.chars().take(160).collect();
                lines.push(format!("- {} {what} → {told} ({seconds:.1})", tally.kind));
            }
        }
        for tally in &self.tallies {
            for what in &tally.only_asked {
                lines.push(format!("- only asked about: {} {what}", tally.kind));
            }
        }
        lines.extend(self.failures());
        lines.join("\n")
    }

    /// What is not as it should be, and how to see it again.
    fn failures(&self) -> Vec<String> {
        let mut lines = vec![];
        for tally in self.tallies.iter().filter(|t| !t.failures.is_empty()) {
            let Tally { kind, at, .. } = tally;
            lines.push(format!("\n{kind} is not as it should be:\n"));
            lines.extend(tally.failures.iter().map(|one| format!("- {one}")));
            lines.push(format!(
                "\nAgain: cargo run -p atelier-chaos -- transitions --seed {} --kind {kind} --steps {at}",
                self.seed
            ));
        }
        lines
    }

    /// All of it.
    pub fn json(&self) -> Value {
        json!({"seed": self.seed, "transitions": self.tallies})
    }
}
