//! What a process uses, read from /proc.

use std::time::Duration;

use anyhow::Context as _;

use crate::Operator;

/// Ticks a second of the times in /proc, on every Linux that there is.
const TICKS: u64 = 100;

/// Time that the process has spent on processors since it began.
pub fn cpu(operator: &Operator) -> anyhow::Result<Duration> {
    let pid = operator.pid().context("it does not run")?;
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    ticks(&stat).map(|ticks| Duration::from_millis(ticks * 1000 / TICKS))
}

/// Time in the process itself and in the kernel for it.
fn ticks(stat: &str) -> anyhow::Result<u64> {
    // The second field is the name, in brackets, and may have spaces and brackets itself.
    let (_, rest) = stat.rsplit_once(") ").context("no stat of a process")?;
    let fields: Vec<_> = rest.split(' ').collect();
    let field = |place: usize| {
        fields
            .get(place)
            .context("a field is missing")?
            .parse::<u64>()
            .context("no number")
    };
    Ok(field(11)? + field(12)?)
}

/// How many reconciles it has done since it began.
pub async fn reconciles(operator: &Operator) -> anyhow::Result<u64> {
    let metrics = operator.metrics().await?;
    let lines = metrics
        .lines()
        .filter(|line| line.starts_with("atelier_reconciles_total"));
    let counts = lines.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok());
    Ok(counts.sum())
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_times_of_a_process_are_found_whatever_its_name() {
        let stat = "7 (a ) b) S 1 2 3 4 5 6 7 8 9 10 150 25 0 0";
        assert_eq!(super::ticks(stat).unwrap(), 175);
    }
}
