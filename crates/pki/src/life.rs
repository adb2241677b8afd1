//! From when until when a certificate is good.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// From when until when a certificate is good. Kept beside the certificate, so that nobody has to read X.509 for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Life {
    /// When it was made.
    pub created: Timestamp,
    /// From when it is good: a little before it was made.
    pub not_before: Timestamp,
    /// Until when it is good.
    pub not_after: Timestamp,
}

impl Life {
    /// A life that begins now. Ends are whole seconds, as in certificates.
    pub(crate) fn starting(now: Timestamp, backdate: Duration, length: Duration) -> Self {
        Self {
            created: now,
            not_before: whole(before(now, backdate)),
            not_after: whole(after(now, length)),
        }
    }

    /// The same, but over no later than that of the authority.
    pub(crate) fn within(mut self, authority: &Self) -> Self {
        self.not_after = self.not_after.min(authority.not_after);
        self
    }

    /// Whether it is good at a moment.
    pub fn holds(&self, now: Timestamp) -> bool {
        self.not_before <= now && now <= self.not_after
    }

    /// When to renew it: after two thirds.
    pub fn renew_at(&self) -> Timestamp {
        let length = self.not_after.duration_since(self.created).unsigned_abs();
        if self.not_after <= self.created {
            return self.created;
        }
        after(self.created, length / 3 * 2)
    }
}

/// A moment after another, or the end of time.
pub(crate) fn after(moment: Timestamp, length: Duration) -> Timestamp {
    moment.checked_add(length).unwrap_or(Timestamp::MAX)
}

/// A moment before another, or the beginning of time.
pub(crate) fn before(moment: Timestamp, length: Duration) -> Timestamp {
    moment.checked_sub(length).unwrap_or(Timestamp::MIN)
}

fn whole(moment: Timestamp) -> Timestamp {
    Timestamp::from_second(moment.as_second()).unwrap_or(moment)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn a_life_begins_before_it_was_made_and_is_renewed_after_two_thirds() {
        let life = Life::starting(at(1000), Duration::from_secs(300), Duration::from_secs(90));
        assert!(life.holds(at(700)) && life.holds(at(1090)));
        assert!(!life.holds(at(699)) && !life.holds(at(1091)));
        assert_eq!(life.renew_at(), at(1060));
        let short = Life {
            not_after: at(1030),
            ..life
        };
        assert_eq!(life.within(&short).renew_at(), at(1020));
    }

    #[test]
    fn no_length_is_too_long() {
        let life = Life::starting(at(0), Duration::MAX, Duration::MAX);
        assert!(life.holds(at(1 << 33)));
        assert!(life.renew_at() > at(0));
    }
}
