//! Certificates of what runs in a workspace's namespace: a service's gateways, its storage.
//!
//! They are in nobody's memory here. The Secret of one is known to be right by the note in it, and by the digests that
//! the watch leaves of the rest; it is never read. Whatever is wrong, a new certificate is the remedy.

use std::collections::BTreeMap;
use std::time::Duration;

use atelier_pki::{Issuer, Leaf, NOTE, Note};
use jiff::Timestamp;

use super::apply::Applier;
use super::child::{ChildKey, ChildKind};
use super::children::{Children, SecretView, Seen};
use super::meta::Parent;
use super::{Error, secrets};

/// How often to look at a certificate at least: clocks can be set.
const LOOK_AGAIN: Duration = Duration::from_secs(3600);
/// The shortest wait for a renewal.
const SOON: Duration = Duration::from_millis(10);

/// Sees that the certificate is there and right, in a Secret that the parent owns. Returns when to look again; `None`
/// while there is no authority, of which the issuer tells.
pub async fn ensure(
    parent: &Parent,
    wish: &Leaf,
    issuer: &Issuer,
    applier: &Applier<'_>,
) -> Result<Option<Duration>, Error> {
    let (children, now) = (applier.children, applier.now);
    let key = ChildKey::new(ChildKind::Secret, &parent.namespace, &wish.secret_name);
    let seen = children.get(&key).filter(|seen| !seen.deleting);
    let renew_at = |seen: &Seen| renew_at(seen, parent, wish, issuer, now);
    if let Some(seen) = &seen
        && let Some(renew_at) = renew_at(seen)?
    {
        return Ok(Some(until(renew_at, now)));
    }
    if !issuer.is_ready() {
        return Ok(None);
    }
    let data = issuer.issue(wish, now)?;
    let data = data
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value));
    let metadata = parent.child(&wish.secret_name);
    let desired = secrets::desired(metadata, secrets::TLS, data.collect())?;
    // Somebody may have read what was there before. What is only renewed was right.
    let existed = children.last_uid(&key).is_some();
    let was_right = seen.as_ref().and_then(Seen::secret);
    let was_right = was_right.is_some_and(|view| is_current(view, issuer));
    let applied = applier.apply(&desired).await?;
    if applied.written {
        issuer.wrote(existed && !was_right);
    }
    let seen = children.get(&key);
    let renew_at = seen.as_ref().map(renew_at).transpose()?.flatten();
    Ok(renew_at.map(|renew_at| until(renew_at, now)))
}

/// Until when the certificate is good that is there.
pub fn expires(parent: &Parent, wish: &Leaf, children: &Children) -> Option<Timestamp> {
    let key = ChildKey::new(ChildKind::Secret, &parent.namespace, &wish.secret_name);
    let seen = children.get(&key).filter(|seen| !seen.deleting)?;
    Some(note(seen.secret()?)?.expires())
}

/// Whether all certificates, those in the Secrets that `is_one` tells, are of the authority that signs, and have all
/// authorities beside them. Nobody is asked.
pub fn all_current(
    children: &Children,
    issuer: &Issuer,
    is_one: impl Fn(&str, &Seen) -> bool,
) -> bool {
    children.all_secrets(|name, seen, view| !is_one(name, seen) || is_current(view, issuer))
}

/// When to renew a certificate; `None` if it is not right.
fn renew_at(
    seen: &Seen,
    parent: &Parent,
    wish: &Leaf,
    issuer: &Issuer,
    now: Timestamp,
) -> Result<Option<Timestamp>, Error> {
    let Some(note) = seen.secret().and_then(note) else {
        return Ok(None);
    };
    let digests: BTreeMap<_, _> = note.digests()?;
    let digests = digests.iter().map(|(name, digest)| (*name, digest));
    let metadata = parent.child(&wish.secret_name);
    let right = seen.hash == secrets::hash(metadata, secrets::TLS, digests)?;
    Ok(issuer.judge(&note, wish, now).filter(|_| right))
}

fn note(view: &SecretView) -> Option<Note> {
    Note::read(view.get(NOTE)?.document.as_deref()?)
}

/// Whether what is read there is of the authorities as they are.
fn is_current(view: &SecretView, issuer: &Issuer) -> bool {
    let Some(note) = note(view).filter(|note| issuer.is_current(note)) else {
        return false;
    };
    let same = |(name, digest): (&str, [u8; 32])| {
        view.get(name).is_some_and(|entry| entry.sha256 == digest)
    };
    note.digests()
        .is_ok_and(|digests| digests.into_iter().all(same))
}

fn until(renew_at: Timestamp, now: Timestamp) -> Duration {
    let left = Duration::try_from(renew_at.duration_since(now)).unwrap_or_default();
    left.clamp(SOON, LOOK_AGAIN)
}
