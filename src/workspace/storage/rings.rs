//! The workspaces' keys, kept in the operator's own namespace: each workspace's ring, wrapped by the installation's key
//! or by the team's (docs/design/storage.md).
//!
//! Rings are entries of a few Secrets with fixed names, so that the operator's right to them is by name. Only the leader
//! writes, and only on the version that it has read.

use std::collections::BTreeMap;

use atelier_api::Workspace;
use atelier_api::conditions::reasons;
use atelier_api::v1alpha1::{DeletionPolicy, SecretRef};
use atelier_storage::format::Owner;
use atelier_storage::keys::{Kek, KeyError, KeyRing};
use atelier_storage::{Entropy, Store, SystemEntropy};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures::StreamExt as _;
use k8s_openapi::ByteString;
use kube::ResourceExt as _;
use sha2::{Digest as _, Sha256};
use tracing::info;
use zeroize::Zeroizing;

use super::connect::{Values, read};
use super::stored::{GOES, Stored, live_uid};
use super::{Problem, Proof, Trouble, failed};
use crate::ctx::Ctx;

/// The Secret of the installation's own key-encryption key, and its entry.
const SERVICE_KEY: &str = "atelier-storage-key";
/// The entry of a key-encryption key, the installation's or a team's.
const KEY: &str = "key";
/// The key that was in a team's Secret before.
const PREVIOUS: &str = "previous";
/// What the names of the Secrets with rings begin with; a hexadecimal digit follows.
const RINGS: &str = "atelier-storage-rings-";
const DIGITS: &str = "0123456789abcdef";
/// The place of the service's own ring. No workspace has it: theirs have a dot.
const SERVICE: &str = "service";
/// How often a write is tried on what somebody else has just written.
const TRIES: usize = 5;

/// Who the objects are bound to: the workspace's place, which a new Workspace of the same name takes over.
pub fn owner(workspace: &Workspace) -> Owner {
    Owner::new(place(workspace))
}

/// `<namespace>.<name>`: neither has a dot.
fn place(workspace: &Workspace) -> String {
    let namespace = workspace.namespace().unwrap_or_default();
    format!("{namespace}.{}", workspace.name_any())
}

/// The Secret that an entry is in: rings are spread evenly.
fn shard(place: &str) -> String {
    let digit = usize::from(Sha256::digest(place)[0] >> 4);
    format!("{RINGS}{}", &DIGITS[digit..=digit])
}

/// The ring of a workspace, made if it never had one, and wrapped anew if it is to be wrapped by another key.
pub async fn ring(workspace: &Workspace, ctx: &Ctx) -> Result<(KeyRing, Proof), Trouble> {
    let (place, uid) = (place(workspace), workspace.uid().unwrap_or_default());
    for _ in 0..TRIES {
        let stored = Stored::read(ctx, &shard(&place)).await?;
        // What was to go with the workspace before, and has not gone yet, is nothing to this one.
        let of_another = stored.goes_with(&place).is_some_and(|of| of != uid);
        let kept = stored.ring(&place).filter(|_| !of_another);
        let keks = keks(workspace, kept, ctx).await?;
        let had_one = workspace.status.as_ref().and_then(|s| s.storage.as_ref());
        let had_one = had_one.is_some_and(|storage| storage.wrapped_by.is_some());
        let ring = open(kept, &keks, &owner(workspace), had_one, &SystemEntropy)
            .map_err(|error| unavailable(&place, error))?;
        let goes = workspace.spec.deletion_policy == DeletionPolicy::Delete;
        let proof = Proof {
            wrapped_by: keks.wanted.id().to_string(),
            generation: ring.ring.generation(),
            key_ref: workspace.spec.encryption.key_ref.clone(),
        };
        if stored
            .write(ctx, &place, ring.rewrapped, &uid, goes)
            .await?
        {
            return Ok((ring.ring, proof));
        }
    }
    let why = "somebody else writes the Secrets of the workspaces' keys all the time".to_owned();
    Err(Problem::new(reasons::KEY_UNAVAILABLE, why).into())
}

/// The ring of a workspace as it is kept. Whoever leads makes it, and wraps it anew.
pub async fn kept(workspace: &Workspace, ctx: &Ctx) -> Result<KeyRing, Trouble> {
    let (place, uid) = (place(workspace), workspace.uid().unwrap_or_default());
    let stored = Stored::read(ctx, &shard(&place)).await?;
    let of_another = stored.goes_with(&place).is_some_and(|of| of != uid);
    let Some(kept) = stored.ring(&place).filter(|_| !of_another) else {
        let why = "the workspace has no keys yet; its condition StorageReady says why".to_owned();
        return Err(Problem::new(reasons::KEY_UNAVAILABLE, why).into());
    };
    let keks = keks(workspace, Some(kept), ctx).await?;
    let opened = open(Some(kept), &keks, &owner(workspace), true, &SystemEntropy);
    let opened = opened.map_err(|error| unavailable(&place, error))?;
    Ok(opened.ring)
}

