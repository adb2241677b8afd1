//! How long to wait before trying again.

use std::time::{Duration, Instant};

use kube::runtime::utils::Backoff;

/// First delay. Short: the usual reason of a failure is a right that has not reached the API server's authorizer.
const FIRST: Duration = Duration::from_millis(50);
/// The longest delay. An outage must not delay a rotation much beyond its end.
const LONGEST: Duration = Duration::from_secs(15);

/// Doubling delays, starting over after a success.
#[derive(Debug, Default)]
pub struct Doubling(u32);

impl Doubling {
    /// The next delay.
    pub fn delay(&mut self) -> Duration {
        let delay = FIRST.saturating_mul(1 << self.0.min(20)).min(LONGEST);
        self.0 = self.0.saturating_add(1);
        delay
    }
}

impl Iterator for Doubling {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        Some(self.delay())
    }
}

impl Backoff for Doubling {
    fn reset(&mut self) {
        self.0 = 0;
    }
}

/// Bounds what a fight over an object can cost: many writes at once, but in the long run one in a second.
#[derive(Debug)]
pub struct Pace {
    left: Duration,
    since: Instant,
}

const BURST: Duration = Duration::from_secs(100);
const COST: Duration = Duration::from_secs(1);

impl Pace {
    /// Nothing spent yet.
    pub fn new(now: Instant) -> Self {
        Self {
            left: BURST,
            since: now,
        }
    }

    /// Spends one write, or tells how long to wait for it.
    pub fn spend(&mut self, now: Instant) -> Result<(), Duration> {
        let gained = now.saturating_duration_since(self.since);
        self.left = self.left.saturating_add(gained).min(BURST);
        self.since = now;
        match self.left.checked_sub(COST) {
            Some(left) => {
                self.left = left;
                Ok(())
            }
            None => Err(COST.saturating_sub(self.left)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_a_limit_and_start_over() {
        let mut backoff = Doubling::default();
        let first: Vec<_> = backoff.by_ref().take(3).collect();
        assert_eq!(first, [50, 100, 200].map(Duration::from_millis));
        assert_eq!(backoff.by_ref().nth(40), Some(LONGEST));
        backoff.reset();
        assert_eq!(backoff.delay(), FIRST);
    }

    #[test]
    fn writes_in_the_long_run_are_one_in_a_second() {
        let begun = Instant::now();
        let mut pace = Pace::new(begun);
        assert!((0..100).all(|_| pace.spend(begun).is_ok()));
        assert_eq!(pace.spend(begun), Err(COST));
        let later = begun + Duration::from_millis(1500);
        assert_eq!(pace.spend(later), Ok(()));
        assert_eq!(pace.spend(later), Err(Duration::from_millis(500)));
    }
}
