//! The ring in memory, for so long and no longer.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use futures::future::BoxFuture;
use tokio::sync::Mutex;

use super::{KeyError, KeyRing};
use crate::format::{Header, ObjectKey, Owner};

/// A ring may be asked for again when a header names a key that it does not have; not more often than this, so that
/// nobody makes us ask by writing such headers.
const ASK_AGAIN: Duration = Duration::from_secs(1);

/// Where the ring comes from.
pub trait KeySource: Send + Sync {
    /// Reads and unwraps the ring. To end by itself after a while: everybody waits for it.
    fn fetch(&self) -> BoxFuture<'_, Result<KeyRing, KeyError>>;
}

/// A ring that is always there: for tools, and for tests.
impl KeySource for KeyRing {
    fn fetch(&self) -> BoxFuture<'_, Result<KeyRing, KeyError>> {
        Box::pin(std::future::ready(Ok(self.clone())))
    }
}

struct Held {
    ring: Arc<KeyRing>,
    since: Instant,
}

/// A workspace's keys, fetched when they are needed and kept for a bounded time.
///
/// Whoever takes away the key-encryption key takes away everything within that time: when the ring cannot be had anew,
/// the one that was had is not used on.
pub struct Keys {
    source: Arc<dyn KeySource>,
    keep: Duration,
    held: Mutex<Option<Held>>,
}

impl Keys {
    /// Keys that are fetched anew when they have been kept for so long.
    pub fn new(source: Arc<dyn KeySource>, keep: Duration) -> Self {
        Self {
            source,
            keep,
            held: Mutex::new(None),
        }
    }

    /// The ring.
    ///
    /// # Errors
    /// When it cannot be had, or not any more.
    pub async fn ring(&self, now: Instant) -> Result<Arc<KeyRing>, KeyError> {
        self.younger_than(self.keep, now).await
    }

    /// The data key of an object that exists. A key that another replica has made since is fetched.
    ///
    /// # Errors
    /// When the ring cannot be had, or the header is not that of this object.
    pub async fn unwrap(
        &self,
        header: &Header,
        owner: &Owner,
        path: &str,
        now: Instant,
    ) -> Result<ObjectKey, KeyError> {
        let mut ring = self.ring(now).await?;
        if header.ring == ring.id() && !ring.knows(header) {
            ring = self.younger_than(ASK_AGAIN.min(self.keep), now).await?;
        }
        ring.unwrap(header, owner, path)
    }

    async fn younger_than(&self, age: Duration, now: Instant) -> Result<Arc<KeyRing>, KeyError> {
        let mut held = self.held.lock().await;
        if let Some(held) = &*held
            && now.saturating_duration_since(held.since) < age
        {
            return Ok(Arc::clone(&held.ring));
        }
        // Gone before it is asked for: a failure leaves nothing to fall back on.
        *held = None;
        let ring = Arc::new(self.source.fetch().await?);
        *held = Some(Held {
            ring: Arc::clone(&ring),
            since: now,
        });
        Ok(ring)
    }
}