/// Who the objects of the service's own storage are bound to.
pub fn service_owner() -> Owner {
    Owner::new(SERVICE)
}

/// Sees that the service has a ring. One is made only where nothing was ever written: another opens nothing.
pub async fn make_service_ring(ctx: &Ctx, store: &Store) -> Result<(), Trouble> {
    for _ in 0..TRIES {
        let stored = Stored::read(ctx, &shard(SERVICE)).await?;
        if stored.ring(SERVICE).is_some() {
            return Ok(());
        }
        let keks = service_keks(ctx).await?;
        let had_one = holds_anything(store).await?;
        let made = open(None, &keks, &service_owner(), had_one, &SystemEntropy);
        let made = made.map_err(|error| unavailable(SERVICE, error))?;
        let mut entries = stored.entries();
        entries.extend(
            made.rewrapped
                .map(|ring| (SERVICE.into(), ByteString(ring))),
        );
        if stored.put(ctx, entries).await? {
            return Ok(());
        }
    }
    let why = "somebody else writes the Secrets of the keys all the time".to_owned();
    Err(Problem::new(reasons::KEY_UNAVAILABLE, why).into())
}

async fn holds_anything(store: &Store) -> Result<bool, Problem> {
    match Box::pin(store.list(None)).next().await {
        None => Ok(false),
        Some(Ok(_)) => Ok(true),
        Some(Err(error)) => Err(failed(&error, &error.to_string())),
    }
}

/// The service's ring as it is kept.
pub async fn service_ring(ctx: &Ctx) -> Result<KeyRing, Trouble> {
    let stored = Stored::read(ctx, &shard(SERVICE)).await?;
    let keks = service_keks(ctx).await?;
    let opened = open(
        stored.ring(SERVICE),
        &keks,
        &service_owner(),
        true,
        &SystemEntropy,
    );
    let opened = opened.map_err(|error| unavailable(SERVICE, error))?;
    Ok(opened.ring)
}

async fn service_keks(ctx: &Ctx) -> Result<Keks, Trouble> {
    Ok(Keks {
        wanted: service_key(ctx).await?,
        former: vec![],
    })
}

fn unavailable(place: &str, error: KeyError) -> Problem {
    let shard = shard(place);
    let why = match error {
        KeyError::RingDamaged => format!("{error} (entry {place} of {shard})"),
        other => other.to_string(),
    };
    Problem::new(reasons::KEY_UNAVAILABLE, why)
}

/// The key that is to wrap a ring, and others that may still do so.
struct Keks {
    wanted: Kek,
    former: Vec<Kek>,
}

/// A ring, and how it is to be kept from now on if that is not how it was found.
struct Opened {
    ring: KeyRing,
    rewrapped: Option<Vec<u8>>,
}

/// Opens what was kept by whichever key wraps it. Decides alone: asks nobody.
fn open(
    kept: Option<&[u8]>,
    keks: &Keks,
    owner: &Owner,
    had_one: bool,
    entropy: &dyn Entropy,
) -> Result<Opened, KeyError> {
    let Some(kept) = kept else {
        if had_one {
            return Err(KeyError::RingDamaged);
        }
        let ring = KeyRing::generate(entropy)?;
        let rewrapped = Some(ring.seal(&keks.wanted, owner, entropy)?);
        return Ok(Opened { ring, rewrapped });
    };
    let wrapped_by = KeyRing::wrapped_by(kept)?;
    if wrapped_by == keks.wanted.id() {
        let ring = KeyRing::open(kept, &keks.wanted, owner)?;
        return Ok(Opened {
            ring,
            rewrapped: None,
        });
    }
    let former = keks.former.iter().find(|kek| kek.id() == wrapped_by);
    let ring = KeyRing::open(kept, former.unwrap_or(&keks.wanted), owner)?;
    let rewrapped = Some(ring.seal(&keks.wanted, owner, entropy)?);
    Ok(Opened { ring, rewrapped })
}

