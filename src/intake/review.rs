//! Whether a token is what it says: asked of the API server, and remembered.
//!
//! What is remembered is bounded by the pods that we see: for each one good token and one bad one. So is what we ask: a
//! pod's claims are looked into once a second. Whoever makes up tokens has to know a pod's uid, which nobody outside its
//! namespace does, and only takes the turns of that pod.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use atelier_api::report::AUDIENCE;
use jiff::Timestamp;
use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec, TokenReviewStatus};
use kube::api::PostParams;
use kube::{Api, Client};
use sha2::{Digest as _, Sha256};
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};

use super::token::Claim;
use crate::kit::metrics::Metrics;

/// How long a good token is believed without asking again, if it is good for as long.
const BELIEVED: Duration = Duration::from_secs(600);
/// How long a bad one is not asked about again.
const DISBELIEVED: Duration = Duration::from_secs(30);
/// From one question about a pod to the next.
const EVERY: Duration = Duration::from_secs(1);
/// How many questions about a pod may follow each other at once: a token that is replaced, a process that starts.
const AT_ONCE: u32 = 3;
/// How long an answer may take.
const ANSWER: Duration = Duration::from_secs(5);
/// Questions under way.
const UNDER_WAY: usize = 16;
/// Pods that are remembered, whatever there are.
const MOST: usize = 20_000;

type Hash = [u8; 32];

/// What came of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is what it says.
    Good,
    /// It is not.
    Bad,
    /// Its pod's turns are used up.
    TooOften,
    /// The API server does not say.
    Unavailable,
}

/// What is remembered of a pod's tokens.
#[derive(Debug)]
struct Known {
    good: Option<(Hash, Instant)>,
    bad: Option<(Hash, Instant)>,
    turns: u32,
    counted: Instant,
}

impl Known {
    fn new(at: Instant) -> Self {
        Self {
            good: None,
            bad: None,
            turns: AT_ONCE,
            counted: at,
        }
    }

    /// What is known of a token without asking; `None` says to ask, and takes a turn.
    fn judge(&mut self, hash: &Hash, at: Instant) -> Option<Verdict> {
        let holds = |known: &Option<(Hash, Instant)>| {
            known.is_some_and(|(known, until)| known == *hash && at < until)
        };
        if holds(&self.good) {
            return Some(Verdict::Good);
        }
        if holds(&self.bad) {
            return Some(Verdict::Bad);
        }
        let passed = at.saturating_duration_since(self.counted).as_secs();
        let more = u32::try_from(passed / EVERY.as_secs()).unwrap_or(AT_ONCE);
        if more > 0 {
            self.turns = self.turns.saturating_add(more).min(AT_ONCE);
            self.counted = at;
        }
        match self.turns {
            0 => Some(Verdict::TooOften),
            _ => {
                self.turns -= 1;
                None
            }
        }
    }

    fn is_of_use(&self, at: Instant) -> bool {
        at < self.counted + BELIEVED
            || [&self.good, &self.bad]
                .into_iter()
                .flatten()
                .any(|(_, until)| at < *until)
    }
}

/// Asks, and remembers.
pub struct Reviews {
    client: Client,
    metrics: Metrics,
    known: Mutex<HashMap<String, Known>>,
    under_way: Semaphore,
}

impl Reviews {
    /// One that remembers nothing.
    pub fn new(client: Client, metrics: Metrics) -> Self {
        Self {
            client,
            metrics,
            known: Mutex::default(),
            under_way: Semaphore::new(UNDER_WAY),
        }
    }

    /// Whether a token is that of the pod which it says. The pod is one that we see.
    pub async fn judge(&self, token: &str, claim: &Claim, now: Timestamp, at: Instant) -> Verdict {
        if claim.expires <= now {
            return Verdict::Bad;
        }
        let hash: Hash = Sha256::digest(token).into();
        if let Some(verdict) = self.remembered(&claim.uid, &hash, at) {
            return verdict;
        }
        let verdict = self.ask(token, claim).await;
        let left = Duration::try_from(claim.expires.duration_since(now)).unwrap_or_default();
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = known.get_mut(&claim.uid) {
            match verdict {
                Verdict::Good => known.good = Some((hash, at + left.min(BELIEVED))),
                Verdict::Bad => known.bad = Some((hash, at + DISBELIEVED)),
                Verdict::TooOften | Verdict::Unavailable => {}
            }
        }
        verdict
    }

