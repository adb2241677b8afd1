//! The workspaces' keys, kept in the operator's own namespace: each workspace's ring, wrapped by the installation's key
//! or by the team's (docs/design/storage.md).
//!
//! Rings are entries of a few Secrets with fixed names, so that the operator's right to them is by name. Only the leader
//! writes, and only on the version that it has read.

mod keks;
pub mod service;
mod sweep;

use atelier_api::Workspace;
use atelier_api::conditions::reasons;
use atelier_api::v1alpha1::DeletionPolicy;
use atelier_storage::format::Owner;
use atelier_storage::keys::{KeyError, KeyRing};
use atelier_storage::{Entropy, SystemEntropy};
use kube::ResourceExt as _;
use sha2::{Digest as _, Sha256};

use super::stored::Stored;
use super::{Problem, Proof, Trouble};
use crate::ctx::Ctx;
use keks::{Keks, keks};
pub use sweep::sweep;

/// What the names of the Secrets with rings begin with; a hexadecimal digit follows.
const RINGS: &str = "atelier-storage-rings-";
const DIGITS: &str = "0123456789abcdef";
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

fn unavailable(place: &str, error: KeyError) -> Problem {
    let shard = shard(place);
    let why = match error {
        KeyError::RingDamaged => format!("{error} (entry {place} of {shard})"),
        other => other.to_string(),
    };
    Problem::new(reasons::KEY_UNAVAILABLE, why)
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

#[cfg(test)]
mod tests {
    use atelier_storage::keys::Kek;

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
}
