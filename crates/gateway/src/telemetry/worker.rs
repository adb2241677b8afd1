//! Takes records from a queue and sends them, until it is told to end and has sent the last.

use std::{
    collections::HashMap,
    io::Write as _,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
use tokio::{
    task::spawn_blocking,
    time::{Instant, sleep, sleep_until, timeout_at},
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{
    otlp::{self, Encoded, Source},
    queue::{Batch, Queue},
    way::{Answer, Way},
};
use crate::metrics::{Lost, Metrics, Sink};

/// How long records are gathered, unless a batch is full.
const GATHER: Duration = Duration::from_secs(1);

/// How long a batch is tried for. Longer than a collector takes to start anew; what comes meanwhile waits in the queue.
const PATIENCE: Duration = Duration::from_secs(60);

/// The first pause between tries, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(10));

/// A loss is told of this often at most, for each reason.
const SAID_EVERY: Duration = Duration::from_secs(60);

/// When to end.
#[derive(Clone, Debug)]
pub struct Ending {
    /// Nothing more is handed in: send what is there.
    pub closing: CancellationToken,
    /// Send nothing more.
    pub kill: CancellationToken,
}

/// Sends records to a collector.
#[derive(Debug)]
pub struct Exporter {
    source: Arc<Source>,
    gzip: bool,
    logs: Pipe,
    traces: Pipe,
}

/// One signal's way.
#[derive(Debug)]
struct Pipe {
    sink: Sink,
    way: Way,
    metrics: Arc<Metrics>,
    /// When a loss was last told of, for each reason.
    told: Mutex<HashMap<Lost, Instant>>,
}

impl Exporter {
    /// Sends by these ways: one for logs, one for traces.
    #[must_use]
    pub fn new(
        [logs, traces]: [Way; 2],
        gzip: bool,
        source: Arc<Source>,
        metrics: Arc<Metrics>,
    ) -> Self {
        let pipe = |sink, way| Pipe {
            sink,
            way,
            metrics: Arc::clone(&metrics),
            told: Mutex::default(),
        };
        Self {
            source,
            gzip,
            logs: pipe(Sink::OtlpLogs, logs),
            traces: pipe(Sink::OtlpTraces, traces),
        }
    }

    /// Works until the end.
    pub async fn run(self, queue: Arc<Queue>, ending: Ending) {
        while !ending.closing.is_cancelled() {
            gather(&queue, &ending.closing).await;
            // What comes while these are sent is gathered anew.
            while let Some(batch) = queue.take(false) {
                self.deliver(batch, &ending.kill).await;
            }
            if let Some(batch) = queue.take(true) {
                self.deliver(batch, &ending.kill).await;
            }
        }
        queue.close();
        while let Some(batch) = queue.take(true) {
            self.deliver(batch, &ending.kill).await;
        }
    }

    async fn deliver(&self, batch: Batch, kill: &CancellationToken) {
        let (records, spans) = (batch.len() as u64, batch.spans() as u64);
        let (source, gzip) = (Arc::clone(&self.source), self.gzip);
        // Milliseconds for a full batch: no worker that has requests to answer is kept from them.
        let encoded = spawn_blocking(move || {
            let Encoded {
                logs,
                records,
                traces,
                spans,
            } = otlp::encode(&batch, &source);
            let sent = |message: Vec<u8>| if gzip { compressed(&message) } else { message };
            (
                Bytes::from(sent(logs)),
                records,
                Bytes::from(sent(traces)),
                spans,
            )
        });
        let Ok((logs, readable, traces, with_span)) = encoded.await else {
            self.logs
                .lost(records, Lost::Failed, "the batch could not be written");
            self.traces
                .lost(spans, Lost::Failed, "the batch could not be written");
            return;
        };
        self.logs
            .lost(records - readable, Lost::Failed, "a record cannot be read");
        self.traces
            .lost(spans - with_span, Lost::Failed, "a record cannot be read");
        tokio::join!(
            self.logs.deliver(logs, readable, kill),
            self.traces.deliver(traces, with_span, kill),
        );
    }
}

async fn gather(queue: &Queue, closing: &CancellationToken) {
    while queue.is_empty() {
        tokio::select! {
            () = queue.more() => {}
            () = closing.cancelled() => return,
        }
    }
    let until = Instant::now() + GATHER;
    while !queue.has_full() {
        tokio::select! {
            () = sleep_until(until) => return,
            () = queue.more() => {}
            () = closing.cancelled() => return,
        }
    }
}

/// By gzip at its fastest: the rest would take twice the time for a tenth of the bytes.
fn compressed(message: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(message.len() / 4), Compression::fast());
    // A Vec takes every byte.
    let _ = encoder.write_all(message);
    encoder.finish().unwrap_or_default()
}

impl Pipe {
    async fn deliver(&self, body: Bytes, count: u64, kill: &CancellationToken) {
        if count == 0 {
            return;
        }
        let outcome = tokio::select! {
            biased;
            () = kill.cancelled() => Err((Lost::Ended, "the gateway or its export ended first".to_owned())),
            outcome = self.try_for_long(body) => outcome,
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

    async fn try_for_long(&self, body: Bytes) -> Result<(u64, String), (Lost, String)> {
        let deadline = Instant::now() + PATIENCE;
        let mut pause = PAUSES.0;
        loop {
            let (wait, why) = match timeout_at(deadline, self.way.send(body.clone())).await {
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
    fn lost(&self, count: u64, reason: Lost, why: &str) {
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
                "records are lost on their way to the collector; {}", reason.advice()
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
