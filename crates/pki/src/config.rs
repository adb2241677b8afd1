//! What is to be kept, and for how long.

use std::fmt::{self, Debug, Formatter};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::error::PeriodsError;
use crate::issuer::Issuer;
use crate::target::Target;

const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);

/// What is to be kept.
#[derive(Clone, Debug)]
pub struct Config {
    /// Namespace of all the Secrets: the operator's own.
    pub namespace: String,
    /// Name of the Secret with the authorities. Nobody but the operator may read it.
    pub authority_secret: String,
    /// The certificates, each in a Secret of its own.
    pub leaves: Vec<Leaf>,
    /// Who is told which authorities to trust, besides the readers of the certificates' Secrets.
    pub targets: Vec<Target>,
    /// The certificates that others keep, by the same authority.
    pub elsewhere: Option<Elsewhere>,
    /// How long everything lives.
    pub periods: Periods,
}

/// Certificates that others keep, by the same authority: a rotation waits for them as well.
#[derive(Clone)]
pub struct Elsewhere {
    /// What signs them. Is told of every change of the authorities.
    pub issuer: Arc<Issuer>,
    /// Whether all of them that exist are [`Issuer::is_current`]. Asked often, so it may ask nobody itself.
    pub all_current: Arc<dyn Fn() -> bool + Send + Sync>,
}

impl Debug for Elsewhere {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_struct("Elsewhere").finish_non_exhaustive()
    }
}

/// A certificate to be kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Leaf {
    /// Name of the Secret: `tls.crt`, `tls.key`, and in `ca.crt` the authorities to trust.
    pub secret_name: String,
    /// The subject: to a server that checks client certificates, who the client is.
    pub common_name: String,
    /// The names that it is good for.
    pub dns_names: Vec<String>,
    /// The addresses that it is good for.
    pub ips: Vec<IpAddr>,
    /// What it is good for.
    pub purpose: Purpose,
}

impl Leaf {
    /// A server's that is reached as this Service, by any of the names that the cluster's DNS has for it.
    #[must_use]
    pub fn of_service(secret_name: String, service: &str, namespace: &str) -> Self {
        let ends = ["", ".svc", ".svc.cluster.local"];
        Self {
            secret_name,
            common_name: service.to_owned(),
            dns_names: ends
                .map(|end| format!("{service}.{namespace}{end}"))
                .to_vec(),
            ips: vec![],
            purpose: Purpose::Server,
        }
    }
}

/// What a certificate is good for. None is good for both.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Purpose {
    /// To show who serves.
    Server,
    /// To show who asks.
    Client,
}

/// How long everything lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Periods {
    /// From one authority to the next.
    pub rotate_every: Duration,
    /// For how long an authority's certificate is good. Longer than until the next, so that an operator that was down
    /// for a while finds it still good.
    pub authority_life: Duration,
    /// For how long other certificates are good. They are renewed after two thirds of it.
    pub leaf_life: Duration,
    /// How long everybody is given to read what has changed, before anything relies on it.
    pub overlap: Duration,
    /// How long before it was made a certificate begins to be good: for those whose clock is late.
    pub backdate: Duration,
}

impl Default for Periods {
    fn default() -> Self {
        Self {
            rotate_every: 90 * DAY,
            authority_life: 180 * DAY,
            leaf_life: 30 * DAY,
            overlap: HOUR,
            backdate: Duration::from_secs(300),
        }
    }
}

impl Periods {
    /// Fails if calls would fail by these periods even when all goes well.
    pub fn check(&self) -> Result<(), PeriodsError> {
        if self.leaf_life <= self.overlap.saturating_mul(3) {
            return Err(PeriodsError::LeafTooShort);
        }
        if self.rotate_every <= self.overlap.saturating_mul(2) {
            return Err(PeriodsError::RotationTooOften);
        }
        let needed = self.rotate_every.saturating_add(self.leaf_life);
        if self.authority_life <= needed.saturating_add(self.overlap.saturating_mul(3)) {
            return Err(PeriodsError::AuthorityTooShort);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn periods_that_cannot_be_kept_together_are_refused() {
        let good = Periods::default();
        assert_eq!(good.check(), Ok(()));
        let bad = |change: fn(&mut Periods)| {
            let mut periods = good;
            change(&mut periods);
            periods.check().unwrap_err()
        };
        assert_eq!(bad(|p| p.overlap = 10 * DAY), PeriodsError::LeafTooShort);
        assert_eq!(
            bad(|p| p.rotate_every = 2 * HOUR),
            PeriodsError::RotationTooOften
        );
        assert_eq!(
            bad(|p| p.authority_life = 120 * DAY),
            PeriodsError::AuthorityTooShort
        );
        assert_eq!(
            bad(|p| p.rotate_every = Duration::MAX),
            PeriodsError::AuthorityTooShort
        );
    }
}
