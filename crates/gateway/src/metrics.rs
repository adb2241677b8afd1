//! What Prometheus sees. No label holds a path, a subject or anything else a client chose.

use std::{fmt::Write as _, sync::Arc, time::Duration};

use atelier_api::archive::Kind;
use atelier_api::gateway_policy::GatewayPolicy;
use jiff::Timestamp;
use prometheus_client::{
    encoding::{EncodeLabelSet, EncodeLabelValue, text},
    metrics::{
        counter::Counter,
        family::Family,
        gauge::Gauge,
        histogram::{Histogram, exponential_buckets},
    },
    registry::Registry,
};

use crate::{authn::Denied, record::Outcome};

/// All metrics of the gateway.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    requests: Family<RequestLabels, Counter>,
    denied: Family<DeniedLabels, Counter>,
    duration: Histogram,
    in_flight: Gauge,
    queued: Gauge,
    records_dropped: Counter,
    telemetry_exported: Family<SinkLabels, Counter>,
    telemetry_dropped: Family<LostLabels, Counter>,
    telemetry_rejected: Counter,
    policy_generation: Family<SlotLabels, Gauge>,
    policy_loaded: Gauge,
    policy_rejected: Counter,
    policy_watched: Gauge,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    code: u16,
    outcome: Outcome,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct DeniedLabels {
    reason: Denied,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SlotLabels {
    slot: Slot,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
enum Slot {
    Primary,
    Secondary,
}

/// Where records go beside stdout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
pub enum Sink {
    /// A collector, as log records.
    OtlpLogs,
    /// The same, as spans.
    OtlpTraces,
    /// The workspace's storage.
    Archive,
    /// The same, for inputs and predictions.
    Data,
}

impl From<Kind> for Sink {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Records => Self::Archive,
            Kind::Data => Self::Data,
        }
    }
}

impl Sink {
    /// What it is, in a sentence.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::OtlpLogs | Self::OtlpTraces => "the collector",
            Self::Archive => "the archive",
            Self::Data => "the collected data",
        }
    }
}

/// Why a record was lost on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
pub enum Lost {
    /// The sink takes them more slowly than they come.
    QueueFull,
    /// The sink could not be reached, or was too busy, for too long.
    TimedOut,
    /// The sink does not want the batch.
    Refused,
    /// The sink took the batch without it.
    Rejected,
    /// The gateway, or its export, ended first.
    Ended,
    /// It could not be written.
    Failed,
}

