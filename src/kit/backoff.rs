//! How long to wait before trying again.

use std::time::Duration;

use kube::runtime::utils::Backoff;

/// First delay of a watch that failed. Short: the usual reason is that rights given a moment ago have not reached
/// the API server's authorizer.
const WATCH_FIRST: Duration = Duration::from_millis(50);
const WATCH_LONGEST: Duration = Duration::from_secs(15);
const RECONCILE_FIRST: Duration = Duration::from_millis(100);
const RECONCILE_LONGEST: Duration = Duration::from_secs(120);

/// Doubling delays for a watch, starting over after a success.
#[derive(Debug, Default)]
pub struct WatchBackoff(u32);

impl Iterator for WatchBackoff {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let delay = doubled(WATCH_FIRST, self.0, WATCH_LONGEST);
        self.0 = self.0.saturating_add(1);
        Some(delay)
    }
}

impl Backoff for WatchBackoff {
    fn reset(&mut self) {
        self.0 = 0;
    }
}

/// The delay after the `failures`-th failure in a row (from 1) of the reconcile of one object, with up to a quarter
/// more by `jitter` (0 to 1), so that objects that failed together do not come back together.
pub fn reconcile_delay(failures: u32, jitter: f64) -> Duration {
    doubled(
        RECONCILE_FIRST,
        failures.saturating_sub(1),
        RECONCILE_LONGEST,
    )
    .mul_f64(1.0 + jitter.clamp(0.0, 1.0) / 4.0)
}

fn doubled(first: Duration, times: u32, longest: Duration) -> Duration {
    first.saturating_mul(1 << times.min(20)).min(longest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_a_limit_and_start_over() {
        let mut backoff = WatchBackoff::default();
        let first: Vec<_> = backoff.by_ref().take(3).collect();
        assert_eq!(first, [50, 100, 200].map(Duration::from_millis));
        assert_eq!(backoff.by_ref().nth(40), Some(WATCH_LONGEST));
        backoff.reset();
        assert_eq!(backoff.next(), Some(WATCH_FIRST));
        assert_eq!(reconcile_delay(1, 0.0), RECONCILE_FIRST);
        assert_eq!(reconcile_delay(60, 0.0), RECONCILE_LONGEST);
    }
}