/// The key that the spec wants. The others are fetched only if it is not the one that wraps what is kept.
async fn keks(workspace: &Workspace, kept: Option<&[u8]>, ctx: &Ctx) -> Result<Keks, Trouble> {
    let namespace = workspace.namespace().unwrap_or_default();
    let wish = workspace.spec.encryption.key_ref.as_ref();
    let mut former = vec![];
    let wanted = match wish {
        Some(SecretRef { name }) => {
            let values = read(ctx, &namespace, name).await;
            let values = values.map_err(without_key)?;
            former.extend(kek(&values, name, PREVIOUS).ok());
            kek(&values, name, KEY)?
        }
        None => service_key(ctx).await?,
    };
    let wraps =
        |kek: &Kek| kept.is_none_or(|k| KeyRing::wrapped_by(k).is_ok_and(|w| w == kek.id()));
    if !wraps(&wanted) {
        let status = workspace.status.as_ref();
        let recorded = status.and_then(|s| s.storage.as_ref()?.key_ref.as_ref());
        if let Some(SecretRef { name }) = recorded.filter(|recorded| Some(*recorded) != wish)
            && let Ok(values) = read(ctx, &namespace, name).await
        {
            former.extend(kek(&values, name, KEY).ok());
        }
        if wish.is_some() {
            former.push(service_key(ctx).await?);
        }
    }
    Ok(Keks { wanted, former })
}

/// A credential that is missing is a key that is missing, here.
fn without_key(trouble: Trouble) -> Trouble {
    match trouble {
        Trouble::Problem(Problem { message, .. }) => {
            Problem::new(reasons::KEY_UNAVAILABLE, message).into()
        }
        untried => untried,
    }
}

/// A key-encryption key out of a Secret: 32 bytes, or base64 of them, since `storecredential` takes text.
fn kek(values: &Values, secret: &str, entry: &str) -> Result<Kek, Problem> {
    let lacks = |why: String| Problem::new(reasons::KEY_UNAVAILABLE, why);
    let value = values.get(entry);
    let value = value.ok_or_else(|| lacks(format!("Secret {secret} lacks {entry}")))?;
    if let Ok(kek) = Kek::from_bytes(value) {
        return Ok(kek);
    }
    let text = std::str::from_utf8(value).unwrap_or_default().trim();
    let decoded = STANDARD.decode(text).map(Zeroizing::new);
    let decoded = decoded.ok().and_then(|bytes| Kek::from_bytes(&bytes).ok());
    decoded.ok_or_else(|| {
        lacks(format!(
            "{entry} of Secret {secret} is not 32 bytes, nor base64 of them; make one by `openssl rand -base64 32`"
        ))
    })
}

/// The installation's own key, made when nothing was ever wrapped by one.
async fn service_key(ctx: &Ctx) -> Result<Kek, Trouble> {
    for _ in 0..TRIES {
        let stored = Stored::read(ctx, SERVICE_KEY).await?;
        if stored.exists() {
            let entries = stored.entries().into_iter();
            let values = entries.map(|(name, value)| (name, Zeroizing::new(value.0)));
            return Ok(kek(&values.collect(), SERVICE_KEY, KEY)?);
        }
        for digit in DIGITS.chars() {
            let rings = Stored::read(ctx, &format!("{RINGS}{digit}")).await?;
            if !rings.entries().is_empty() {
                let why = format!(
                    "the Secret {SERVICE_KEY} is gone from namespace {}, and the workspaces' keys are wrapped by it; put it back from a backup",
                    ctx.settings.namespace
                );
                return Err(Problem::new(reasons::KEY_UNAVAILABLE, why).into());
            }
        }
        let mut key = Zeroizing::new([0; 32]);
        let filled = SystemEntropy.fill(&mut *key);
        filled.map_err(|e| Problem::new(reasons::KEY_UNAVAILABLE, e.to_string()))?;
        let data = [(KEY.to_owned(), ByteString(key.to_vec()))].into();
        stored.put(ctx, data).await?;
    }
    let why = format!("the Secret {SERVICE_KEY} cannot be made");
    Err(Problem::new(reasons::KEY_UNAVAILABLE, why).into())
}

/// Takes the rings away that were to go with their workspaces, and whose workspaces are gone.
pub async fn sweep(ctx: &Ctx) -> Result<(), Trouble> {
    let workspaces = ctx.stores.workspaces.state();
    let there: Vec<_> = workspaces.iter().filter_map(|w| w.uid()).collect();
    for digit in DIGITS.chars() {
        sweep_one(ctx, &format!("{RINGS}{digit}"), &there).await?;
    }
    Ok(())
}

async fn sweep_one(ctx: &Ctx, name: &str, there: &[String]) -> Result<(), Trouble> {
    for _ in 0..TRIES {
        let stored = Stored::read(ctx, name).await?;
        let entries = stored.entries();
        let mut there = there.to_vec();
        // A view may lag behind: keys are not taken away by what it lacks.
        for (place, uid) in gone(&entries, &there) {
            if live_uid(ctx, &place).await?.as_deref() == Some(uid.as_str()) {
                there.push(uid);
            }
        }
        let kept = without_gone(&entries, &there);
        if kept.len() == entries.len() {
            return Ok(());
        }
        if stored.put(ctx, kept).await? {
            info!(secret = name, "keys went with their workspaces");
            return Ok(());
        }
    }
    let why = format!("somebody else writes the Secret {name} all the time");
    Err(Problem::new(reasons::KEY_UNAVAILABLE, why).into())
}

