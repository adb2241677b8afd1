//! How many requests the model gets at once, and how large they may be.

use std::{sync::Arc, time::Duration};

use http_body::Body;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, timeout_at},
};

use crate::{args::Args, metrics::Metrics, respond::Refusal};

/// The limits of one gateway.
#[derive(Debug)]
pub struct Limits {
    turns: Arc<Semaphore>,
    queue_wait: Duration,
    /// From a request's header to the end of its answer.
    pub timeout: Duration,
    /// The largest request body, in bytes.
    pub max_body: u64,
    metrics: Arc<Metrics>,
}

/// A request's turn at the model, given back when dropped: at the end of the answer.
#[derive(Debug)]
pub struct Turn {
    _permit: OwnedSemaphorePermit,
}

impl Limits {
    /// Sets the limits up as the arguments say.
    #[must_use]
    pub fn new(args: &Args, metrics: Arc<Metrics>) -> Self {
        let turns = usize::try_from(args.concurrent_requests.get()).unwrap_or(usize::MAX);
        Self {
            turns: Arc::new(Semaphore::new(turns.min(Semaphore::MAX_PERMITS))),
            queue_wait: args.queue_wait_ms,
            timeout: args.timeout_ms,
            max_body: args.max_body_bytes,
            metrics,
        }
    }

    /// Refuses a body that says of itself that it is too large.
    ///
    /// # Errors
    /// [`Refusal::BodyTooLarge`].
    pub fn check_announced(&self, body: &impl Body) -> Result<(), Refusal> {
        if body.size_hint().lower() > self.max_body {
            Err(Refusal::BodyTooLarge)
        } else {
            Ok(())
        }
    }

    /// Waits for a turn, in order of arrival.
    ///
    /// # Errors
    /// [`Refusal::QueueTimeout`] when none came within the queue's wait.
    pub async fn turn(&self, arrived: Instant) -> Result<Turn, Refusal> {
        if let Ok(permit) = Arc::clone(&self.turns).try_acquire_owned() {
            return Ok(Turn { _permit: permit });
        }
        let _queued = self.metrics.queued();
        let wait = self.queue_wait.min(self.timeout);
        match timeout_at(arrived + wait, Arc::clone(&self.turns).acquire_owned()).await {
            Ok(Ok(permit)) => Ok(Turn { _permit: permit }),
            // The semaphore is never closed, so only the time can have run out.
            Ok(Err(_)) | Err(_) => Err(Refusal::QueueTimeout),
        }
    }
}
