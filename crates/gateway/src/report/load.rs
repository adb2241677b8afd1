//! How much there is to do: looked at fifty times a second while there is anything, and told as a mean over a second.
//!
//! A mean, because what is true of one moment is told on changes, and so more often of busy moments than of others: one
//! request of five milliseconds would count for the tenth of a second until the next report.

use std::time::Duration;

use atelier_api::report::{BUSY_MS, IDLE_MS, Load, SHORTEST_MS};
use tokio::{
    sync::watch,
    time::{Instant, MissedTickBehavior, interval_at, timeout},
};

use crate::limits::{Gauge, Level};

/// Time between two looks.
const LOOK: Duration = Duration::from_millis(20);

/// Looks that a mean is over: one second.
const LOOKS: usize = 50;

/// Looks between two reports at least.
const LOOKS_A_REPORT: u32 = (SHORTEST_MS / 20) as u32;

/// A change of less than this, in thousandths of a request, and of less than a tenth, is not told of at once.
const LITTLE: u64 = 100;

/// The last second.
struct Window {
    looks: [Level; LOOKS],
    next: usize,
    sum: (u64, u64),
}

impl Window {
    fn new() -> Self {
        Self {
            looks: [Level::default(); LOOKS],
            next: 0,
            sum: (0, 0),
        }
    }

    fn look(&mut self, level: Level) {
        let old = std::mem::replace(&mut self.looks[self.next], level);
        self.next = (self.next + 1) % LOOKS;
        self.sum.0 = self.sum.0 + u64::from(level.busy) - u64::from(old.busy);
        self.sum.1 = self.sum.1 + u64::from(level.queued) - u64::from(old.queued);
    }

    fn mean(&self) -> Load {
        let milli = |sum: u64| u32::try_from(sum * 1000 / LOOKS as u64).unwrap_or(u32::MAX);
        Load {
            busy_milli: milli(self.sum.0),
            queued_milli: milli(self.sum.1),
        }
    }
}

/// Whether a report is due, `since` the last one.
fn is_due(last: Option<Load>, load: Load, since: Duration) -> bool {
    let Some(last) = last else { return true };
    let (before, after) = (last.demand_milli(), load.demand_milli());
    let changed = before.abs_diff(after) >= LITTLE.max(before / 10);
    let idle = after == 0;
    let ended = idle && before != 0;
    let longest = Duration::from_millis(if idle { IDLE_MS } else { BUSY_MS });
    changed || ended || since >= longest
}

/// Sends out reports as they are due. Ends when nobody listens.
pub async fn measure(gauge: &Gauge, reports: &watch::Sender<Option<Load>>) {
    let mut window = Window::new();
    let (mut last, mut told) = (None, Instant::now());
    let mut ticks = interval_at(Instant::now() + LOOK, LOOK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut looks = 0_u32;
    loop {
        ticks.tick().await;
        window.look(gauge.level());
        looks = looks.wrapping_add(1);
        if !looks.is_multiple_of(LOOKS_A_REPORT) {
            continue;
        }
        let load = window.mean();
        if is_due(last, load, told.elapsed()) {
            if reports.send(Some(load)).is_err() {
                return;
            }
            (last, told) = (Some(load), Instant::now());
        }
        if load == Load::default() {
            // Until there is something to do, or it is time to say that there is not.
            let rest = Duration::from_millis(IDLE_MS).saturating_sub(told.elapsed());
            let _ = timeout(rest, gauge.busy()).await;
            // The first look comes a while after the request that woke us, or each would count for a whole look.
            ticks.reset();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ZERO: Duration = Duration::ZERO;

    fn load(busy_milli: u32, queued_milli: u32) -> Load {
        Load {
            busy_milli,
            queued_milli,
        }
    }

    #[test]
    fn a_mean_is_over_the_last_second() {
        let mut window = Window::new();
        let level = |busy, queued| Level { busy, queued };
        for _ in 0..25 {
            window.look(level(2, 1));
        }
        assert_eq!(window.mean(), load(1000, 500));
        for _ in 0..25 {
            window.look(level(2, 1));
        }
        assert_eq!(window.mean(), load(2000, 1000));
        for _ in 0..50 {
            window.look(level(0, 0));
        }
        assert_eq!(window.mean(), load(0, 0));
    }

    #[test]
    fn a_report_is_due_on_a_change_and_now_and_then() {
        let second = Duration::from_secs(1);
        assert!(is_due(None, load(0, 0), ZERO));
        for (what, before, after, since, due) in [
            (
                "nothing changed",
                load(1000, 0),
                load(1000, 0),
                second,
                false,
            ),
            (
                "a little changed",
                load(1000, 0),
                load(1050, 0),
                second,
                false,
            ),
            ("more changed", load(1000, 0), load(1000, 100), ZERO, true),
            ("a tenth of much", load(9000, 0), load(9500, 0), ZERO, false),
            ("the last has ended", load(20, 0), load(0, 0), ZERO, true),
            ("still busy", load(1000, 0), load(1000, 0), second * 5, true),
            ("still idle", load(0, 0), load(0, 0), second * 5, false),
            ("idle for long", load(0, 0), load(0, 0), second * 7, true),
        ] {
            assert_eq!(is_due(Some(before), after, since), due, "{what}");
        }
    }
}
