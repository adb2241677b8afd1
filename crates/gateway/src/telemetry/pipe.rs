//! One sink: tries for long, and counts what it took and what was lost.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::time::{Instant, sleep, timeout_at};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::way::Answer;
use crate::metrics::{Lost, Metrics, Sink};

/// The first pause between tries, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(10));

/// A loss is told of this often at most, for each reason.
const SAID_EVERY: Duration = Duration::from_secs(60);

/// A way to a sink.
pub trait Carry {
    /// What is carried: cheap to clone, since it may be tried again.
    type Load: Clone + Send;

    /// Tries once.
    fn send(&self, load: Self::Load) -> impl Future<Output = Answer> + Send;
}

/// One sink, and the way to it.
#[derive(Debug)]
pub struct Pipe<W> {
    sink: Sink,
    way: W,
    patience: Duration,
    metrics: Arc<Metrics>,
    /// When a loss was last told of, for each reason.
    told: Mutex<HashMap<Lost, Instant>>,
}

impl<W: Carry> Pipe<W> {
    /// To this sink, by this way, which is tried for so long.
    #[must_use]
    pub fn new(sink: Sink, way: W, patience: Duration, metrics: Arc<Metrics>) -> Self {
        Self {
            sink,
            way,
            patience,
            metrics,
            told: Mutex::default(),
        }
    }

    /// Gets rid of a load of so many records, in one way or the other.
    pub async fn deliver(&self, load: W::Load, count: u64, kill: &CancellationToken) {
        if count == 0 {
            return;
        }
        let outcome = tokio::select! {
            biased;
            () = kill.cancelled() => Err((Lost::Ended, "the gateway or its export ended first".to_owned())),
            outcome = self.try_for_long(load) => outcome,
        };
        match outcome {
            Ok((rejected, why)) => {
                let rejected = rejected.min(count);
                self.metrics.exported(self.sink, count - rejected);
                self.lost(rejected, Lost::Rejected, &why);
            }
            Err((reason, why)) => self.lost(count, reason, &why),
        }
    }

    async fn try_for_long(&self, load: W::Load) -> Result<(u64, String), (Lost, String)> {
        let deadline = Instant::now() + self.patience;
        let mut pause = PAUSES.0;
        loop {
            let (wait, why) = match timeout_at(deadline, self.way.send(load.clone())).await {
                Ok(Answer::Taken(rejected, why)) => return Ok((rejected, why)),
                Ok(Answer::Refused(why)) => return Err((Lost::Refused, why)),
                Ok(Answer::Again(wait, why)) => (wait, why),
                Err(_) => (None, "no answer".to_owned()),
            };
            // One that says when is not asked sooner; nobody else asks at the same moment.
            let wait = wait
                .unwrap_or_default()
                .max(jittered(pause, Uuid::new_v4().as_u128() as u32));
            if Instant::now() + wait >= deadline {
                return Err((Lost::TimedOut, why));
            }
            sleep(wait).await;
            pause = (pause * 2).min(PAUSES.1);
        }
    }

    /// Counts what was lost, and now and then says so.
    pub fn lost(&self, count: u64, reason: Lost, why: &str) {
        if count == 0 {
            return;
        }
        self.metrics.dropped(self.sink, reason, count);
        let now = Instant::now();
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let before = told.get(&reason);
        if before.is_none_or(|before| now - *before >= SAID_EVERY) {
            told.insert(reason, now);
            drop(told);
            tracing::warn!(
                sink = ?self.sink,
                count,
                ?reason,
                why,
                "records are lost on their way to {}; {}",
                self.sink.name(),
                reason.advice(self.sink)
            );
        }
    }
}

/// Between half of a pause and one and a half.
fn jittered(pause: Duration, random: u32) -> Duration {
    pause / 2 + pause.mul_f64(f64::from(random) / f64::from(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_varies_around_its_length() {
        let pause = Duration::from_secs(2);
        assert_eq!(jittered(pause, 0).as_secs(), 1);
        assert_eq!(jittered(pause, u32::MAX).as_secs(), 3);
    }
}
