//! Keys that a service's team keeps itself, in a Secret that the service names.
//!
//! They stand there and nowhere else: what is kept of them is digests. They are never shown by way of the service, or
//! naming somebody's credential would be a way to read it.

use std::collections::BTreeMap;

use atelier_api::conditions::reasons;
use atelier_api::gateway_policy::{
    GatewayPolicy, KeyDigest, KeySlot, KeySlots, POLICY_KEY, TokenRules,
};
use atelier_api::v1alpha1::{AuthMode, KeyStatus};
use atelier_api::{WebService, labels};
use jiff::Timestamp;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt as _;
use sha2::{Digest as _, Sha256};

use super::keys::{PublicKeys, fingerprint};
use super::telemetry::Telling;
use super::{build, effective_mode, keystore};
use crate::ctx::Ctx;
use crate::kit::Error;
use crate::kit::brought::Brought;
use crate::kit::child::{ChildKey, ChildKind};
use crate::kit::meta::Parent;

/// Characters that a key has at least: 128 bits in hexadecimal.
const SHORTEST: usize = 32;
/// And at most: it travels in a header.
const LONGEST: usize = 512;

/// What is kept of such a Secret: digests, or why there are none.
pub type Held = Result<OwnKeys, String>;

/// Two keys, by their digests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnKeys {
    /// Uid of their Secret.
    uid: String,
    primary: KeyDigest,
    secondary: KeyDigest,
}

/// What became of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Why it is as it is, for the condition.
    pub reason: &'static str,
    /// The same as a sentence.
    pub message: String,
    /// Whether they do not open the service.
    pub failed: bool,
}

/// The Secret with the keys that a service's callers have to show, if its team keeps them.
pub fn wanted(service: &WebService) -> Option<&str> {
    let named = service.spec.auth.keys_secret_ref.as_ref()?;
    (effective_mode(service) == AuthMode::Key).then_some(named.name.as_str())
}

/// What a Secret holds, as far as keys are concerned.
pub fn read(secret: &Secret) -> Held {
    let none = BTreeMap::new();
    let data = secret.data.as_ref().unwrap_or(&none);
    let key = |name: &str| {
        let value = data.get(name);
        let ByteString(value) = value.ok_or_else(|| format!("it has no entry {name}"))?;
        judge(value).map_err(|why| format!("{name} {why}"))?;
        Ok::<_, String>(KeyDigest::new(Sha256::digest(value).into()))
    };
    let (primary, secondary) = (key("primary")?, key("secondary")?);
    if primary == secondary {
        return Err(
            "primary and secondary are the same: no caller could change from one to the other"
                .to_owned(),
        );
    }
    Ok(OwnKeys {
        uid: secret.uid().unwrap_or_default(),
        primary,
        secondary,
    })
}

/// Whether this can be a key. Says what is wrong without quoting it.
fn judge(value: &[u8]) -> Result<(), String> {
    if value.ends_with(b"\n") {
        return Err(
            "ends with a line break, which no caller sends: write it without one".to_owned(),
        );
    }
    if !value.iter().all(u8::is_ascii_graphic) {
        return Err(
            "has characters other than visible ASCII, which a header cannot carry".to_owned(),
        );
    }
    match value.len() {
        SHORTEST..=LONGEST => Ok(()),
        length => Err(format!(
            "has {length} characters; a key has {SHORTEST} to {LONGEST}"
        )),
    }
}

/// What gateways are to go by, and what became of the keys in the Secret `name`. Where they cannot be had, it is what
/// gateways were told before of keys like these, and else keys that nobody is shown: the service is never open
/// meanwhile.
pub async fn ensure(
    service: &WebService,
    parent: &Parent,
    name: &str,
    tokens: Option<&TokenRules>,
    telling: &Telling,
    ctx: &Ctx,
) -> Result<(Option<PublicKeys>, Standing), Error> {
    let brought = ctx.own_keys.know(&parent.namespace, &parent.name, name);
    let standing = match brought.await? {
        Brought::There(Ok(keys)) => {
            let public = keys.public(service, name, (ctx.clock)());
            return Ok((Some(public), accepted(name)));
        }
        Brought::Missing | Brought::Unknown => missing(name),
        Brought::There(Err(why)) => refused(name, &why),
    };
    let key = ChildKey::new(
        ChildKind::Secret,
        &parent.namespace,
        &build::gateway_secret_name(&parent.name),
    );
    let told = keystore::live(ctx, &key, parent).await?;
    let before = told.as_ref().and_then(OwnKeys::told);
    let public = match before {
        Some((before, name)) => Some(before.public(service, &name, (ctx.clock)())),
        None => keystore::ensure(service, parent, tokens, telling, ctx).await?,
    };
    Ok((public, standing))
}

impl OwnKeys {
    /// Those that gateways were told of, and the name of their Secret, if there were such.
    fn told(gateway: &Secret) -> Option<(Self, String)> {
        let name = gateway.annotations().get(labels::KEYS_SECRET)?;
        let document = gateway.data.as_ref()?.get(POLICY_KEY)?;
        let policy = GatewayPolicy::from_json(&document.0).ok()?;
        let slots = policy.keys()?;
        let uid = gateway.annotations().get(labels::KEYS_UID);
        let keys = Self {
            uid: uid.cloned().unwrap_or_default(),
            primary: slots.primary.sha256.clone(),
            secondary: slots.secondary.sha256.clone(),
        };
        Some((keys, name.clone()))
    }

