//! Connections of clients, which can be reset, and the killing of the client.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedRwLockWriteGuard, RwLock, watch};

/// How long a client that has an answer has to make something of it before it is killed.
pub(super) const AFTERTHOUGHT: Duration = Duration::from_millis(15);

type Callback = Arc<dyn Fn() + Send + Sync>;

/// Numbers connections, resets them, and kills the client.
#[derive(Default)]
pub(super) struct Killer {
    callback: Mutex<Option<Callback>>,
    // Requests pass while nobody writes.
    passing: Arc<RwLock<()>>,
    connections: AtomicU64,
    // All connections up to this one are reset.
    broken: watch::Sender<u64>,
}

/// Nothing passes while there is one.
pub(super) struct Standstill(
    #[expect(dead_code, reason = "held, not used")] OwnedRwLockWriteGuard<()>,
);

impl Killer {
    /// What is called to kill the client.
    pub fn set(&self, kill: Callback) {
        *self.callback.lock().unwrap_or_else(PoisonError::into_inner) = Some(kill);
    }

    /// Number of a new connection.
    pub fn connection(&self) -> u64 {
        self.connections.fetch_add(1, Ordering::SeqCst) + 1
    }

    /// Waits until a connection is to be reset.
    pub async fn broken(self: Arc<Self>, connection: u64) {
        let mut broken = self.broken.subscribe();
        // The sender lives as long as this.
        let _ = broken.wait_for(|upto| *upto >= connection).await;
    }

    /// Resets all connections that there are.
    pub fn break_all(&self) {
        self.break_upto(self.connections.load(Ordering::SeqCst));
    }

    /// Waits while a client is being killed. Says whether the connection is still of use: what a dead client sent must
    /// not get to the API server after its death.
    pub async fn pass(&self, connection: u64) -> bool {
        let _passing = self.passing.read().await;
        *self.broken.borrow() < connection
    }

    /// Lets no request pass from now on.
    pub async fn standstill(&self) -> Standstill {
        Standstill(self.passing.clone().write_owned().await)
    }

    /// Kills the client that has a connection, unless it is dead already.
    pub async fn kill(&self, connection: u64, standstill: Standstill) {
        if *self.broken.borrow() >= connection {
            return;
        }
        // What the callback starts in place of the dead has later connections.
        let upto = self.connections.load(Ordering::SeqCst);
        let callback = self
            .callback
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let callback = callback.expect("a rule kills the client: tell on_kill() how");
        tokio::task::spawn_blocking(move || callback())
            .await
            .expect("the callback kills the client");
        self.break_upto(upto);
        drop(standstill);
    }

    fn break_upto(&self, connection: u64) {
        self.broken
            .send_modify(|upto| *upto = connection.max(*upto));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::Killer;

    #[tokio::test]
    async fn kills_once_and_breaks_what_was_there() {
        let killer = Arc::new(Killer::default());
        let kills = Arc::new(AtomicUsize::new(0));
        killer.set(Arc::new({
            let (kills, killer) = (kills.clone(), killer.clone());
            // A new client is there before the callback returns.
            move || assert!(kills.fetch_add(1, Ordering::SeqCst) == 0 && killer.connection() == 3)
        }));
        let (first, second) = (killer.connection(), killer.connection());
        assert!(killer.pass(first).await);
        let standstill = killer.standstill().await;
        let waiting = tokio::spawn({
            let killer = killer.clone();
            async move { killer.pass(second).await }
        });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        killer.kill(first, standstill).await;
        assert!(!waiting.await.unwrap());
        killer.clone().broken(second).await;
        assert!(killer.pass(3).await);
        let again = killer.standstill().await;
        killer.kill(first, again).await;
        assert_eq!(kills.load(Ordering::SeqCst), 1);
    }
}
