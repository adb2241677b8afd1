//! The ring of the service's own storage.

use atelier_api::conditions::reasons;
use atelier_storage::format::Owner;
use atelier_storage::keys::KeyRing;
use atelier_storage::{Store, SystemEntropy};
use futures::StreamExt as _;
use k8s_openapi::ByteString;

use super::keks::{self, Keks};
use super::{TRIES, open, shard, unavailable};
use crate::ctx::Ctx;
use crate::workspace::storage::stored::Stored;
use crate::workspace::storage::{Problem, Trouble, failed};

/// Its place. No workspace has it: theirs have a dot.
const SERVICE: &str = "service";

/// Who the objects of the service's own storage are bound to.
pub fn owner() -> Owner {
    Owner::new(SERVICE)
}

/// Sees that the service has a ring. One is made only where nothing was ever written: another opens nothing.
pub async fn make(ctx: &Ctx, store: &Store) -> Result<(), Trouble> {
    for _ in 0..TRIES {
        let stored = Stored::read(ctx, &shard(SERVICE)).await?;
        if stored.ring(SERVICE).is_some() {
            return Ok(());
        }
        let keks = own(ctx).await?;
        let had_one = holds_anything(store).await?;
        let made = open(None, &keks, &owner(), had_one, &SystemEntropy);
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
pub async fn kept(ctx: &Ctx) -> Result<KeyRing, Trouble> {
    let stored = Stored::read(ctx, &shard(SERVICE)).await?;
    let keks = own(ctx).await?;
    let opened = open(stored.ring(SERVICE), &keks, &owner(), true, &SystemEntropy);
    let opened = opened.map_err(|error| unavailable(SERVICE, error))?;
    Ok(opened.ring)
}

async fn own(ctx: &Ctx) -> Result<Keks, Trouble> {
    Ok(Keks {
        wanted: keks::service_key(ctx).await?,
        former: vec![],
    })
}
