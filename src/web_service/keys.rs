//! The two keys of a service: pure. What is to be kept, and what made anew.
//!
//! The generation that was applied stands in the same Secret as the key, so it is written in the same moment: a crash
//! or a lost status rotates nothing twice.

use std::collections::BTreeMap;

use atelier_api::actions::KeyType;
use atelier_api::gateway_policy::{GatewayPolicy, KeyDigest, KeySlot, KeySlots};
use atelier_api::v1alpha1::KeyGeneration;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::kit::children::SecretView;

/// What keys begin with, so that secret scanners find them.
const PREFIX: &str = "atl_";
/// How long they are: 256 bits in base64.
const LENGTH: usize = PREFIX.len() + 43;
/// Entry of the Secret that tells of the keys' generations.
const STATE: &str = "state.json";

/// A key. Its value never shows in debug output.
#[derive(Clone, PartialEq, Eq)]
pub struct Key {
    value: String,
    state: SlotState,
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Key")
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}

/// What is noted of a key beside it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct SlotState {
    /// The generation that the spec asked for when it was made.
    generation: i64,
    /// How often a key of this slot has been made, for whatever reason. Tells a key that was made anew from one that
    /// somebody put there.
    #[serde(default = "once")]
    serial: u64,
    created_at: Timestamp,
}

fn once() -> u64 {
    1
}

/// Both keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keys {
    /// The primary key.
    pub primary: Key,
    /// The secondary key.
    pub secondary: Key,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct State {
    primary: SlotState,
    secondary: SlotState,
}

/// Why a slot got a new key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// There was none.
    Missing,
    /// The spec asks for a later generation.
    Asked,
    /// It was not what its digest said: somebody edited the Secret.
    Tampered,
}

/// What became of the two slots.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// The keys as they should be.
    pub keys: Keys,
    /// Slots that got a new key, by name.
    pub remade: Vec<(&'static str, Cause)>,
}

/// One slot as it stands in the Secret, if it can be read.
pub type Stored = Option<Key>;

/// Both slots as they stand in a Secret's data.
pub fn read(data: &BTreeMap<String, Vec<u8>>) -> [Stored; 2] {
    let state = data
        .get(STATE)
        .and_then(|bytes| serde_json::from_slice::<State>(bytes).ok());
    let value = |name: &str| {
        data.get(name)
            .and_then(|bytes| String::from_utf8(bytes.clone()).ok())
            .filter(|value| is_key(value))
    };
    let Some(state) = state else {
        return [None, None];
    };
    [
        value("primary").map(|value| Key {
            value,
            state: state.primary,
        }),
        value("secondary").map(|value| Key {
            value,
            state: state.secondary,
        }),
    ]
}

fn is_key(value: &str) -> bool {
    value
        .strip_prefix(PREFIX)
        .and_then(|rest| URL_SAFE_NO_PAD.decode(rest).ok())
        .is_some_and(|bytes| bytes.len() == 32)
}

/// Decides what the keys should be. `policy` holds the digests that gateways go by, if they were made from this very
/// Secret; `fresh` gives 256 random bits.
pub fn decide<E>(
    wanted: KeyGeneration,
    stored: [Stored; 2],
    policy: Option<&GatewayPolicy>,
    now: Timestamp,
    mut fresh: impl FnMut() -> Result<[u8; 32], E>,
) -> Result<Decision, E> {
    let known = policy.and_then(GatewayPolicy::keys);
    let [primary, secondary] = stored;
    let mut remade = vec![];
    let mut slot = |name, stored: Stored, wanted, known: Option<&KeySlot>| -> Result<Key, E> {
        let serial = next_serial(stored.as_ref(), known);
        let (generation, cause) = match judge(stored, wanted, known) {
            Ok(key) => return Ok(key),
            Err(due) => due,
        };
        remade.push((name, cause));
        Ok(Key::make(generation, serial, now, fresh()?))
    };
    let keys = Keys {
        primary: slot(
            "primary",
            primary,
            wanted.primary,
            known.map(|k| &k.primary),
        )?,
        secondary: slot(
            "secondary",
            secondary,
            wanted.secondary,
            known.map(|k| &k.secondary),
        )?,
    };
    Ok(Decision { keys, remade })
}

