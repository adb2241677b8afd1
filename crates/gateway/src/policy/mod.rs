//! The policy that is served by: the last good one, whoever delivered it.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use arc_swap::ArcSwapOption;
use atelier_api::gateway_policy::{GatewayPolicy, POLICY_KEY};
use atelier_api::report::Wanted;
use jiff::Timestamp;
use tokio::sync::watch as channel;

use crate::metrics::Metrics;
use crate::tokens::Tokens;

pub mod file;
pub mod watch;

/// Who delivered a policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The Secret as mounted, which the kubelet brings up to date within about a minute.
    File,
    /// The Secret as watched.
    Watch,
}

/// A policy, and what was made of it to judge requests by.
#[derive(Debug)]
pub struct InForce {
    /// The policy.
    pub policy: GatewayPolicy,
    /// Which tokens are good, where tokens are asked for.
    pub tokens: Option<Tokens>,
}

impl InForce {
    /// Prepares a policy.
    #[must_use]
    pub fn new(policy: GatewayPolicy) -> Self {
        let tokens = match &policy {
            GatewayPolicy::Token { tokens, .. } => Some(Tokens::new(tokens)),
            GatewayPolicy::Key { .. } | GatewayPolicy::None { .. } => None,
        };
        Self { policy, tokens }
    }
}

/// The policy in force.
#[derive(Debug)]
pub struct Store {
    current: ArcSwapOption<InForce>,
    /// Set when the watch has delivered. The mounted file, which lags behind, is then done for:
    /// it must not bring a revoked key back.
    watched: AtomicBool,
    /// What the operator wants to be told, by the same Secret.
    wanted: channel::Sender<Wanted>,
    metrics: Arc<Metrics>,
}

impl Store {
    /// A store without a policy.
    #[must_use]
    pub fn new(metrics: Arc<Metrics>) -> Self {
        Self {
            current: ArcSwapOption::empty(),
            watched: AtomicBool::new(false),
            wanted: channel::Sender::default(),
            metrics,
        }
    }

    /// The policy in force, if there ever was one.
    #[must_use]
    pub fn current(&self) -> Option<Arc<InForce>> {
        self.current.load_full()
    }

    /// Whether the watch has delivered a policy.
    #[must_use]
    pub fn is_watched(&self) -> bool {
        self.watched.load(Ordering::Relaxed)
    }

    /// What the operator wants to be told, as it changes.
    #[must_use]
    pub fn wanted(&self) -> channel::Receiver<Wanted> {
        self.wanted.subscribe()
    }

    /// Notes what the operator wants to be told.
    pub fn want(&self, wanted: Wanted) {
        self.wanted
            .send_if_modified(|before| std::mem::replace(before, wanted) != wanted);
    }

    /// Takes a document over, if it is good; else the last good policy stays in force.
    pub fn offer(&self, source: Source, document: &[u8], now: Timestamp) {
        let policy = match GatewayPolicy::from_json(document) {
            Ok(policy) => policy,
            Err(error) => {
                self.metrics.policy_rejected();
                tracing::error!(
                    %error,
                    ?source,
                    effect = self.effect(),
                    "the policy cannot be read: correct or delete entry {POLICY_KEY} of the Secret; the operator rebuilds it"
                );
                return;
            }
        };
        if source == Source::Watch {
            self.watched.store(true, Ordering::Relaxed);
        } else if self.is_watched() {
            return;
        }
        if self.current.load().as_ref().map(|live| &live.policy) == Some(&policy) {
            return;
        }
        // What is told is so already: whoever waits for the line may ask at once.
        let in_force = Arc::new(InForce::new(policy));
        self.current.store(Some(in_force.clone()));
        let policy = &in_force.policy;
        self.metrics.policy_loaded(policy, now);
        let generation = |slot: fn(&GatewayPolicy) -> Option<u64>| slot(policy);
        tracing::info!(
            ?source,
            mode = ?policy.mode(),
            primary = generation(|policy| Some(policy.keys()?.primary.generation)),
            secondary = generation(|policy| Some(policy.keys()?.secondary.generation)),
            "a policy is in force"
        );
    }

    /// What a policy that cannot be had means for requests, for the log.
    fn effect(&self) -> &'static str {
        if self.current.load().is_some() {
            "the last good policy stays in force"
        } else {
            "requests are refused until there is a policy"
        }
    }
}

#[cfg(test)]
mod tests {
    use atelier_api::gateway_policy::AuthMode;

    use super::*;

    const NONE: &[u8] = br#"{"version":1,"mode":"None"}"#;
    const NOW: Timestamp = Timestamp::UNIX_EPOCH;

    fn key() -> Vec<u8> {
        let slot = format!(r#"{{"generation":1,"sha256":"{}"}}"#, "0".repeat(64));
        format!(r#"{{"version":1,"mode":"Key","keys":{{"primary":{slot},"secondary":{slot}}}}}"#)
            .into_bytes()
    }

    fn mode(store: &Store) -> Option<AuthMode> {
        store.current().map(|live| live.policy.mode())
    }

    #[test]
    fn the_last_good_policy_outlives_a_bad_one() {
        let store = Store::new(Metrics::new());
        store.offer(Source::Watch, b"{}", NOW);
        assert_eq!(mode(&store), None);
        store.offer(Source::Watch, &key(), NOW);
        store.offer(Source::Watch, b"{}", NOW);
        store.offer(Source::Watch, b"", NOW);
        assert_eq!(mode(&store), Some(AuthMode::Key));
    }

    #[test]
    fn the_file_serves_only_until_the_watch_delivers() {
        let store = Store::new(Metrics::new());
        store.offer(Source::File, &key(), NOW);
        store.offer(Source::File, NONE, NOW);
        assert_eq!(mode(&store), Some(AuthMode::None));
        store.offer(Source::Watch, &key(), NOW);
        store.offer(Source::File, NONE, NOW);
        assert_eq!(mode(&store), Some(AuthMode::Key));
    }

    #[test]
    fn a_bad_document_from_the_watch_leaves_the_file_in_charge() {
        let store = Store::new(Metrics::new());
        store.offer(Source::Watch, b"{}", NOW);
        store.offer(Source::File, NONE, NOW);
        assert_eq!(mode(&store), Some(AuthMode::None));
    }
}
