//! Which keys sign a service's tokens, and which are still accepted: pure.
//!
//! A key is told to the gateways a while before it signs, and is accepted until the last token that it has signed is
//! over: no token is ever refused because a key changed.

use std::collections::BTreeMap;

use atelier_api::gateway_policy::{KeyDigest, TokenKey, TokenPoint};
use atelier_api::v1alpha1::Tokens;
use atelier_token::SigningKey;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::kit::children::SecretView;
use crate::kit::conditions::whole_second;

/// Entry of the Secret that tells of the keys.
const STATE: &str = "state.json";
/// How long a key is known to the gateways before it signs, at most.
const LEAD: SignedDuration = SignedDuration::from_secs(60);
/// How much longer than its last token a key is accepted: clocks differ.
const MARGIN: SignedDuration = SignedDuration::from_secs(60);
/// The most keys there are at a time.
const MOST: usize = 12;

/// What is noted of the keys beside them, the oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// The generation that the spec asked for when they were made.
    generation: i64,
    keys: Vec<Noted>,
}

/// What is noted of one key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Noted {
    /// Its name.
    pub id: String,
    /// Its public half.
    pub point: TokenPoint,
    /// Digest of the entry with the private half.
    sha256: KeyDigest,
    /// From when on it signs.
    pub signs_from: Timestamp,
    /// Until when its tokens are accepted, once another is to take over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accepted_until: Option<Timestamp>,
}

impl Noted {
    /// Name of the entry with the private half: DER, PKCS#8.
    pub fn entry(&self) -> String {
        format!("{}.der", self.id)
    }
}

impl State {
    /// Reads the Secret's document, if it is one.
    pub fn read(document: &[u8]) -> Option<Self> {
        serde_json::from_slice(document).ok()
    }

    /// Reads what is kept of the Secret, if all its keys are there and nothing else is.
    pub fn of(secret: &SecretView) -> Option<Self> {
        let state = Self::read(secret.get(STATE)?.document.as_deref()?)?;
        let written = Sha256::digest(serde_json::to_vec(&state).ok()?);
        let mut expected: BTreeMap<_, [u8; 32]> = BTreeMap::new();
        expected.insert(STATE.to_owned(), written.into());
        for key in &state.keys {
            expected.insert(key.entry(), *key.sha256.as_bytes());
        }
        let found = secret.digests();
        let found: BTreeMap<_, _> = found
            .map(|(name, digest)| (name.to_owned(), *digest))
            .collect();
        (found == expected).then_some(state)
    }

    /// What is in a Secret with these keys, if they are all in order. Those that are not are left out.
    pub fn of_data(data: &BTreeMap<String, Vec<u8>>) -> Option<Self> {
        let mut state = Self::read(data.get(STATE)?)?;
        state.keys.retain(|key| {
            let stored = data.get(&key.entry());
            let stored = stored.and_then(|bytes| SigningKey::from_pkcs8(bytes).ok());
            stored.is_some_and(|stored| *stored.public() == key.public())
        });
        Some(state)
    }

    /// The keys, the oldest first.
    pub fn keys(&self) -> &[Noted] {
        &self.keys
    }

    /// The one that signs at this moment.
    pub fn signs(&self, now: Timestamp) -> Option<&Noted> {
        let begun = self.keys.iter().rfind(|key| key.signs_from <= now);
        begun.or(self.keys.first())
    }

    /// The Secret's data, with the private halves from what it held before and of a key that is new.
    pub fn data(
        &self,
        before: &BTreeMap<String, Vec<u8>>,
        fresh: Option<&SigningKey>,
    ) -> Result<BTreeMap<String, Vec<u8>>, serde_json::Error> {
        let private = self.keys.iter().filter_map(|key| {
            let fresh = fresh.filter(|fresh| fresh.public().id == key.id);
            let bytes = match fresh {
                Some(fresh) => fresh.pkcs8().to_vec(),
                None => before.get(&key.entry())?.clone(),
            };
            Some((key.entry(), bytes))
        });
        let mut data: BTreeMap<_, _> = private.collect();
        data.insert(STATE.to_owned(), serde_json::to_vec(self)?);
        Ok(data)
    }

    /// Adds a key that is to sign from then on.
    pub fn with(mut self, key: &SigningKey, signs_from: Timestamp) -> Self {
        let TokenKey { id, point } = key.public().clone();
        self.keys.push(Noted {
            id,
            point,
            sha256: KeyDigest::new(Sha256::digest(key.pkcs8()).into()),
            signs_from,
            accepted_until: None,
        });
        self
    }
}

impl Noted {
    /// What gateways are told of it.
    pub fn public(&self) -> TokenKey {
        TokenKey {
            id: self.id.clone(),
            point: self.point.clone(),
        }
    }
}

/// What is to become of the keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Those that stay.
    pub state: State,
    /// From when on a new one is to sign, if there is to be one.
    pub make: Option<Timestamp>,
    /// When to look again.
    pub again: Timestamp,
}

impl Decision {
    /// Whether nothing is to be done about these keys.
    pub fn keeps(&self, before: &State) -> bool {
        self.make.is_none() && self.state == *before
    }
}

/// Decides by what there is, what is wanted, and the time.
pub fn decide(stored: Option<&State>, wanted: &Tokens, now: Timestamp) -> Decision {
    let seconds = |seconds: i64| SignedDuration::from_secs(seconds);
    let rotation = seconds(wanted.rotation_seconds);
    let lead = LEAD.min(rotation / 4);
    let now = whole_second(now);
    // Lowering the generation does nothing: a rollback must not bring keys back, nor forget any.
    let kept = stored.filter(|state| state.generation >= wanted.generation);
    let mut state = State {
        generation: kept.map_or(wanted.generation, |state| state.generation),
        keys: kept.map_or_else(Vec::new, |state| state.keys.clone()),
    };
    state
        .keys
        .retain(|key| key.accepted_until.is_none_or(|until| until > now));
    let make = match state.keys.last() {
        None => Some(now),
        Some(newest) => {
            let due = after(newest.signs_from, rotation);
            let is_due = after(now, lead) >= due && state.keys.len() < MOST;
            is_due.then(|| due.max(after(now, lead)))
        }
    };
    let successors: Vec<_> = state
        .keys
        .iter()
        .skip(1)
        .map(|key| key.signs_from)
        .collect();
    let successors = successors.into_iter().chain(make);
    for (key, successor) in state.keys.iter_mut().zip(successors) {
        // A lifetime that was raised meanwhile counts as long as the key may still sign.
        let until = after(successor, seconds(wanted.lifetime_seconds) + MARGIN);
        let noted = key
            .accepted_until
            .filter(|noted| successor <= now || *noted > until);
        key.accepted_until = Some(noted.unwrap_or(until));
    }
    let newest = make.or(state.keys.last().map(|key| key.signs_from));
    let due = after(newest.unwrap_or(now), rotation - lead);
    let ends = state.keys.iter().filter_map(|key| key.accepted_until);
    let again = ends.chain([due]).min().unwrap_or(due);
    Decision { state, make, again }
}

/// Beyond the end of time is the end of time.
fn after(at: Timestamp, duration: SignedDuration) -> Timestamp {
    at.saturating_add(duration).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests;