/// Both keys, one of them made anew because somebody asked for it. The generation stays: it counts what the spec asks
/// for. `None` where what is stored is no pair of keys.
pub fn regenerate(
    stored: [Stored; 2],
    which: KeyType,
    now: Timestamp,
    fresh: [u8; 32],
) -> Option<Keys> {
    let [primary, secondary] = stored;
    let mut keys = Keys {
        primary: primary?,
        secondary: secondary?,
    };
    let key = match which {
        KeyType::Primary => &mut keys.primary,
        KeyType::Secondary => &mut keys.secondary,
    };
    *key = Key::make(key.state.generation, key.state.serial + 1, now, fresh);
    Some(keys)
}

fn next_serial(stored: Option<&Key>, known: Option<&KeySlot>) -> u64 {
    let stored = stored.map_or(0, |key| key.state.serial);
    stored.max(known.map_or(0, |known| known.generation)) + 1
}

/// Keeps a slot's key, or says which generation a new one has and why it is due.
fn judge(stored: Stored, wanted: i64, known: Option<&KeySlot>) -> Result<Key, (i64, Cause)> {
    let Some(key) = stored else {
        return Err((wanted, Cause::Missing));
    };
    // Lowering the wanted generation does nothing: a rollback must not rotate keys.
    if key.state.generation < wanted {
        return Err((wanted, Cause::Asked));
    }
    match known.filter(|known| known.generation == key.state.serial) {
        Some(known) if known.sha256 != key.digest() => Err((key.state.generation, Cause::Tampered)),
        _ => Ok(key),
    }
}

impl Key {
    fn make(generation: i64, serial: u64, now: Timestamp, random: [u8; 32]) -> Self {
        Self {
            value: format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(random)),
            state: SlotState {
                generation,
                serial,
                created_at: now,
            },
        }
    }

    /// The key itself, for those who may have it.
    pub fn reveal(&self) -> &str {
        &self.value
    }

    /// When it was made.
    pub fn created_at(&self) -> Timestamp {
        self.state.created_at
    }

    /// The SHA-256 of the key.
    pub fn digest(&self) -> KeyDigest {
        KeyDigest::new(Sha256::digest(self.value.as_bytes()).into())
    }
}

/// What may be known of the keys: digests, never keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKeys {
    /// Uid of the Secret that holds the keys.
    pub secret_uid: String,
    /// Its name, where it is one that others keep.
    pub brought: Option<String>,
    /// How often they were made, and digests.
    pub slots: KeySlots,
    /// The generations that the spec asked for when they were made.
    pub generations: KeyGeneration,
    /// When the primary key was made.
    pub primary_created: Timestamp,
    /// When the secondary key was made.
    pub secondary_created: Timestamp,
}

impl Keys {
    /// The data of the Secret that holds them.
    pub fn data(&self) -> Result<BTreeMap<String, Vec<u8>>, serde_json::Error> {
        Ok([
            (
                "primary".to_owned(),
                self.primary.value.clone().into_bytes(),
            ),
            (
                "secondary".to_owned(),
                self.secondary.value.clone().into_bytes(),
            ),
            (STATE.to_owned(), serde_json::to_vec(&self.state())?),
        ]
        .into())
    }

    /// What may be known of them.
    pub fn public(&self, secret_uid: String) -> PublicKeys {
        let digests = [self.primary.digest(), self.secondary.digest()];
        self.state().public(secret_uid, digests)
    }

    fn state(&self) -> State {
        State {
            primary: self.primary.state.clone(),
            secondary: self.secondary.state.clone(),
        }
    }
}

/// The keys as they show by digest alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeysShape {
    state: State,
    digests: [(&'static str, [u8; 32]); 3],
}

/// Recognises keys by what is kept of their Secret. `None` where one has to be made anew, or cannot be one.
pub fn shape(secret: &SecretView, wanted: KeyGeneration) -> Option<KeysShape> {
    let document = secret.get(STATE)?.document.as_ref()?;
    let state: State = serde_json::from_slice(document).ok()?;
    let due =
        state.primary.generation < wanted.primary || state.secondary.generation < wanted.secondary;
    let key = |name: &'static str| {
        let entry = secret.get(name).filter(|entry| entry.length == LENGTH)?;
        Some((name, entry.sha256))
    };
    // As it would be written: what somebody has put between counts as changed.
    let written = Sha256::digest(serde_json::to_vec(&state).ok()?).into();
    let digests = [key("primary")?, key("secondary")?, (STATE, written)];
    (!due).then_some(KeysShape { state, digests })
}

