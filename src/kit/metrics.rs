//! What the operator counts. Labels are closed sets: never an object's name.

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    controller: &'static str,
    result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ResultLabel {
    result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabel {
    reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Direction {
    direction: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Controller {
    controller: &'static str,
}

/// The counters.
#[derive(Clone)]
pub struct Metrics {
    reconciles: Family<Outcome, Counter>,
    seconds: Family<Controller, Histogram, fn() -> Histogram>,
    reports: Family<ResultLabel, Counter>,
    token_reviews: Family<ResultLabel, Counter>,
    scalings: Family<Direction, Counter>,
    service_storage: Family<ReasonLabel, Gauge>,
    /// 1 while this replica leads.
    pub leader: Gauge,
}

impl Metrics {
    /// Registers all metrics under the prefix `atelier`.
    pub fn new(registry: &mut Registry) -> Self {
        let registry = registry.sub_registry_with_prefix("atelier");
        let seconds = Family::new_with_constructor(histogram as fn() -> Histogram);
        let metrics = Self {
            reconciles: Family::default(),
            seconds,
            reports: Family::default(),
            token_reviews: Family::default(),
            scalings: Family::default(),
            service_storage: Family::default(),
            leader: Gauge::default(),
        };
        registry.register(
            "reconciles",
            "Reconciles by controller and result",
            metrics.reconciles.clone(),
        );
        registry.register(
            "reconcile_seconds",
            "Duration of reconciles",
            metrics.seconds.clone(),
        );
        registry.register(
            "reports",
            "Reports of gateways, by what became of them",
            metrics.reports.clone(),
        );
        registry.register(
            "token_reviews",
            "Questions to the API server whose token a report came with, by its answer",
            metrics.token_reviews.clone(),
        );
        registry.register(
            "scalings",
            "Changes of a web service's replicas by its load, by direction",
            metrics.scalings.clone(),
        );
        registry.register(
            "service_storage",
            "1 for what was last found of the service's own storage, told by whoever leads: Probed where it works",
            metrics.service_storage.clone(),
        );
        registry.register(
            "leader",
            "1 while this replica leads",
            metrics.leader.clone(),
        );
        metrics
    }

    /// Counts one reconcile.
    pub fn reconciled(&self, controller: &'static str, result: &'static str, took: Duration) {
        self.reconciles
            .get_or_create(&Outcome { controller, result })
            .inc();
        self.seconds
            .get_or_create(&Controller { controller })
            .observe(took.as_secs_f64());
    }

    /// Counts one report, taken or refused.
    pub fn reported(&self, result: &'static str) {
        self.reports.get_or_create(&ResultLabel { result }).inc();
    }

    /// Counts one question about a token.
    pub fn token_reviewed(&self, result: &'static str) {
        let label = ResultLabel { result };
        self.token_reviews.get_or_create(&label).inc();
    }

    /// What was found of the service's own storage; nothing, where that is not ours to tell.
    pub fn service_storage(&self, reason: Option<&'static str>) {
        self.service_storage.clear();
        if let Some(reason) = reason {
            let label = ReasonLabel { reason };
            self.service_storage.get_or_create(&label).set(1);
        }
    }

    /// Counts one change of replicas.
    pub fn scaled(&self, direction: &'static str) {
        self.scalings.get_or_create(&Direction { direction }).inc();
    }
}

fn histogram() -> Histogram {
    Histogram::new([0.001, 0.005, 0.02, 0.1, 0.5, 2.0, 10.0])
}
