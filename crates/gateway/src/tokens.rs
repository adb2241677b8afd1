//! Which tokens open the service. What was verified once is remembered, since to verify takes longer than all else that
//! is done for a request.

use std::num::NonZeroUsize;
use std::sync::{Mutex, PoisonError};

use atelier_api::gateway_policy::TokenRules;
use atelier_api::subject;
use atelier_token::{Bad, Verified, Verifier};
use http::HeaderValue;
use jiff::Timestamp;
use lru::LruCache;
use sha2::{Digest as _, Sha256};

use crate::authn::Denied;

/// How many tokens are remembered: some 200 bytes each.
const REMEMBERED: NonZeroUsize = NonZeroUsize::new(4096).expect("not zero");

/// A token by its digest: who presents another has another digest.
type Digest = [u8; 32];

/// What one policy says of tokens. Another policy remembers nothing of this one: what it revokes is judged anew.
pub struct Tokens {
    verifier: Verifier,
    verified: Mutex<LruCache<Digest, Known>>,
}

/// A token that was good.
#[derive(Clone)]
struct Known {
    token: Verified,
    subject: HeaderValue,
}

impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.verifier.fmt(f)
    }
}

impl Tokens {
    /// Takes over what the policy says.
    #[must_use]
    pub fn new(rules: &TokenRules) -> Self {
        // It grows with the tokens that there are.
        let mut verified = LruCache::unbounded();
        verified.resize(REMEMBERED);
        Self {
            verifier: Verifier::new(rules),
            verified: Mutex::new(verified),
        }
    }

    /// Whom a token was given to, if it is good at this moment.
    ///
    /// # Errors
    /// The reason, for the metrics.
    pub fn judge(&self, token: &[u8], now: Timestamp) -> Result<HeaderValue, Denied> {
        let digest: Digest = Sha256::digest(token).into();
        if let Some(known) = self.remembered(&digest) {
            return known.token.at(now).map(|()| known.subject).map_err(denied);
        }
        let token = self.verifier.verify(token, now).map_err(denied)?;
        let name = subject::encoded(&token.subject);
        let fits = (1..=subject::LONGEST).contains(&name.len());
        let name = HeaderValue::try_from(name).ok().filter(|_| fits);
        let subject = name.ok_or(Denied::Malformed)?;
        let known = Known {
            token,
            subject: subject.clone(),
        };
        self.cache().put(digest, known);
        Ok(subject)
    }

    fn remembered(&self, digest: &Digest) -> Option<Known> {
        self.cache().get(digest).cloned()
    }

    fn cache(&self) -> std::sync::MutexGuard<'_, LruCache<Digest, Known>> {
        self.verified.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn denied(bad: Bad) -> Denied {
    match bad {
        Bad::Malformed => Denied::Malformed,
        Bad::UnknownKey | Bad::Signature => Denied::Wrong,
        Bad::Foreign => Denied::Foreign,
        Bad::Early => Denied::Early,
        Bad::Expired => Denied::Expired,
        Bad::Revoked => Denied::Revoked,
    }
}

#[cfg(test)]
mod tests {
    use atelier_api::gateway_policy::Revoked;
    use atelier_token::{Claims, SigningKey};
    use jiff::SignedDuration;

    use super::*;

    const LIFETIME: SignedDuration = SignedDuration::from_secs(60);

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_000_000 + second).expect("a valid time")
    }

    fn audience() -> [String; 2] {
        ["n/svc".to_owned(), "uid".to_owned()]
    }

    fn rules(key: &SigningKey) -> TokenRules {
        TokenRules {
            audience: audience(),
            keys: vec![key.public().clone()],
            revoked: Revoked::default(),
        }
    }

    fn token(key: &SigningKey, subject: &str) -> String {
        let claims = Claims::new(subject, audience(), "one".into(), at(0), LIFETIME);
        key.sign(&claims).expect("signed")
    }

    #[test]
    fn what_is_remembered_is_good_for_no_longer_than_it_says() {
        let key = SigningKey::generate().expect("a key");
        let tokens = Tokens::new(&rules(&key));
        let token = token(&key, "jürgen");
        for _ in 0..2 {
            let subject = tokens.judge(token.as_bytes(), at(59));
            assert_eq!(subject.expect("good"), "j%C3%BCrgen");
        }
        assert_eq!(tokens.judge(token.as_bytes(), at(60)), Err(Denied::Expired));
        assert_eq!(tokens.judge(token.as_bytes(), at(-31)), Err(Denied::Early));
        assert_eq!(tokens.cache().len(), 1);
    }

    #[test]
    fn what_is_refused_is_not_remembered_and_a_new_policy_judges_anew() {
        let key = SigningKey::generate().expect("a key");
        let mut rules = rules(&key);
        let tokens = Tokens::new(&rules);
        let token = token(&key, "rita");
        assert!(tokens.judge(token.as_bytes(), at(0)).is_ok());
        rules.revoked.subjects.push("rita".into());
        let tokens = Tokens::new(&rules);
        assert_eq!(tokens.judge(token.as_bytes(), at(0)), Err(Denied::Revoked));
        assert_eq!(tokens.cache().len(), 0);
    }

    #[test]
    fn a_name_that_is_no_header_opens_nothing() {
        let key = SigningKey::generate().expect("a key");
        let tokens = Tokens::new(&rules(&key));
        for name in [String::new(), "a".repeat(subject::LONGEST + 1)] {
            let token = token(&key, &name);
            assert_eq!(
                tokens.judge(token.as_bytes(), at(0)),
                Err(Denied::Malformed)
            );
        }
    }
}
