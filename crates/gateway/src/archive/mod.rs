//! What is kept in the workspace's storage: gathered into parts and sent to the operator, which has the storage's
//! credential and keys. Records of requests are (docs/design/archive.md), and inputs and predictions
//! (docs/design/collected-data.md): each is a [`Source`] of lines, and all else is the same.
//!
//! As with an export, a request appends to a queue and goes on. What waits is bounded: the queue, one part that grows for
//! each day, one that is finished and one that is on its way.

mod carrier;
mod parts;
mod records;

use std::{future::pending, sync::Arc, time::Duration};

use atelier_api::{archive::Kind, report::Wanted};
use jiff::Timestamp;
use tokio::{
    sync::{mpsc, watch},
    task::spawn_blocking,
    time::{Instant, sleep_until},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    metrics::{Lost, Metrics},
    report::way::Way,
    telemetry::{
        pipe::Pipe,
        queue::Waiting,
        worker::{self, Ending, gather},
    },
};
use carrier::Carrier;
use parts::{Finished, Parts};
pub use records::Recorded;

/// How long a part is tried for. Longer than a storage takes to start anew, or an operator to be replaced; what comes
/// meanwhile is gathered.
const PATIENCE: Duration = Duration::from_secs(600);

/// What waits to be kept, and whether anything is to.
pub trait Source: Waiting + Send + Sync + 'static {
    /// What it is.
    const KIND: Kind;

    /// What is taken at once.
    type Batch: Lines;

    /// Takes in what is wanted from now on.
    fn want(&self, wanted: Wanted);

    /// Whether anything is.
    fn is_on(&self) -> bool;

    /// The oldest batch.
    fn take(&self) -> Option<Self::Batch>;

    /// Takes nothing more in.
    fn close(&self);
}

/// What can be written as lines of JSON. Each begins with its time, in UTC.
pub trait Lines: Send + 'static {
    /// How many.
    fn count(&self) -> u64;

    /// Writes one after the other.
    fn each(self, take: impl FnMut(&[u8]));
}

/// Where something waits to be kept.
#[derive(Debug)]
pub struct Archive<S> {
    pub(crate) source: S,
    pub(crate) metrics: Arc<Metrics>,
    tasks: TaskTracker,
    ending: Ending,
}

impl<S: Source> Archive<S> {
    /// Nothing is kept yet.
    #[must_use]
    pub fn new(source: S, metrics: Arc<Metrics>) -> Self {
        Self {
            source,
            metrics,
            tasks: TaskTracker::new(),
            ending: Ending {
                closing: CancellationToken::new(),
                kill: CancellationToken::new(),
            },
        }
    }

    /// Keeps by this way whatever is wanted, in tasks of its own.
    pub fn start(self: &Arc<Self>, way: Arc<Way>, wanted: watch::Receiver<Wanted>) {
        let archivist = Archivist {
            archive: Arc::clone(self),
            wanted: wanted.clone(),
            parts: Parts::new(S::KIND),
        };
        let carrier = Carrier::new(S::KIND, way);
        let pipe = Pipe::new(S::KIND.into(), carrier, PATIENCE, Arc::clone(&self.metrics));
        // Apart from what is sent: who turns it off does not wait for a part that nobody takes.
        self.tasks.spawn(Arc::clone(self).follow(wanted));
        self.tasks.spawn(archivist.run(pipe));
    }

    /// On or off, as it is wanted, until the end.
    async fn follow(self: Arc<Self>, mut wanted: watch::Receiver<Wanted>) {
        let change = async {
            loop {
                let now = *wanted.borrow_and_update();
                self.turn(now);
                if wanted.changed().await.is_err() {
                    return;
                }
            }
        };
        tokio::select! {
            biased;
            () = self.ending.closing.cancelled() => {}
            () = change => {}
        }
    }

    fn turn(&self, wanted: Wanted) {
        let before = self.source.is_on();
        self.source.want(wanted);
        let what = match S::KIND {
            Kind::Records => "records",
            Kind::Data => "inputs and predictions",
        };
        match (before, wanted.after_seconds(S::KIND)) {
            (false, Some(seconds)) => {
                self.metrics.keeping(S::KIND.into());
                tracing::info!(seconds, "{what} are kept");
            }
            (true, None) => tracing::info!("{what} are not kept any more"),
            _ => {}
        }
    }

    /// Sends what is there, for so long, and then counts what is left.
    pub async fn finish(&self, limit: Duration) {
        self.ending.closing.cancel();
        self.source.want(Wanted::default());
        worker::finish(&self.tasks, &self.ending.kill, limit).await;
    }
}

/// Gathers lines into parts.
struct Archivist<S> {
    archive: Arc<Archive<S>>,
    wanted: watch::Receiver<Wanted>,
    parts: Parts,
}

impl<S: Source> Archivist<S> {
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
            let after = self.after();
            let due = self.parts.due(after);
            tokio::select! {
                () = gather(&archive.source, &archive.ending.closing) => {}
                () = at(due) => {}
                changed = self.wanted.changed() => if changed.is_err() {
                    archive.ending.closing.cancelled().await;
                },
            }
            self.take(&pipe, &finished).await;
            let after = self.after();
            let over = self.parts.over(Instant::now(), after);
            send(over, &finished).await;
        }
        archive.source.close();
        self.take(&pipe, &finished).await;
        send(self.parts.all(), &finished).await;
    }

    /// After how long a part is to be on its way: at once, where nothing is to be kept any more.
    fn after(&mut self) -> Duration {
        let after = self.wanted.borrow_and_update().after_seconds(S::KIND);
        Duration::from_secs(after.unwrap_or_default().into())
    }

    /// Takes what waits in the queue into parts. Those that are full go on their way.
    async fn take(&mut self, pipe: &Pipe<Carrier>, finished: &mpsc::Sender<Finished>) {
        while let Some(batch) = self.archive.source.take() {
            // What nobody is sent is not written first: there is time enough to count it, and no more.
            if self.archive.ending.kill.is_cancelled() {
                pipe.lost(batch.count(), Lost::Ended, "the gateway ended first");
                continue;
            }
            let mut parts = std::mem::replace(&mut self.parts, Parts::new(S::KIND));
            let at_stake = batch.count() + parts.lines();
            let (now, at) = (Timestamp::now(), Instant::now());
            // Milliseconds for a full batch: no worker that has requests to answer is kept from them.
            let compressed = spawn_blocking(move || {
                let added = parts.add(batch, now, at);
                (parts, added)
            });
            let Ok((parts, added)) = compressed.await else {
                pipe.lost(at_stake, Lost::Failed, "a part could not be written");
                continue;
            };
            self.parts = parts;
            pipe.lost(added.unreadable, Lost::Failed, "a line has no time");
            send(added.full, finished).await;
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