    fn remembered(&self, uid: &str, hash: &Hash, at: Instant) -> Option<Verdict> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = known.get_mut(uid) {
            return known.judge(hash, at);
        }
        // A new pod is rare enough to look whether others are of use still.
        known.retain(|_, known| known.is_of_use(at));
        if known.len() >= MOST {
            return Some(Verdict::Unavailable);
        }
        let mut new = Known::new(at);
        let verdict = new.judge(hash, at);
        known.insert(uid.to_owned(), new);
        verdict
    }

    async fn ask(&self, token: &str, claim: &Claim) -> Verdict {
        let review = TokenReview {
            spec: TokenReviewSpec {
                token: Some(token.to_owned()),
                audiences: Some(vec![AUDIENCE.to_owned()]),
            },
            ..TokenReview::default()
        };
        let asked = timeout(ANSWER, async {
            let _turn = self.under_way.acquire().await.ok()?;
            let api: Api<TokenReview> = Api::all(self.client.clone());
            match api.create(&PostParams::default(), &review).await {
                Ok(answer) => Some(answer.status.unwrap_or_default()),
                Err(error) => {
                    // Of an API error only what it says: the question holds the token.
                    tracing::warn!(%error, "the API server does not say whose token a report came with");
                    None
                }
            }
        });
        let verdict = match asked.await {
            Ok(Some(status)) if is_of(&status, claim) => Verdict::Good,
            Ok(Some(_)) => Verdict::Bad,
            Ok(None) | Err(_) => Verdict::Unavailable,
        };
        self.metrics.token_reviewed(match verdict {
            Verdict::Good => "good",
            Verdict::Bad => "bad",
            Verdict::TooOften | Verdict::Unavailable => "unavailable",
        });
        verdict
    }
}

/// Whether the API server says of a token what it says of itself.
fn is_of(status: &TokenReviewStatus, claim: &Claim) -> bool {
    let Some(user) = &status.user else {
        return false;
    };
    let audience = status.audiences.iter().flatten().any(|a| a == AUDIENCE);
    let name = format!(
        "system:serviceaccount:{}:{}",
        claim.namespace, claim.account
    );
    let extra = |key: &str| {
        let values = user.extra.as_ref()?.get(key)?;
        values.first().map(String::as_str)
    };
    status.authenticated == Some(true)
        && audience
        && user.username.as_deref() == Some(name.as_str())
        && extra("authentication.kubernetes.io/pod-name") == Some(claim.pod.as_str())
        && extra("authentication.kubernetes.io/pod-uid") == Some(claim.uid.as_str())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn claim() -> Claim {
        Claim {
            namespace: "n".into(),
            account: "s-gateway".into(),
            pod: "p".into(),
            uid: "u".into(),
            expires: Timestamp::UNIX_EPOCH,
        }
    }

    fn review() -> Value {
        json!({"authenticated": true, "audiences": ["atelier"], "user": {
            "username": "system:serviceaccount:n:s-gateway", "extra": {
            "authentication.kubernetes.io/pod-name": ["p"], "authentication.kubernetes.io/pod-uid": ["u"]}}})
    }

    fn agrees(review: Value) -> bool {
        is_of(&serde_json::from_value(review).expect("a status"), &claim())
    }

    #[test]
    fn only_what_the_api_server_confirms_in_every_point_is_believed() {
        assert!(agrees(review()));
        for (pointer, value) in [
            ("/authenticated", json!(false)),
            ("/audiences", json!(["https://kubernetes.default.svc"])),
            ("/audiences", json!([])),
            ("/user/username", json!("system:serviceaccount:m:s-gateway")),
            ("/user/username", json!("system:serviceaccount:n:other")),
            (
                "/user/extra/authentication.kubernetes.io~1pod-uid/0",
                json!("v"),
            ),
            (
                "/user/extra/authentication.kubernetes.io~1pod-name/0",
                json!("q"),
            ),
            ("/user/extra", json!({})),
            ("/user", Value::Null),
        ] {
            let mut other = review();
            *other.pointer_mut(pointer).expect("there") = value;
            assert!(!agrees(other), "{pointer}");
        }
    }

    #[test]
    fn a_token_is_asked_about_once_and_made_up_ones_take_only_their_pods_turns() {
        let begin = Instant::now();
        let after = |ms: u64| begin + Duration::from_millis(ms);
        let mut known = Known::new(begin);
        assert_eq!(known.judge(&[1; 32], after(0)), None);
        known.good = Some(([1; 32], after(5_000)));
        assert_eq!(known.judge(&[1; 32], after(4_999)), Some(Verdict::Good));
        for made_up in 2..10 {
            known.judge(&[made_up; 32], after(5_000));
        }
        assert_eq!(known.judge(&[9; 32], after(5_100)), Some(Verdict::TooOften));
        // It is over: to be asked about again, in its turn.
        assert_eq!(known.judge(&[1; 32], after(5_100)), Some(Verdict::TooOften));
        assert_eq!(known.judge(&[1; 32], after(6_000)), None);
        known.bad = Some(([1; 32], after(36_000)));
        assert_eq!(known.judge(&[1; 32], after(35_000)), Some(Verdict::Bad));
    }
}
