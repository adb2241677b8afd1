//! Replicas that follow the load (docs/design/autoscaling.md).
//!
//! Reports come in at any time, on every replica of the operator, and are kept. The leader's reconcile decides and acts;
//! it is woken by a report that would change what was decided, and by time.

pub mod act;
pub mod decide;
mod heard;
pub mod tell;

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use atelier_api::WebService;
use atelier_api::report::Load;
use atelier_api::v1alpha1::{Autoscale, AutoscaleStatus};
use kube::ResourceExt as _;
use kube::runtime::reflector::{ObjectRef, Store};
use tokio::time::Instant;

use crate::intake::Reporter;
use crate::kit::triggers::Triggers;
use decide::{Decision, Rules, Standing, State};
pub use heard::Answering;
use heard::{Loads, Waiting};

/// A difference of utilisation, in percentage points, that the status tells of.
const WORTH_TELLING: u32 = 15;
/// From one status that tells of nothing but another utilisation to the next.
const TELL_EVERY: Duration = Duration::from_secs(60);
/// Loads of services that nobody asks about any more go after this time.
const FORGET: Duration = Duration::from_secs(120);
/// What is due then has come about a moment later.
const SOON: Duration = Duration::from_millis(20);

/// What is known of all services that report.
pub struct Scaler {
    window: Duration,
    services: Store<WebService>,
    triggers: OnceLock<Triggers>,
    all: Mutex<HashMap<(String, String), Service>>,
}

/// What is known of one service.
#[derive(Default)]
struct Service {
    loads: Loads,
    /// What was decided last, by whoever leads.
    decided: Option<Decided>,
    heard: Option<Instant>,
}

struct Decided {
    uid: String,
    rules: Rules,
    every: Duration,
    answering: Vec<Answering>,
    state: State,
    decision: Decision,
    told: Option<Told>,
    at: Instant,
    /// When somebody looks again anyway.
    looks_at: Instant,
    /// Whether somebody is to look again at once already.
    woken: bool,
}

#[derive(Clone, Copy)]
struct Told {
    utilization: Option<u32>,
    at: Instant,
}

/// How a service's replicas are to be, as far as the load says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scaling {
    /// Nobody can tell of the load here.
    NoAuthority,
    /// They follow the load.
    Follows(Follows),
}

/// See [`Scaling::Follows`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Follows {
    /// The decision.
    pub decision: Decision,
    /// The utilisation that the status is to tell.
    pub told: Option<u32>,
    /// Names of silent replicas.
    pub silent: Vec<String>,
    /// When to look again.
    pub look_again: Duration,
}

impl Scaler {
    /// Knows nothing yet. `window` is for how long fewer replicas have to do before there are fewer.
    pub fn new(window: Duration, services: Store<WebService>) -> Self {
        Self {
            window,
            services,
            triggers: OnceLock::new(),
            all: Mutex::default(),
        }
    }

