//! Records for the archive in the workspace's storage: gathered into parts and sent to the operator, which has the
//! storage's credential and keys (docs/design/archive.md).
//!
//! As with an export, a request appends its line to a queue and goes on. What waits is bounded: the queue, one part that
//! grows for each day, one that is finished and one that is on its way.

mod carrier;
mod parts;

use std::{
    future::pending,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use atelier_api::report::Wanted;
use jiff::Timestamp;
use tokio::{
    sync::{mpsc, watch},
    task::spawn_blocking,
    time::{Instant, sleep_until},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    metrics::{Lost, Metrics, Sink},
    report::way::Way,
    telemetry::{
        pipe::Pipe,
        queue::Queue,
        worker::{self, Ending, gather},
    },
};
use carrier::Carrier;
use parts::{Finished, Parts};

/// How long a part is tried for. Longer than a storage takes to start anew, or an operator to be replaced; what comes
/// meanwhile is gathered.
const PATIENCE: Duration = Duration::from_secs(600);

/// Where records wait for the archive.
#[derive(Debug)]
pub struct Archive {
    /// What a request pays for while there is none.
    on: AtomicBool,
    queue: Queue,
    metrics: Arc<Metrics>,
    tasks: TaskTracker,
    ending: Ending,
}

impl Archive {
    /// There is none yet.
    #[must_use]
    pub fn new(metrics: Arc<Metrics>) -> Self {
        Self {
            on: AtomicBool::new(false),
            queue: Queue::default(),
            metrics,
            tasks: TaskTracker::new(),
            ending: Ending {
                closing: CancellationToken::new(),
                kill: CancellationToken::new(),
            },
        }
    }

    /// Whether records are archived.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.on.load(Ordering::Relaxed)
    }

    /// Hands a record in, as its line on stdout, and never waits.
    pub fn push(&self, line: &[u8]) {
        if !self.queue.push(line, None) {
            self.metrics.dropped(Sink::Archive, Lost::QueueFull, 1);
        }
    }

    /// Archives by this way whenever it is wanted, in a task of its own.
    pub fn start(self: &Arc<Self>, way: Arc<Way>, wanted: watch::Receiver<Wanted>) {
        let archivist = Archivist {
            archive: Arc::clone(self),
            wanted,
            parts: Parts::default(),
        };
        let carrier = Carrier::new(way);
        let pipe = Pipe::new(Sink::Archive, carrier, PATIENCE, Arc::clone(&self.metrics));
        self.tasks.spawn(archivist.run(pipe));
    }

    /// Sends what is there, for so long, and then counts what is left.
    pub async fn finish(&self, limit: Duration) {
        self.on.store(false, Ordering::Relaxed);
        self.ending.closing.cancel();
        worker::finish(&self.tasks, &self.ending.kill, limit).await;
    }
}

/// Gathers records into parts.
struct Archivist {
    archive: Arc<Archive>,
    wanted: watch::Receiver<Wanted>,
    parts: Parts,
}

impl Archivist {
    async fn run(mut self, pipe: Pipe<Carrier>) {
        let archive = Arc::clone(&self.archive);
        let pipe = Arc::new(pipe);
        let (finished, mut taken) = mpsc::channel::<Finished>(1);
        let (sending, kill) = (Arc::clone(&pipe), archive.ending.kill.clone());
        archive.tasks.spawn(async move {
            while let Some(Finished { part, body, count }) = taken.recv().await {
                sending.deliver((part, body), count, &kill).await;
            }
        });
        while !archive.ending.closing.is_cancelled() {
            self.turn();
            let due = self.parts.due(self.after());
            tokio::select! {
                () = gather(&archive.queue, &archive.ending.closing) => {}
                () = at(due) => {}
                changed = self.wanted.changed() => if changed.is_err() {
                    archive.ending.closing.cancelled().await;
                },
            }
            self.take(&pipe, &finished).await;
            let over = self.parts.over(Instant::now(), self.after());
            send(over, &finished).await;
        }
        archive.queue.close();
        self.take(&pipe, &finished).await;
        send(self.parts.all(), &finished).await;
    }

    /// After how long a part is to be on its way: at once, where there is to be no archive any more.
    fn after(&self) -> Duration {
        let after = self.wanted.borrow().records_after_seconds;
        Duration::from_secs(after.unwrap_or_default().into())
    }

    /// On or off, as it is wanted.
    fn turn(&mut self) {
        let after = self.wanted.borrow_and_update().records_after_seconds;
        let before = self.archive.on.swap(after.is_some(), Ordering::Relaxed);
        match (before, after) {
            (false, Some(seconds)) => {
                self.archive.metrics.archiving();
                tracing::info!(seconds, "records are archived");
            }
            (true, None) => tracing::info!("records are not archived any more"),
            _ => {}
        }
    }

    /// Takes what waits in the queue into parts. Those that are full go on their way.
    async fn take(&mut self, pipe: &Pipe<Carrier>, finished: &mpsc::Sender<Finished>) {
        while let Some(batch) = self.archive.queue.take(true) {
            let (mut parts, at_stake) = (std::mem::take(&mut self.parts), batch.len() as u64);
            let at_stake = at_stake + parts.records();
            let (now, at) = (Timestamp::now(), Instant::now());
            // Milliseconds for a full batch: no worker that has requests to answer is kept from them.
            let compressed = spawn_blocking(move || {
                let unreadable = parts.add(&batch, now, at);
                let full = parts.full();
                (parts, full, unreadable)
            });
            let Ok((parts, full, unreadable)) = compressed.await else {
                pipe.lost(at_stake, Lost::Failed, "a part could not be written");
                continue;
            };
            self.parts = parts;
            pipe.lost(unreadable, Lost::Failed, "a record has no time");
            send(full, finished).await;
        }
    }
}

/// Hands parts to whoever sends them, and waits for them to be taken. Fails only where nobody sends any more: then the
/// gateway has ended.
async fn send(parts: Vec<Finished>, finished: &mpsc::Sender<Finished>) {
    for part in parts {
        let _ = finished.send(part).await;
    }
}

async fn at(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => pending().await,
    }
}