impl Lost {
    /// What may help.
    #[must_use]
    pub fn advice(self, sink: Sink) -> &'static str {
        match (sink, self) {
            (_, Self::Failed) => "this is a fault of the gateway: please report it",
            (Sink::Data, Self::QueueFull) => {
                "lower spec.collectData.samplePercent or maxBytes, or see why the operator or the workspace's storage takes so long"
            }
            (Sink::Archive, Self::QueueFull) => {
                "see why the operator or the workspace's storage takes so long"
            }
            (Sink::Archive | Sink::Data, Self::TimedOut) => {
                "see that the operator runs, what the condition StorageReady of the Workspace says, and that no network policy is between"
            }
            (Sink::Archive | Sink::Data, Self::Refused | Self::Rejected) => {
                "see the conditions TelemetryArchiving and DataCollecting of the WebService; a gateway and an operator of different versions may not understand each other"
            }
            (Sink::Archive | Sink::Data, Self::Ended) => {
                "an archive that answers sooner would have got them"
            }
            (_, Self::QueueFull) => "give the collector more to work with",
            (_, Self::TimedOut) => {
                "see that the collector runs, that spec.telemetry.otlp.endpoint leads to it and that no network policy is between"
            }
            (_, Self::Refused) => {
                "see that spec.telemetry.otlp names the collector's port for OTLP over HTTP, and that the headers in its Secret are those the collector asks for"
            }
            (_, Self::Rejected) => "the collector's own log says why it does not take them",
            (_, Self::Ended) => "a collector that answers sooner would have got them",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SinkLabels {
    sink: Sink,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct LostLabels {
    sink: Sink,
    reason: Lost,
}

impl Metrics {
    /// Registers all metrics, at zero.
    #[must_use]
    pub fn new() -> Arc<Self> {
        let mut metrics = Self {
            registry: Registry::with_prefix("atelier_gateway"),
            requests: Family::default(),
            denied: Family::default(),
            // 1 ms to 33 s, then everything.
            duration: Histogram::new(exponential_buckets(0.001, 2.0, 16)),
            in_flight: Gauge::default(),
            queued: Gauge::default(),
            records_dropped: Counter::default(),
            telemetry_exported: Family::default(),
            telemetry_dropped: Family::default(),
            telemetry_rejected: Counter::default(),
            policy_generation: Family::default(),
            policy_loaded: Gauge::default(),
            policy_rejected: Counter::default(),
            policy_watched: Gauge::default(),
        };
        let Self {
            registry,
            requests,
            denied,
            duration,
            in_flight,
            queued,
            records_dropped,
            telemetry_exported,
            telemetry_dropped,
            telemetry_rejected,
            policy_generation,
            policy_loaded,
            policy_rejected,
            policy_watched,
        } = &mut metrics;
        registry.register(
            "requests",
            "Requests, by status code and outcome",
            requests.clone(),
        );
        registry.register(
            "denied",
            "Requests without an acceptable credential, by reason",
            denied.clone(),
        );
        registry.register(
            "request_duration_seconds",
            "Time from a request's header to the end of its answer",
            duration.clone(),
        );
        registry.register(
            "requests_in_flight",
            "Requests being answered",
            in_flight.clone(),
        );
        registry.register(
            "requests_queued",
            "Requests waiting for their turn",
            queued.clone(),
        );
        registry.register(
            "records_dropped",
            "Records lost because stdout stalled",
            records_dropped.clone(),
        );
        registry.register(
            "telemetry_exported",
            "Records that a sink has taken, by sink",
            telemetry_exported.clone(),
        );
        registry.register(
            "telemetry_dropped",
            "Records lost on their way to a sink, by sink and reason",
            telemetry_dropped.clone(),
        );
        registry.register(
            "telemetry_rejected",
            "Settings of telemetry that could not be taken over",
            telemetry_rejected.clone(),
        );
        registry.register(
            "policy_generation",
            "Generation of each key in the policy served by",
            policy_generation.clone(),
        );
        registry.register(
            "policy_loaded_timestamp_seconds",
            "When the policy served by was loaded; 0: never",
            policy_loaded.clone(),
        );
        registry.register(
            "policy_rejected",
            "Policies that could not be read",
            policy_rejected.clone(),
        );
        registry.register(
            "policy_watched",
            "1 while the API server delivers the policy",
            policy_watched.clone(),
        );
        Arc::new(metrics)
    }

    /// Writes all metrics in the OpenMetrics text format.
    #[must_use]
    pub fn encode(&self) -> String {
        let mut out = String::new();
        if text::encode(&mut out, &self.registry).is_err() {
            // Only an out-of-memory writer fails; the reader then sees that the text is cut off.
            let _ = out.write_str("# incomplete\n");
        }
        out
    }

    /// Counts a finished request.
    pub fn finished(&self, code: u16, outcome: Outcome, duration: Duration) {
        self.requests
            .get_or_create(&RequestLabels { code, outcome })
            .inc();
        self.duration.observe(duration.as_secs_f64());
    }

    /// Counts a denial.
    pub fn denied(&self, reason: Denied) {
        self.denied.get_or_create(&DeniedLabels { reason }).inc();
    }

    /// Counts a record that stdout did not take in time.
    pub fn record_dropped(&self) {
        self.records_dropped.inc();
    }

    /// Shows the counts of an export from its beginning, at zero.
    pub fn exporting(&self) {
        for sink in [Sink::OtlpLogs, Sink::OtlpTraces] {
            self.exported(sink, 0);
            self.dropped(sink, Lost::QueueFull, 0);
        }
    }

    /// Shows the counts of what is kept from its beginning, at zero.
    pub fn keeping(&self, sink: Sink) {
        self.exported(sink, 0);
        self.dropped(sink, Lost::QueueFull, 0);
    }

    /// Counts records that a sink has taken.
    pub fn exported(&self, sink: Sink, count: u64) {
        let labels = SinkLabels { sink };
        self.telemetry_exported.get_or_create(&labels).inc_by(count);
    }

    /// Counts records lost on their way to a sink.
    pub fn dropped(&self, sink: Sink, reason: Lost, count: u64) {
        let labels = LostLabels { sink, reason };
        self.telemetry_dropped.get_or_create(&labels).inc_by(count);
    }

    /// Counts settings of telemetry that could not be taken over.
    pub fn telemetry_rejected(&self) {
        self.telemetry_rejected.inc();
    }

    /// Notes the policy that is served by from now on.
    pub fn policy_loaded(&self, policy: &GatewayPolicy, now: Timestamp) {
        self.policy_loaded.set(now.as_second());
        if let Some(keys) = policy.keys() {
            for (slot, key) in [
                (Slot::Primary, &keys.primary),
                (Slot::Secondary, &keys.secondary),
            ] {
                let generation = i64::try_from(key.generation).unwrap_or(i64::MAX);
                self.policy_generation
                    .get_or_create(&SlotLabels { slot })
                    .set(generation);
            }
        }
    }

    /// Counts a policy that could not be read.
    pub fn policy_rejected(&self) {
        self.policy_rejected.inc();
    }

    /// Notes whether the API server delivers the policy.
    pub fn policy_watched(&self, watched: bool) {
        self.policy_watched.set(i64::from(watched));
    }

    /// Counts one request in flight until the guard is dropped.
    #[must_use]
    pub fn in_flight(&self) -> Counted {
        Counted::new(&self.in_flight)
    }

    /// Counts one waiting request until the guard is dropped.
    #[must_use]
    pub fn queued(&self) -> Counted {
        Counted::new(&self.queued)
    }

    /// How many requests wait.
    #[must_use]
    pub fn queued_now(&self) -> i64 {
        self.queued.get()
    }
}

/// One thing that a gauge counts while it lives.
#[derive(Debug)]
pub struct Counted(Gauge);

impl Counted {
    fn new(gauge: &Gauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.dec();
    }
}