    /// What may be known of them. A key that was not there before was seen `now`.
    fn public(self, service: &WebService, name: &str, now: Timestamp) -> PublicKeys {
        let before = service
            .status
            .as_ref()
            .and_then(|status| status.keys.as_ref());
        let seen = |before: Option<&KeyStatus>, digest: &KeyDigest| {
            let same = before.filter(|before| before.fingerprint == fingerprint(digest));
            same.map_or(now, |same| same.created_at.0)
        };
        // Nobody counts how often keys of others were made anew.
        let slot = |sha256| KeySlot {
            generation: 0,
            sha256,
        };
        PublicKeys {
            secret_uid: self.uid,
            brought: Some(name.to_owned()),
            generations: service.spec.auth.key_generation,
            primary_created: seen(before.map(|keys| &keys.primary), &self.primary),
            secondary_created: seen(before.map(|keys| &keys.secondary), &self.secondary),
            slots: KeySlots {
                primary: slot(self.primary),
                secondary: slot(self.secondary),
            },
        }
    }
}

fn accepted(name: &str) -> Standing {
    Standing {
        reason: reasons::FROM_SECRET,
        message: format!("the two keys in Secret {name} open the service"),
        failed: false,
    }
}

fn missing(name: &str) -> Standing {
    Standing {
        reason: reasons::KEYS_MISSING,
        message: format!(
            "there is no Secret {name}: make one with the entries primary and secondary; until then keys from before go on"
        ),
        failed: true,
    }
}

fn refused(name: &str, why: &str) -> Standing {
    Standing {
        reason: reasons::KEYS_REFUSED,
        message: format!(
            "Secret {name} holds no two keys: {why}; until it does, keys from before go on"
        ),
        failed: true,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn secret(entries: &[(&str, &str)]) -> Secret {
        let data = entries.iter().map(|(name, value)| {
            let value = ByteString(value.as_bytes().to_vec());
            ((*name).to_owned(), value)
        });
        let mut secret = Secret {
            data: Some(data.collect()),
            ..Secret::default()
        };
        secret.metadata.uid = Some("s".to_owned());
        secret
    }

    fn pair(primary: &str, secondary: &str) -> Secret {
        secret(&[("primary", primary), ("secondary", secondary)])
    }

    fn one(letter: &str) -> String {
        letter.repeat(SHORTEST)
    }

    fn service(status: serde_json::Value) -> WebService {
        let service = json!({"apiVersion": "atelier.dev/v1alpha1", "kind": "WebService", "metadata": {"name": "svc"},
            "spec": {"image": "i", "auth": {"keysSecretRef": {"name": "own"}}}, "status": status});
        serde_json::from_value(service).expect("a service")
    }

    #[test]
    fn two_different_keys_that_a_header_can_carry_are_taken() {
        for (primary, secondary) in [
            (one("a"), one("b")),
            ("p".repeat(LONGEST), format!("atl_{}", one("!~"))),
        ] {
            let keys = read(&pair(&primary, &secondary)).expect("two keys");
            let digest: [u8; 32] = Sha256::digest(primary.as_bytes()).into();
            assert_eq!(keys.primary.as_bytes(), &digest);
            assert_ne!(keys.primary, keys.secondary);
        }
    }

    #[test]
    fn what_cannot_be_two_keys_is_refused_with_a_reason_and_without_a_word_of_it() {
        let (good, other) = (one("g"), one("o"));
        for (bad, why) in [
            (secret(&[]), "no entry primary"),
            (secret(&[("primary", &good)]), "no entry secondary"),
            (pair(&good, &good), "the same"),
            (
                pair(&format!("{good}\n"), &other),
                "primary ends with a line break",
            ),
            (
                pair(&good, &other.replacen('o', " ", 1)),
                "secondary has characters",
            ),
            (
                pair(&good, &other.replacen('o', "ö", 1)),
                "secondary has characters",
            ),
            (pair(&good[1..], &other), "primary has 31 characters"),
            (pair("", &other), "primary has 0 characters"),
            (
                pair(&good, &"o".repeat(LONGEST + 1)),
                "secondary has 513 characters",
            ),
        ] {
            let told = read(&bad).expect_err(why);
            assert!(told.contains(why), "{told}");
            assert!(!told.contains("ggg") && !told.contains("ooo"), "{told}");
        }
    }

    #[test]
    fn a_key_is_as_old_as_it_was_seen() {
        let now = Timestamp::from_second(200).expect("valid");
        let keys = read(&pair(&one("a"), &one("b"))).expect("two keys");
        let first = keys.clone().public(&service(json!({})), "own", now);
        assert_eq!((first.primary_created, first.secondary_created), (now, now));
        let of =
            |digest, at: &str| json!({"generation": 1, "createdAt": at, "fingerprint": digest});
        let before = json!({"keys": {
            "primary": of(fingerprint(&keys.primary), "1970-01-01T00:01:40Z"),
            "secondary": of("00000000".to_owned(), "1970-01-01T00:01:40Z")}});
        let then = keys.public(&service(before), "own", now);
        assert_eq!(then.primary_created.as_second(), 100);
        assert_eq!(then.secondary_created, now);
    }

    #[test]
    fn what_gateways_were_told_of_keys_like_these_is_found_again_and_of_others_is_not() {
        let keys = read(&pair(&one("a"), &one("b"))).expect("two keys");
        let now = Timestamp::UNIX_EPOCH;
        let slots = keys.clone().public(&service(json!({})), "own", now).slots;
        let policy = GatewayPolicy::Key { keys: slots }
            .to_json()
            .expect("writable");
        let mut gateway = secret(&[(POLICY_KEY, &policy)]);
        assert_eq!(OwnKeys::told(&gateway), None);
        let notes = gateway.annotations_mut();
        notes.insert(labels::KEYS_SECRET.to_owned(), "own".to_owned());
        notes.insert(labels::KEYS_UID.to_owned(), "s".to_owned());
        assert_eq!(OwnKeys::told(&gateway), Some((keys, "own".to_owned())));
    }
}