/// What was to go with a workspace that is not there: its place, and the workspace's uid.
fn gone(entries: &BTreeMap<String, ByteString>, there: &[String]) -> Vec<(String, String)> {
    let marks = entries.iter().filter_map(|(name, uid)| {
        let uid = String::from_utf8_lossy(&uid.0).into_owned();
        Some((name.strip_suffix(GOES)?.to_owned(), uid))
    });
    marks.filter(|(_, uid)| !there.contains(uid)).collect()
}

fn without_gone(
    entries: &BTreeMap<String, ByteString>,
    there: &[String],
) -> BTreeMap<String, ByteString> {
    let stays = |name: &str| {
        let place = name.strip_suffix(GOES).unwrap_or(name);
        let mark = entries.get(&format!("{place}{GOES}"));
        mark.is_none_or(|uid| there.iter().any(|other| other.as_bytes() == uid.0))
    };
    let kept = entries.iter().filter(|(name, _)| stays(name));
    kept.map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keks(wanted: u8, former: &[u8]) -> Keks {
        let kek = |byte: u8| Kek::from_bytes(&[byte; 32]).expect("32 bytes");
        Keks {
            wanted: kek(wanted),
            former: former.iter().copied().map(kek).collect(),
        }
    }

    fn open_by(kept: Option<&[u8]>, keks: &Keks, had_one: bool) -> Result<Opened, KeyError> {
        open(kept, keks, &Owner::new("n.team"), had_one, &SystemEntropy)
    }

    #[test]
    fn a_ring_is_made_once_and_wrapped_anew_for_another_key() {
        let first = open_by(None, &keks(1, &[]), false).expect("made");
        let kept = first.rewrapped.expect("to be kept");
        let again = open_by(Some(&kept), &keks(1, &[]), true).expect("opened");
        assert!(again.rewrapped.is_none() && again.ring.id() == first.ring.id());
        let rotated = open_by(Some(&kept), &keks(2, &[3, 1]), true).expect("by the former");
        assert_eq!(rotated.ring.id(), first.ring.id());
        let kept = rotated.rewrapped.expect("to be kept");
        assert!(open_by(Some(&kept), &keks(2, &[]), true).is_ok());
    }

    #[test]
    fn without_the_key_that_wraps_it_a_ring_stays_closed_and_is_not_replaced() {
        let kept = open_by(None, &keks(1, &[]), false).expect("made").rewrapped;
        let closed = open_by(kept.as_deref(), &keks(2, &[3]), true);
        assert!(matches!(closed.err(), Some(KeyError::WrongKek { .. })));
        // A ring that is lost is not replaced by a new one that opens nothing.
        let lost = open_by(None, &keks(1, &[]), true);
        assert_eq!(lost.err(), Some(KeyError::RingDamaged));
    }

    #[test]
    fn a_key_is_32_bytes_or_base64_of_them() {
        let values =
            |value: &[u8]| Values::from([(KEY.to_owned(), Zeroizing::new(value.to_vec()))]);
        let raw = kek(&values(&[7; 32]), "s", KEY).expect("raw");
        let text = format!("{}\n", STANDARD.encode([7; 32]));
        let text = kek(&values(text.as_bytes()), "s", KEY).expect("base64");
        assert_eq!(raw.id(), text.id());
        for wrong in [&[7; 31][..], b"password", b""] {
            let problem = kek(&values(wrong), "s", KEY).expect_err("no key");
            assert_eq!(problem.reason, reasons::KEY_UNAVAILABLE);
        }
    }

    #[test]
    fn only_what_was_to_go_with_its_workspace_goes_with_it() {
        let names = ["a.x", "a.x.goes", "a.y", "a.z", "a.z.goes"];
        let uid = |name: &str| match name {
            "a.x.goes" => b"u1".to_vec(),
            "a.z.goes" => b"u2".to_vec(),
            _ => b"ring".to_vec(),
        };
        let entries = names.map(|name| (name.to_owned(), ByteString(uid(name))));
        let kept = without_gone(&entries.into(), &["u2".to_owned()]);
        let kept: Vec<_> = kept.keys().map(String::as_str).collect();
        assert_eq!(kept, ["a.y", "a.z", "a.z.goes"]);
    }
}