    /// Whom to wake.
    pub fn wakes(&self, triggers: Triggers) {
        let _ = self.triggers.set(triggers);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<(String, String), Service>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a service's load is of interest.
    pub fn wants(&self, namespace: &str, service: &str) -> bool {
        let service = self
            .services
            .get(&ObjectRef::new(service).within(namespace));
        service.is_some_and(|service| service.spec.autoscale.is_some())
    }

    /// Takes a report in, and wakes whoever decides if it would change the decision.
    pub fn report(&self, of: &Reporter, load: Load, now: Instant) {
        let id = (of.namespace.clone(), of.service.clone());
        let mut all = self.lock();
        if !all.contains_key(&id) {
            all.retain(|_, service| service.is_of_use(now));
        }
        let service = all.entry(id.clone()).or_default();
        service.heard = Some(now);
        service.loads.hear(&of.uid, load, now);
        if let Some(wait) = service.news(now) {
            drop(all);
            self.wake(id, wait);
        }
    }

    fn wake(&self, (namespace, service): (String, String), wait: Duration) {
        let Some(triggers) = self.triggers.get().cloned() else {
            return;
        };
        if wait.is_zero() {
            return triggers.fire("WebService", &namespace, &service);
        }
        tokio::spawn(async move {
            tokio::time::sleep(wait).await;
            triggers.fire("WebService", &namespace, &service);
        });
    }

    /// Decides how many replicas there are to be. `live` is how many there were to be until now.
    pub fn decide(
        &self,
        service: &WebService,
        scale: &Autoscale,
        live: Option<i32>,
        answering: Vec<Answering>,
        now: Instant,
    ) -> Follows {
        let uid = service.uid().unwrap_or_default();
        let before = service.status.as_ref().and_then(|status| status.autoscale);
        let rules = self.rules(service, scale);
        let mut all = self.lock();
        let id = (service.namespace().unwrap_or_default(), service.name_any());
        let known = all.entry(id).or_default();
        let kept = known.decided.take().filter(|decided| decided.uid == uid);
        let (mut state, waiting, told) = match kept {
            Some(kept) => (kept.state, Waiting::of(kept.answering), kept.told),
            // Whoever has just begun to lead believes the greater number: nothing is taken away unheard.
            None => {
                let told = before.map(|before| before.desired_replicas);
                let desired = live.into_iter().chain(told).max().unwrap_or(scale.min);
                let told = before.map(|before| Told {
                    utilization: before.utilization.and_then(|told| u32::try_from(told).ok()),
                    at: now,
                });
                (State::new(unsigned(desired)), Waiting::default(), told)
            }
        };
        let answering = waiting.since(answering, now);
        known.loads.keep(&answering);
        let heard = known.loads.heard(&answering, now);
        let decision = state.decide(&rules, &heard, now);
        let told = tell(before, &decision, told, now);
        let silent = known.loads.silent(&answering, now);
        let fades = known.loads.falls_silent(&answering, now);
        let next = decision.changes_at.into_iter().chain(fades).min();
        let look_again = next.map_or(FORGET, |at| at.saturating_duration_since(now));
        known.decided = Some(Decided {
            uid,
            rules,
            every: Duration::from_secs(u64::from(unsigned(scale.refresh_seconds))),
            answering,
            state,
            decision: decision.clone(),
            told,
            at: now,
            looks_at: now + look_again,
            woken: false,
        });
        Follows {
            decision,
            told: told.and_then(|told| told.utilization),
            silent,
            look_again: look_again + SOON,
        }
    }

    /// There are to be as many as was decided.
    pub fn done(&self, namespace: &str, service: &str) {
        let mut all = self.lock();
        let known = all.get_mut(&(namespace.to_owned(), service.to_owned()));
        if let Some(decided) = known.and_then(|known| known.decided.as_mut()) {
            decided.state.desired = decided.decision.desired;
        }
    }

    /// A service does not follow its load any more, or is gone.
    pub fn forget(&self, namespace: &str, service: &str) {
        let mut all = self.lock();
        all.remove(&(namespace.to_owned(), service.to_owned()));
    }

    fn rules(&self, service: &WebService, scale: &Autoscale) -> Rules {
        Rules {
            min: unsigned(scale.min),
            max: unsigned(scale.max),
            target: unsigned(scale.target_utilization),
            concurrency: unsigned(service.spec.limits.concurrent_requests_per_replica),
            window: self.window,
        }
    }
}

impl Service {
    fn is_of_use(&self, now: Instant) -> bool {
        self.decided.is_some() || self.heard.is_some_and(|heard| now < heard + FORGET)
    }

    /// How long to wait until somebody looks at what changes by what is heard now; `None` if nothing does.
    fn news(&mut self, now: Instant) -> Option<Duration> {
        let decided = self.decided.as_mut()?;
        let heard = self.loads.heard(&decided.answering, now);
        let decision = decided.state.decide(&decided.rules, &heard, now);
        let changes = decision.desired != decided.decision.desired
            || decision.standing != decided.decision.standing
            || is_worth_telling(&decision, decided.told, now);
        if changes && !decided.woken {
            decided.woken = true;
            return Some((decided.at + decided.every).saturating_duration_since(now));
        }
        // Time will change it, and sooner than was known.
        let at = decision.changes_at? + SOON;
        (at + SOON < decided.looks_at).then(|| {
            decided.looks_at = at;
            at.saturating_duration_since(now)
        })
    }
}

/// What the status tells of the utilisation: what it told before, unless something else is to be told anyway, or it is
/// quite another and was told long ago. A steady load then costs no write.
fn tell(
    before: Option<AutoscaleStatus>,
    decision: &Decision,
    told: Option<Told>,
    now: Instant,
) -> Option<Told> {
    let another = before.is_none_or(|before| unsigned(before.desired_replicas) != decision.desired);
    match another || is_worth_telling(decision, told, now) {
        true => Some(Told {
            utilization: decision.utilization,
            at: now,
        }),
        false => told,
    }
}

fn is_worth_telling(decision: &Decision, told: Option<Told>, now: Instant) -> bool {
    match (
        told.map(|told| (told, told.utilization)),
        decision.utilization,
    ) {
        (None | Some((_, None)), after) => after.is_some(),
        // What is not known now is not worth a write.
        (Some(_), None) => false,
        (Some((told, Some(before))), Some(after)) => {
            before.abs_diff(after) >= WORTH_TELLING && now >= told.at + TELL_EVERY
        }
    }
}

/// Numbers of a spec, which a schema bounds.
pub fn unsigned(number: i32) -> u32 {
    u32::try_from(number).unwrap_or_default()
}

impl Follows {
    /// What the status says of it.
    pub fn status(&self) -> AutoscaleStatus {
        let signed = |number: u32| i32::try_from(number).unwrap_or(i32::MAX);
        AutoscaleStatus {
            desired_replicas: signed(self.decision.desired),
            utilization: self.told.map(signed),
        }
    }

    /// How it stands.
    pub fn standing(&self) -> Standing {
        self.decision.standing
    }
}

#[cfg(test)]
mod tests;
