//! The certificate of a service's gateways, by which the operator knows them and they know the operator.
//!
//! Like the keys it is in nobody's memory here. Its Secret is known to be right by the note in it, and by the digests
//! that the watch leaves of the rest; it is never read. Whatever is wrong, a new certificate is the remedy.

use std::collections::BTreeMap;
use std::time::Duration;

use atelier_pki::{Issuer, Leaf, NOTE, Note};
use jiff::Timestamp;

use super::build;
use crate::ctx::Ctx;
use crate::kit::Error;
use crate::kit::child::{ChildKey, ChildKind};
use crate::kit::children::{Children, SecretView, Seen};
use crate::kit::meta::Parent;

/// How often to look at a certificate at least: clocks can be set.
const LOOK_AGAIN: Duration = Duration::from_secs(3600);
/// The shortest wait for a renewal.
const SOON: Duration = Duration::from_millis(10);

/// Sees that the certificate is there and right. Returns when to look again; `None` while there is no authority, of
/// which the issuer tells.
pub async fn ensure(
    parent: &Parent,
    issuer: &Issuer,
    ctx: &Ctx,
) -> Result<Option<Duration>, Error> {
    let (name, now) = (build::certificate_secret_name(&parent.name), (ctx.clock)());
    let key = ChildKey::new(ChildKind::Secret, &parent.namespace, &name);
    let wish = wish(parent);
    let seen = ctx.children.get(&key).filter(|seen| !seen.deleting);
    let renew_at = |seen: &Seen| renew_at(seen, parent, &wish, issuer, now);
    if let Some(seen) = &seen
        && let Some(renew_at) = renew_at(seen)?
    {
        return Ok(Some(until(renew_at, now)));
    }
    if !issuer.is_ready() {
        return Ok(None);
    }
    let data = issuer.issue(&wish, now)?;
    let data = data
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value));
    let desired = build::certificate_secret(parent, data.collect())?;
    // Gateways may have read what was there before. What is only renewed was right.
    let existed = ctx.children.last_uid(&key).is_some();
    let was_right = seen.as_ref().and_then(Seen::secret);
    let was_right = was_right.is_some_and(|view| is_current(view, issuer));
    let applied = ctx.applier(super::MANAGER).apply(&desired).await?;
    if applied.written {
        issuer.wrote(existed && !was_right);
    }
    let seen = ctx.children.get(&key);
    let renew_at = seen.as_ref().map(renew_at).transpose()?.flatten();
    Ok(renew_at.map(|renew_at| until(renew_at, now)))
}

/// Whether all certificates of gateways are of the authority that signs, and have all authorities beside them. Nobody
/// is asked.
pub fn all_current(children: &Children, issuer: &Issuer) -> bool {
    children.all_secrets(|name, seen, view| {
        let owner = seen.owner.as_ref();
        let of_service = owner.is_some_and(|owner| {
            owner.kind == "WebService" && name == build::certificate_secret_name(&owner.name)
        });
        !of_service || is_current(view, issuer)
    })
}

fn wish(parent: &Parent) -> Leaf {
    let secret = build::certificate_secret_name(&parent.name);
    Leaf::of_service(secret, &parent.name, &parent.namespace)
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
    let right = seen.hash == build::certificate_secret_hash(parent, digests)?;
    Ok(issuer.judge(&note, wish, now).filter(|_| right))
}

fn note(view: &SecretView) -> Option<Note> {
    Note::read(view.get(NOTE)?.document.as_deref()?)
}

/// Whether what gateways read there is of the authorities as they are.
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
