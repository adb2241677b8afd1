//! Takes records from a queue and sends them, until it is told to end and has sent the last.

use std::{io::Write as _, sync::Arc, time::Duration};

use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
use tokio::{
    task::spawn_blocking,
    time::{Instant, sleep_until, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    otlp::{self, Encoded, Source},
    pipe::Pipe,
    queue::{Batch, Queue, Waiting},
    way::Way,
};
use crate::metrics::{Lost, Metrics, Sink};

/// How long records are gathered, unless a batch is full.
const GATHER: Duration = Duration::from_secs(1);

/// How long a batch is tried for. Longer than a collector takes to start anew; what comes meanwhile waits in the queue.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long dropped records may take to be counted.
const KILL_TIMEOUT: Duration = Duration::from_millis(500);

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
    logs: Pipe<Way>,
    traces: Pipe<Way>,
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
        let pipe = |sink, way| Pipe::new(sink, way, PATIENCE, Arc::clone(&metrics));
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
            gather(&*queue, &ending.closing).await;
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

/// Lets the tasks that send get rid of what they have, for so long, and then count what is left.
pub async fn finish(tasks: &TaskTracker, kill: &CancellationToken, limit: Duration) {
    tasks.close();
    if timeout(limit, tasks.wait()).await.is_err() {
        kill.cancel();
        let _ = timeout(KILL_TIMEOUT, tasks.wait()).await;
    }
}

/// Waits until there is something to send: what came within a while, or a full batch; or until the end.
pub async fn gather(queue: &impl Waiting, closing: &CancellationToken) {
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
