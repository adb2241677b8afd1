//! Records beyond stdout: exported to a collector, while the Secret that is watched says so.
//!
//! A request appends its line to a queue and goes on. Everything else (reading it again, writing it for the collector,
//! sending, trying again) is done by a task beside the requests; what it cannot get rid of in time is dropped and
//! counted. While nothing is to be exported a request pays for the look at one flag.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwapOption;
use atelier_api::gateway_telemetry::{
    GatewayTelemetry, HEADERS_KEY, TELEMETRY_KEY, TelemetryHeaders,
};
use http::HeaderMap;
use tokio::time::sleep;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use uuid::Uuid;

use crate::{
    ids::RequestIds,
    logging::chain,
    metrics::{Lost, Metrics, Sink},
    policy,
};

pub mod line;
pub mod otlp;
pub mod pipe;
pub mod proto;
pub mod queue;
pub mod trace;
pub mod way;
pub mod worker;

use otlp::Source;
use queue::Queue;
use trace::Trace;
use way::{Unusable, Way};
use worker::{Ending, Exporter};

/// How long an export that was turned off or changed may take to get rid of what it has.
const LINGER: Duration = Duration::from_secs(5);

/// What the Secret says of telemetry.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Told {
    telemetry: GatewayTelemetry,
    headers: Option<TelemetryHeaders>,
}

/// Why what the Secret says cannot be done.
#[derive(Debug, thiserror::Error)]
enum Rejected {
    #[error("entry {TELEMETRY_KEY} cannot be read: {0}")]
    Document(#[from] serde_json::Error),
    #[error("entry {HEADERS_KEY} cannot be read: {0}")]
    Headers(String),
    #[error(transparent)]
    Unusable(#[from] Unusable),
}

/// The entries of the gateway's Secret that are about telemetry.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entries {
    /// [`TELEMETRY_KEY`].
    pub document: Option<Vec<u8>>,
    /// [`HEADERS_KEY`]. In debug output only its length would show, were it ever there.
    pub headers: Option<Secret>,
}

/// Bytes that are nobody's business.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub Vec<u8>);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

impl Entries {
    fn read(&self) -> Result<Option<Told>, Rejected> {
        let Some(document) = &self.document else {
            return Ok(None);
        };
        let telemetry = GatewayTelemetry::from_json(document)?;
        let headers = self
            .headers
            .as_ref()
            .map(|Secret(entry)| TelemetryHeaders::from_json(entry));
        Ok(Some(Told {
            telemetry,
            headers: headers.transpose().map_err(Rejected::Headers)?,
        }))
    }
}

/// Where records go beside stdout.
#[derive(Debug)]
pub struct Telemetry {
    /// Whether `live` is there: what a request pays for while it is not.
    on: AtomicBool,
    live: ArcSwapOption<Live>,
    /// What is in force, and who is at it: changes come one after the other.
    told: Mutex<Option<Told>>,
    /// As for the policy: once the watch has delivered, the mounted file is done for.
    watched: AtomicBool,
    source: Arc<Source>,
    metrics: Arc<Metrics>,
    tasks: TaskTracker,
    kill: CancellationToken,
}

/// An export at work.
#[derive(Debug)]
pub struct Live {
    queue: Arc<Queue>,
    ending: Ending,
    metrics: Arc<Metrics>,
}

impl Live {
    /// Hands a record in, as its line on stdout, and never waits.
    pub fn push(&self, line: &[u8], trace: Option<Trace>) {
        if !self.queue.push(line, trace) {
            self.metrics.dropped(Sink::OtlpLogs, Lost::QueueFull, 1);
            if trace.is_some_and(|trace| trace.sampled) {
                self.metrics.dropped(Sink::OtlpTraces, Lost::QueueFull, 1);
            }
        }
    }

    /// Sends what it has, for a while.
    fn end(&self) {
        self.ending.closing.cancel();
        let kill = self.ending.kill.clone();
        tokio::spawn(async move {
            sleep(LINGER).await;
            kill.cancel();
        });
    }
}

impl Telemetry {
    /// Nothing is exported yet.
    #[must_use]
    pub fn new(source: Source, metrics: Arc<Metrics>) -> Self {
        Self {
            on: AtomicBool::new(false),
            live: ArcSwapOption::empty(),
            told: Mutex::default(),
            watched: AtomicBool::new(false),
            source: Arc::new(source),
            metrics,
            tasks: TaskTracker::new(),
            kill: CancellationToken::new(),
        }
    }

    /// The export at work, if there is one.
    #[must_use]
    pub fn live(&self) -> Option<Arc<Live>> {
        match self.on.load(Ordering::Relaxed) {
            true => self.live.load_full(),
            false => None,
        }
    }

    /// A request's place in a trace, where spans are exported.
    #[must_use]
    pub fn trace(&self, headers: &HeaderMap, ids: &RequestIds) -> Option<Trace> {
        let on = self.on.load(Ordering::Relaxed);
        on.then(|| Trace::of(headers, ids.request_id(), Uuid::new_v4))
    }

    /// Takes over what the Secret says, if it can be done; else what was in force stays so. Belongs into a task.
    pub fn offer(&self, by: policy::Source, entries: &Entries) {
        if by == policy::Source::Watch {
            self.watched.store(true, Ordering::Relaxed);
        } else if self.watched.load(Ordering::Relaxed) {
            return;
        }
        if let Err(error) = entries.read().and_then(|told| self.change(told)) {
            self.metrics.telemetry_rejected();
            let error = chain(&error);
            tracing::error!(
                error,
                source = ?by,
                "what the Secret says of telemetry cannot be done, and what was in force stays so: correct spec.telemetry of the WebService; the operator writes the Secret anew"
            );
        }
    }

    fn change(&self, told: Option<Told>) -> Result<(), Rejected> {
        let mut in_force = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if *in_force == told || self.kill.is_cancelled() {
            return Ok(());
        }
        let target = told.as_ref().and_then(|told| told.telemetry.otlp.as_ref());
        let live = match (target, &told) {
            (Some(target), Some(told)) => {
                let ways = Way::both(target, told.headers.as_ref())?;
                let ending = Ending {
                    closing: CancellationToken::new(),
                    kill: self.kill.child_token(),
                };
                let (source, metrics) = (Arc::clone(&self.source), Arc::clone(&self.metrics));
                let exporter = Exporter::new(ways, target.gzip, source, metrics);
                let queue = Arc::new(Queue::default());
                self.tasks
                    .spawn(exporter.run(Arc::clone(&queue), ending.clone()));
                let metrics = Arc::clone(&self.metrics);
                metrics.exporting();
                Some(Arc::new(Live {
                    queue,
                    ending,
                    metrics,
                }))
            }
            _ => None,
        };
        match target {
            Some(target) => tracing::info!(endpoint = %target.endpoint, "records are exported"),
            None => tracing::info!("records are not exported any more"),
        }
        *in_force = told;
        self.on.store(live.is_some(), Ordering::Relaxed);
        if let Some(before) = self.live.swap(live) {
            before.end();
        }
        Ok(())
    }

    /// Sends what is there, for so long, and then counts what is left.
    pub async fn finish(&self, limit: Duration) {
        self.on.store(false, Ordering::Relaxed);
        if let Some(live) = self.live.swap(None) {
            live.end();
        }
        worker::finish(&self.tasks, &self.kill, limit).await;
    }
}
