//! Keeps the answer to "is the gateway the only way in?" fresh, and requests out while it is not.

use std::{
    io,
    sync::{
        OnceLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::watch,
    task::spawn_blocking,
    time::{Instant, MissedTickBehavior, interval},
};

use super::{Exposure, judge, listeners};
use crate::respond::Refusal;

/// How often the pod's sockets are looked at.
const EVERY: Duration = Duration::from_secs(1);

/// How long a look is trusted. Longer than [`EVERY`], so that serving normally waits for none.
const FRESH: Duration = Duration::from_secs(2);

/// Lets requests pass while nothing but the gateway can be reached from outside the pod.
#[derive(Debug)]
pub struct Gate {
    /// The gateway's ports, once it listens.
    own: OnceLock<Vec<u16>>,
    started: Instant,
    /// Milliseconds from `started` until which the last clean look is trusted; 0: none yet.
    clean_until: AtomicU64,
    /// Once exposed, always exposed: the process is about to end.
    exposure: watch::Sender<Option<Exposure>>,
    unreadable: AtomicBool,
}

impl Gate {
    /// A gate that is shut until the first clean look.
    #[must_use]
    pub fn new(now: Instant) -> Self {
        Self {
            own: OnceLock::new(),
            started: now,
            clean_until: AtomicU64::new(0),
            exposure: watch::Sender::new(None),
            unreadable: AtomicBool::new(false),
        }
    }

    /// Names the ports on which the gateway listens from now on. Before, it owns none: whoever
    /// listens on them then is not the gateway.
    pub fn owns(&self, ports: Vec<u16>) {
        let _ = self.own.set(ports);
    }

    /// Confirms that the gateway is the only way in, by a look that is fresh at `now`.
    ///
    /// # Errors
    /// [`Refusal::NotReady`].
    pub async fn confirm(&self, now: Instant) -> Result<(), Refusal> {
        if self.exposure.borrow().is_none() && (self.is_fresh(now) || self.look().await) {
            Ok(())
        } else {
            Err(Refusal::NotReady)
        }
    }

    /// Looks now. Returns whether nothing was found; if the sockets cannot be listed, that is not known.
    pub async fn look(&self) -> bool {
        let looked_at = Instant::now();
        // The table can be long, and /proc has no asynchronous reads.
        let found = spawn_blocking(listeners)
            .await
            .unwrap_or_else(|error| Err(io::Error::other(error)));
        self.unreadable(found.as_ref().err());
        let Ok(found) = found else { return false };
        match judge(&found, self.own.get().map_or(&[], Vec::as_slice)) {
            Ok(()) => {
                let until = looked_at - self.started + FRESH;
                self.clean_until.fetch_max(
                    u64::try_from(until.as_millis()).unwrap_or(u64::MAX),
                    Ordering::Relaxed,
                );
                self.exposure.borrow().is_none()
            }
            Err(exposure) => {
                self.exposure
                    .send_if_modified(|known| known.is_none() && known.replace(exposure).is_none());
                false
            }
        }
    }

    /// Looks again and again, forever.
    pub async fn keep_looking(&self) {
        let mut ticks = interval(EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.look().await;
        }
    }

    /// Waits until something is found.
    pub async fn exposed(&self) -> Exposure {
        let mut known = self.exposure.subscribe();
        loop {
            if let Some(exposure) = &*known.borrow_and_update() {
                return exposure.clone();
            }
            // Fails only without a sender, which lives in `self`.
            let _ = known.changed().await;
        }
    }

    fn is_fresh(&self, now: Instant) -> bool {
        (now - self.started).as_millis() < u128::from(self.clean_until.load(Ordering::Relaxed))
    }

    /// Logs when listing the sockets starts to fail, and when it works again.
    fn unreadable(&self, error: Option<&io::Error>) {
        let before = self.unreadable.swap(error.is_some(), Ordering::Relaxed);
        match error {
            Some(error) if !before => {
                tracing::error!(%error, "cannot list the pod's sockets: requests are refused until /proc/thread-self/net/tcp can be read");
            }
            None if before => tracing::info!("the pod's sockets can be listed again"),
            _ => {}
        }
    }
}
