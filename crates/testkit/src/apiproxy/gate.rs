//! What holds something back until a test lets it go.

use std::sync::Arc;

use tokio::sync::watch;

/// A gate that things wait at. Shut when it is made; all clones are one gate.
#[derive(Clone, Debug)]
pub struct Gate(Arc<watch::Sender<bool>>);

impl Default for Gate {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(false)))
    }
}

impl Gate {
    /// A gate that is shut.
    pub fn shut() -> Self {
        Self::default()
    }

    /// Lets everything through that waits, and whatever comes after it.
    pub fn open(&self) {
        self.0.send_replace(true);
    }

    /// Shuts it again, for what has not yet come.
    pub fn close(&self) {
        self.0.send_replace(false);
    }

    /// Whether it is open.
    pub fn is_open(&self) -> bool {
        *self.0.borrow()
    }

    /// Waits until it is open.
    pub async fn opened(&self) {
        // The sender lives as long as this, so that waiting cannot fail.
        let _ = self.0.subscribe().wait_for(|open| *open).await;
    }
}

#[cfg(test)]
mod tests {
    use super::Gate;

    #[tokio::test]
    async fn lets_through_what_waits_once_it_is_opened() {
        let gate = Gate::shut();
        let waiting = tokio::spawn({
            let gate = gate.clone();
            async move { gate.opened().await }
        });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        gate.open();
        waiting.await.unwrap();
        gate.opened().await;
        gate.close();
        assert!(!gate.is_open());
    }
}