impl KeysShape {
    /// Digests of the Secret's entries, by name.
    pub fn digests(&self) -> impl Iterator<Item = (&str, &[u8; 32])> {
        self.digests.iter().map(|(name, digest)| (*name, digest))
    }

    /// What may be known of the keys.
    pub fn public(&self, secret_uid: String) -> PublicKeys {
        let [(_, primary), (_, secondary), _] = self.digests;
        self.state
            .public(secret_uid, [primary, secondary].map(KeyDigest::new))
    }
}

impl State {
    fn public(&self, secret_uid: String, [primary, secondary]: [KeyDigest; 2]) -> PublicKeys {
        let slot = |state: &SlotState, sha256| KeySlot {
            generation: state.serial,
            sha256,
        };
        PublicKeys {
            secret_uid,
            brought: None,
            slots: KeySlots {
                primary: slot(&self.primary, primary),
                secondary: slot(&self.secondary, secondary),
            },
            generations: KeyGeneration {
                primary: self.primary.generation,
                secondary: self.secondary.generation,
            },
            primary_created: self.primary.created_at,
            secondary_created: self.secondary.created_at,
        }
    }
}

/// The first 8 hexadecimal digits of a digest: enough to tell two keys apart, too little to test guesses of one.
pub fn fingerprint(digest: &KeyDigest) -> String {
    digest
        .as_bytes()
        .iter()
        .take(4)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;

    const G: fn(i64, i64) -> KeyGeneration =
        |primary, secondary| KeyGeneration { primary, secondary };

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).expect("a valid time")
    }

    /// Decides with bytes that count up from `seed`.
    fn decided(
        wanted: KeyGeneration,
        data: Option<&BTreeMap<String, Vec<u8>>>,
        policy: Option<&GatewayPolicy>,
        seed: u8,
    ) -> Decision {
        let mut next = seed;
        let stored = data.map(read).unwrap_or_default();
        let result = decide(wanted, stored, policy, at(i64::from(seed)), || {
            next += 1;
            Ok::<_, Infallible>([next; 32])
        });
        result.expect("never fails")
    }

    fn data(decision: &Decision) -> BTreeMap<String, Vec<u8>> {
        decision.keys.data().expect("writable")
    }

    fn policy(decision: &Decision) -> GatewayPolicy {
        GatewayPolicy::Key {
            keys: decision.keys.public("u".into()).slots,
        }
    }

    #[test]
    fn two_different_keys_are_made_once_and_then_kept() {
        let first = decided(G(1, 1), None, None, 10);
        assert_eq!(
            first.remade,
            [("primary", Cause::Missing), ("secondary", Cause::Missing)]
        );
        let stored = data(&first);
        assert_ne!(stored["primary"], stored["secondary"]);
        assert!(
            stored["primary"].starts_with(PREFIX.as_bytes())
                && stored["primary"].len() == PREFIX.len() + 43
        );
        let again = decided(G(1, 1), Some(&stored), Some(&policy(&first)), 20);
        assert_eq!((again.keys, again.remade), (first.keys, vec![]));
    }

    #[test]
    fn a_later_generation_remakes_its_slot_only_and_an_earlier_one_nothing() {
        let first = decided(G(1, 1), None, None, 10);
        let second = decided(G(2, 1), Some(&data(&first)), Some(&policy(&first)), 20);
        assert_eq!(second.remade, [("primary", Cause::Asked)]);
        assert_eq!(second.keys.secondary, first.keys.secondary);
        assert_ne!(second.keys.primary, first.keys.primary);
        let lowered = decided(G(1, 1), Some(&data(&second)), Some(&policy(&second)), 30);
        assert_eq!((lowered.keys, lowered.remade), (second.keys, vec![]));
    }

    #[test]
    fn a_crash_between_the_two_secrets_rotates_nothing_twice() {
        let first = decided(G(1, 1), None, None, 10);
        let second = decided(G(2, 1), Some(&data(&first)), Some(&policy(&first)), 20);
        let after_crash = decided(G(2, 1), Some(&data(&second)), Some(&policy(&first)), 30);
        assert_eq!(
            (after_crash.keys, after_crash.remade),
            (second.keys, vec![])
        );
    }

    #[test]
    fn an_edited_key_is_made_anew_and_the_other_kept() {
        let first = decided(G(1, 1), None, None, 10);
        let mut edited = data(&first);
        edited.insert("primary".into(), edited["secondary"].clone());
        let repaired = decided(G(1, 1), Some(&edited), Some(&policy(&first)), 20);
        assert_eq!(repaired.remade, [("primary", Cause::Tampered)]);
        assert_eq!(repaired.keys.secondary, first.keys.secondary);
        assert_ne!(repaired.keys.primary, first.keys.primary);
        // A crash before the gateways were told makes it no second time.
        let again = decided(G(1, 1), Some(&data(&repaired)), Some(&policy(&first)), 30);
        assert_eq!((again.keys, again.remade), (repaired.keys, vec![]));
    }

    #[test]
    fn a_key_made_anew_by_an_action_is_kept_and_counts_for_no_generation() {
        let first = decided(G(1, 1), None, None, 10);
        let keys = regenerate(read(&data(&first)), KeyType::Secondary, at(20), [9; 32]);
        let keys = keys.expect("a pair");
        assert_eq!(keys.primary, first.keys.primary);
        assert_ne!(keys.secondary.digest(), first.keys.secondary.digest());
        let stored = keys.data().expect("writable");
        let kept = decided(G(1, 1), Some(&stored), Some(&policy(&first)), 30);
        assert_eq!((kept.keys, kept.remade), (keys, vec![]));
        // The spec's next generation still means something.
        let asked = decided(G(1, 2), Some(&stored), None, 40);
        assert_eq!(asked.remade, [("secondary", Cause::Asked)]);
        assert_eq!(
            regenerate([None, None], KeyType::Primary, at(20), [9; 32]),
            None
        );
    }

    #[test]
    fn what_cannot_be_read_is_made_anew() {
        let first = decided(G(1, 1), None, None, 10);
        for (entry, value) in [("primary", "short"), ("primary", ""), (STATE, "{")] {
            let mut broken = data(&first);
            broken.insert(entry.into(), value.into());
            assert!(
                !decided(G(1, 1), Some(&broken), None, 20).remade.is_empty(),
                "{entry}={value}"
            );
        }
    }

    /// What a watch leaves of a Secret with this data.
    fn view(data: &BTreeMap<String, Vec<u8>>) -> SecretView {
        let bytes = |value: &Vec<u8>| k8s_openapi::ByteString(value.clone());
        let data: BTreeMap<_, _> = data.iter().map(|(n, v)| (n.clone(), bytes(v))).collect();
        SecretView::of(&serde_json::json!({"data": data}))
    }

    #[test]
    fn keys_are_known_again_by_their_digests() {
        let keys = decided(G(2, 1), None, None, 10).keys;
        let data = keys.data().expect("writable");
        let shape = shape(&view(&data), G(1, 1)).expect("as they were made");
        assert_eq!(shape.public("u".into()), keys.public("u".into()));
        for (name, digest) in shape.digests() {
            assert_eq!(digest, &<[u8; 32]>::from(Sha256::digest(&data[name])));
        }
    }

    #[test]
    fn digests_settle_nothing_where_a_key_is_due_or_cannot_be_one() {
        let first = data(&decided(G(1, 1), None, None, 10));
        assert_eq!(shape(&view(&first), G(2, 1)), None);
        for (entry, value) in [("primary", "short"), (STATE, "{")] {
            let mut broken = first.clone();
            broken.insert(entry.into(), value.into());
            assert_eq!(shape(&view(&broken), G(1, 1)), None, "{entry}");
        }
        // Spaces in the state: read, but not as it would be written.
        let mut edited = first.clone();
        edited.get_mut(STATE).expect("there").push(b' ');
        let shape = shape(&view(&edited), G(1, 1)).expect("readable");
        let state = shape
            .digests()
            .find(|(name, _)| *name == STATE)
            .expect("there");
        assert_ne!(state.1, &<[u8; 32]>::from(Sha256::digest(&edited[STATE])));
    }

    #[test]
    fn debug_output_shows_no_key() {
        let keys = decided(G(1, 1), None, None, 10).keys;
        assert!(!format!("{keys:?}").contains(PREFIX));
    }
}
