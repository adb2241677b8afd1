//! Where the process is between start and exit, as everybody who acts on it sees it.

use tokio_util::sync::CancellationToken;

/// The steps of a shutdown, each of which includes the ones before it.
#[derive(Clone, Debug, Default)]
pub struct Lifecycle {
    draining: CancellationToken,
    closing: CancellationToken,
    killed: CancellationToken,
}

impl Lifecycle {
    /// Not ready any more; goes on serving, and asks clients to connect elsewhere.
    pub fn drain(&self) {
        self.draining.cancel();
    }

    /// Accepts nothing new; finishes what it has.
    pub fn close(&self) {
        self.drain();
        self.closing.cancel();
    }

    /// Drops what is not finished.
    pub fn kill(&self) {
        self.close();
        self.killed.cancel();
    }

    /// Whether [`Self::drain`] was called.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.draining.is_cancelled()
    }

    /// Waits for [`Self::drain`] to be called from now on. Who comes while it is draining comes for want of another
    /// replica that the world knows, and is not sent away.
    pub async fn draining_begins(&self) {
        match self.is_draining() {
            true => std::future::pending().await,
            false => self.draining.cancelled().await,
        }
    }

    /// Whether [`Self::kill`] was called.
    #[must_use]
    pub fn is_killed(&self) -> bool {
        self.killed.is_cancelled()
    }

    /// Waits for [`Self::close`].
    pub async fn closing(&self) {
        self.closing.cancelled().await;
    }

    /// Waits for [`Self::kill`].
    pub async fn killed(&self) {
        self.killed.cancelled().await;
    }
}
