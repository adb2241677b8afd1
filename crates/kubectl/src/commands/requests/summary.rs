//! Requests, counted.

use std::collections::BTreeMap;

use super::line::Record;
use crate::table::Table;

/// Requests by status and outcome.
#[derive(Debug, Default)]
pub struct Summary(BTreeMap<(u64, String), Vec<f64>>);

impl Summary {
    /// Counts one more.
    pub fn add(&mut self, record: &Record) {
        let of = (record.status(), record.outcome());
        self.0.entry(of).or_default().push(record.duration());
    }

    /// The table, and below it how many there were.
    pub fn render(mut self) -> String {
        let mut table = Table::new(["status", "outcome", "requests", "p50", "p99", "longest"]);
        let mut all = 0;
        for ((status, outcome), took) in &mut self.0 {
            took.sort_by(f64::total_cmp);
            let at = |share: f64| format!("{:.1}ms", quantile(took, share));
            all += took.len();
            table.row([
                status.to_string(),
                outcome.clone(),
                took.len().to_string(),
                at(0.5),
                at(0.99),
                at(1.0),
            ]);
        }
        format!("{}\n{all} requests\n", table.render())
    }
}

/// The nearest rank. `sorted` has at least one.
fn quantile(sorted: &[f64], share: f64) -> f64 {
    let last = sorted.len().saturating_sub(1);
    let rank = (share * sorted.len() as f64).ceil() as usize;
    let at = rank.saturating_sub(1).min(last);
    sorted.get(at).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_counted_by_how_they_ended() {
        let mut summary = Summary::default();
        for (status, outcome, took) in [
            (200, "Completed", 1.0),
            (200, "Completed", 3.0),
            (200, "Completed", 2.0),
            (401, "Unauthorized", 0.25),
        ] {
            let line = format!(
                r#"{{"StatusCode":{status},"RequestId":"r","outcome":"{outcome}","Duration":{took}}}"#
            );
            summary.add(&Record::read(&line).unwrap());
        }
        assert_eq!(
            summary.render(),
            "STATUS   OUTCOME        REQUESTS   P50     P99     LONGEST\n\
             200      Completed      3          2.0ms   3.0ms   3.0ms\n\
             401      Unauthorized   1          0.2ms   0.2ms   0.2ms\n\
             \n\
             4 requests\n"
        );
    }

    #[test]
    fn without_requests_there_is_no_row() {
        assert!(Summary::default().render().ends_with("\n\n0 requests\n"));
    }
}
