//! How many requests the model gets at once, and how large they may be.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use http_body::Body;
use tokio::{
    sync::{Notify, OwnedSemaphorePermit, Semaphore},
    time::{Instant, timeout_at},
};

use crate::{args::Args, metrics::Metrics, respond::Refusal};

/// The limits of one gateway.
#[derive(Debug)]
pub struct Limits {
    turns: Arc<Semaphore>,
    most: usize,
    activity: Arc<Activity>,
    queue_wait: Duration,
    /// From a request's header to the end of its answer.
    pub timeout: Duration,
    /// The largest request body, in bytes.
    pub max_body: u64,
    metrics: Arc<Metrics>,
}

/// Wakes whoever waits for the next request.
#[derive(Debug, Default)]
struct Activity {
    /// Written only when somebody begins or ends to wait, so that looking at it costs a request nothing.
    awaited: AtomicBool,
    begun: Notify,
}

/// How much there is to do at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Level {
    /// Requests that the model works on.
    pub busy: u32,
    /// Requests that wait for their turn.
    pub queued: u32,
}

/// Tells how much there is to do.
#[derive(Clone, Debug)]
pub struct Gauge {
    turns: Arc<Semaphore>,
    most: usize,
    activity: Arc<Activity>,
    metrics: Arc<Metrics>,
}

impl Gauge {
    /// How much there is to do now.
    #[must_use]
    pub fn level(&self) -> Level {
        let busy = self.most.saturating_sub(self.turns.available_permits());
        Level {
            busy: u32::try_from(busy).unwrap_or(u32::MAX),
            queued: u32::try_from(self.metrics.queued_now()).unwrap_or_default(),
        }
    }

    /// Waits until there is something to do.
    pub async fn busy(&self) {
        loop {
            self.activity.awaited.store(true, Ordering::SeqCst);
            if self.level().busy > 0 {
                break;
            }
            self.activity.begun.notified().await;
        }
        self.activity.awaited.store(false, Ordering::SeqCst);
    }
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
        let most = turns.min(Semaphore::MAX_PERMITS);
        Self {
            turns: Arc::new(Semaphore::new(most)),
            most,
            activity: Arc::default(),
            queue_wait: args.queue_wait_ms,
            timeout: args.timeout_ms,
            max_body: args.max_body_bytes,
            metrics,
        }
    }

    /// Tells how much there is to do.
    #[must_use]
    pub fn gauge(&self) -> Gauge {
        Gauge {
            turns: Arc::clone(&self.turns),
            most: self.most,
            activity: Arc::clone(&self.activity),
            metrics: Arc::clone(&self.metrics),
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
            if self.activity.awaited.load(Ordering::Relaxed) {
                self.activity.begun.notify_one();
            }
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
