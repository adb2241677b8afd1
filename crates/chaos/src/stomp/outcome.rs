//! What a check found: figures, and what is wrong. As a table, as a file, and as the process's exit code.

use std::fmt::Display;
use std::path::Path;
use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::args::RunArgs;

/// What a check found.
#[derive(Debug)]
pub struct Outcome {
    check: &'static str,
    seed: u64,
    /// What else is to be given to play it again.
    options: String,
    figures: Vec<(String, Value)>,
    /// All that is not as it should be.
    pub wrong: Vec<String>,
}

impl Outcome {
    /// Nothing found yet. `options` are those that play it again, next to the seed.
    pub fn new(check: &'static str, seed: u64, options: String) -> Self {
        println!("{check}: seed {seed}");
        Self {
            check,
            seed,
            options,
            figures: vec![],
            wrong: vec![],
        }
    }

    /// Notes a figure, and prints it at once.
    pub fn figure(&mut self, what: impl Display, value: impl Into<Value>) {
        let value = value.into();
        println!("  {what}: {}", plain(&value));
        self.figures.push((what.to_string(), value));
    }

    /// Notes the middle and the end of some times, in milliseconds.
    pub fn times(&mut self, what: &str, times: &[Duration]) {
        let times = Times::of(times);
        self.figure(
            format!("{what}, p50 / p90 / p99 / max ms"),
            times.to_string(),
        );
    }

    /// Notes what is not as it should be.
    pub fn wrong(&mut self, what: impl Display) {
        println!("  WRONG {what}");
        self.wrong.push(what.to_string());
    }

    /// Notes it if something does not hold.
    pub fn expect(&mut self, holds: bool, what: impl Display) {
        if !holds {
            self.wrong(what);
        }
    }

    /// The table, in Markdown.
    pub fn table(&self) -> String {
        let rows = self
            .figures
            .iter()
            .map(|(what, value)| format!("| {what} | {} |", plain(value)));
        let head = [
            format!("| {} | seed {} |", self.check, self.seed),
            "|---|---:|".into(),
        ];
        head.into_iter().chain(rows).collect::<Vec<_>>().join("\n")
    }

    /// Prints all, writes the report if one is wanted; an error if anything is wrong.
    pub fn conclude(&self, args: &RunArgs) -> anyhow::Result<()> {
        println!("{}", self.table());
        if let Some(path) = &args.report {
            self.write(path)?;
        }
        let Self {
            check,
            seed,
            options,
            wrong,
            ..
        } = self;
        if wrong.is_empty() {
            return Ok(());
        }
        println!("again: cargo run -p atelier-chaos -- {check} --seed {seed}{options}");
        anyhow::bail!(
            "{check}: {} things are not as they should be; seed {seed}",
            wrong.len()
        )
    }

    fn write(&self, path: &Path) -> anyhow::Result<()> {
        let figures: Map<_, _> = self.figures.iter().cloned().collect();
        let all = json!({"check": self.check, "seed": self.seed, "figures": figures, "wrong": self.wrong});
        std::fs::write(path, serde_json::to_string_pretty(&all)?)?;
        std::fs::write(path.with_extension("md"), self.table() + "\n")?;
        Ok(())
    }
}

fn plain(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

/// Some times, in order.
pub struct Times(Vec<Duration>);

impl Times {
    /// Sorts them.
    pub fn of(times: &[Duration]) -> Self {
        let mut sorted = times.to_vec();
        sorted.sort();
        Self(sorted)
    }

    /// The time that this share, in percent, does not exceed.
    pub fn percentile(&self, percent: usize) -> Duration {
        let place = (self.0.len() * percent)
            .div_ceil(100)
            .clamp(1, self.0.len().max(1));
        self.0.get(place - 1).copied().unwrap_or_default()
    }
}

impl Display for Times {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [p50, p90, p99, max] =
            [50, 90, 99, 100].map(|percent| self.percentile(percent).as_millis());
        write!(f, "{p50} / {p90} / {p99} / {max}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_times_that_were_measured() {
        let times: Vec<_> = (1..=200).rev().map(Duration::from_millis).collect();
        assert_eq!(Times::of(&times).to_string(), "100 / 180 / 198 / 200");
        assert_eq!(Times::of(&[]).to_string(), "0 / 0 / 0 / 0");
    }
}
