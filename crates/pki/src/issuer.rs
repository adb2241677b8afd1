//! Certificates that others keep: signed by the same authority, in Secrets of other namespaces.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use tokio::sync::{Notify, watch};

use crate::config::{Leaf, Periods};
use crate::error::Error;
use crate::leaf::{BUNDLE, CERTIFICATE, KEY};
use crate::life::Life;
use crate::note::{NOTE, Note, Sum};
use crate::store::Authorities;
use crate::verify;

/// Signs certificates that others keep, and says whether one that they have is still right. It knows the authorities
/// as [`crate::run`] last saw them, in the same process: it watches and writes nothing itself.
///
/// Whoever keeps such a certificate writes it only while leading, after every change ([`Issuer::changes`]) and when its
/// time has come ([`Issuer::judge`]), and says so ([`Issuer::wrote`]). There is no step that only adds to a bundle: a
/// certificate that is made anew is as good, and its Secret need not be read for it.
#[derive(Debug)]
pub struct Issuer {
    periods: Periods,
    standing: ArcSwap<Standing>,
    changes: watch::Sender<()>,
    repairs: AtomicU64,
    written: Notify,
}

impl Issuer {
    /// Knows no authority yet.
    #[must_use]
    pub fn new(periods: Periods) -> Arc<Self> {
        Arc::new(Self {
            periods,
            standing: ArcSwap::from_pointee(Standing::of(Authorities::default())),
            changes: watch::Sender::new(()),
            repairs: AtomicU64::new(0),
            written: Notify::new(),
        })
    }

    /// Knows the authorities as a Secret keeps them at this moment, and hears of no change: for whoever has to play a
    /// server of the installation's. Fails if there is none that signs.
    pub fn of_secret(secret: &Secret, periods: Periods) -> Result<Arc<Self>, Error> {
        let issuer = Self::new(periods);
        issuer.follow(&Authorities::read(secret).0);
        match issuer.is_ready() {
            true => Ok(issuer),
            false => Err(Error::Missing("the authority")),
        }
    }

    /// Tells of every change of the authorities.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<()> {
        self.changes.subscribe()
    }

    /// Whether there is an authority that signs.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.standing.load().signer.is_some()
    }

    /// The authorities to trust at this moment, PEM; `None` while there is none.
    #[must_use]
    pub fn bundle(&self) -> Option<String> {
        let standing = self.standing.load();
        let ready = standing.signer.is_some();
        ready.then(|| standing.authorities.bundle())
    }

    /// When to make a certificate anew that is noted so; `None` if at once, because it is of another authority, has
    /// others beside it, or was asked for differently. What the note says of the entries beside it is for the caller
    /// to compare.
    #[must_use]
    pub fn judge(&self, note: &Note, leaf: &Leaf, now: Timestamp) -> Option<Timestamp> {
        let standing = self.standing.load();
        let authority = standing.authorities.current.as_ref()?.life;
        // Nobody's word is taken for how long it is good.
        let life = Life::starting(
            note.life.created,
            self.periods.backdate,
            self.periods.leaf_life,
        );
        let right = standing.has_made(note)
            && note.leaf == *leaf
            && note.life == life.within(&authority)
            && note.life.holds(now);
        let renew_at = note.life.renew_at();
        (right && renew_at > now).then_some(renew_at)
    }

    /// Whether a certificate is of the authority that signs, and has all authorities beside it.
    #[must_use]
    pub fn is_current(&self, note: &Note) -> bool {
        self.standing.load().has_made(note)
    }

    /// Makes a certificate, with a new key: all entries of its Secret, whose type is `kubernetes.io/tls`. Fails if there
    /// is no authority yet, and if nobody would accept what was asked for.
    pub fn issue(
        &self,
        leaf: &Leaf,
        now: Timestamp,
    ) -> Result<BTreeMap<&'static str, Vec<u8>>, Error> {
        let standing = self.standing.load();
        let current = standing.authorities.current.as_ref();
        let current = current.ok_or(Error::Missing("the authority"))?;
        let issued = current.issue(leaf, now, &self.periods)?;
        let pair = verify::pair(issued.certificate.as_bytes(), issued.key.0.as_bytes())?;
        let roots = verify::roots(current.certificate.as_bytes())?;
        verify::accepted(&pair, leaf, &roots, now)?;
        let bundle = standing.authorities.bundle();
        let parts = [&issued.certificate, &issued.key.0, &bundle].map(String::as_str);
        let note = Note::new(leaf.clone(), issued.life, &current.certificate, parts).to_json()?;
        Ok([
            (CERTIFICATE, issued.certificate.into_bytes()),
            (KEY, issued.key.0.into_bytes()),
            (BUNDLE, bundle.into_bytes()),
            (NOTE, note.into_bytes()),
        ]
        .into())
    }

    /// A certificate was written. `repaired` says that somebody may have read what was there before and was wrong:
    /// whether all have been told is then counted anew.
    pub fn wrote(&self, repaired: bool) {
        if repaired {
            self.repairs.fetch_add(1, Ordering::SeqCst);
        }
        self.written.notify_one();
    }

    /// Takes over what the authorities are.
    pub(crate) fn follow(&self, authorities: &Authorities) {
        if self.standing.load().authorities != *authorities {
            let standing = Standing::of(authorities.clone());
            self.standing.store(Arc::new(standing));
            self.changes.send_replace(());
        }
    }

    /// How often something was put right.
    pub(crate) fn repairs(&self) -> u64 {
        self.repairs.load(Ordering::SeqCst)
    }

    /// Completes when something was written.
    pub(crate) async fn written_by_others(&self) {
        self.written.notified().await;
    }
}

/// The authorities, and by what a certificate of theirs is known.
#[derive(Debug)]
struct Standing {
    signer: Option<Sum>,
    bundle: Sum,
    authorities: Authorities,
}

impl Standing {
    fn of(authorities: Authorities) -> Self {
        let signer = authorities.current.as_ref();
        Self {
            signer: signer.map(|signer| Sum::of(&signer.certificate)),
            bundle: Sum::of(&authorities.bundle()),
            authorities,
        }
    }

    fn has_made(&self, note: &Note) -> bool {
        self.signer == Some(note.signer) && self.bundle == note.bundle()
    }
}

#[cfg(test)]
#[path = "issuer/tests.rs"]
mod tests;
