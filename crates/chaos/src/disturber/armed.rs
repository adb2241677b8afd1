//! A plan in force: what is to happen, and whether it has.

use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use atelier_testkit::apiproxy::{Action, Entry, Gate, ListSnapshot, Mark, Rule, RuleId};
use tokio::task::JoinHandle;

use super::{Disturber, is_of, rules};
use crate::Operator;
use crate::plan::{Disturbance, Plan};
use crate::trail::Request;

/// How late events come.
const LATE: Duration = Duration::from_millis(1200);
/// How long only the past is seen.
const PAST: Duration = Duration::from_secs(1);
const STARTS: Duration = Duration::from_secs(30);

/// A plan in force.
pub struct Armed<'a> {
    disturber: &'a Disturber,
    namespace: String,
    from: Mark,
    begun: Instant,
    rule: Cell<Option<RuleId>>,
    gate: Gate,
    opener: RefCell<Option<JoinHandle<()>>>,
    past: Option<Past>,
}

/// The operator is to see the past.
struct Past {
    resource: String,
    operator: Arc<Operator>,
    rests: Cell<usize>,
    snapshot: RefCell<Option<ListSnapshot>>,
}

impl<'a> Armed<'a> {
    pub(super) fn new(
        disturber: &'a Disturber,
        plan: &Plan,
        namespace: &str,
        operator: &Arc<Operator>,
    ) -> anyhow::Result<Self> {
        let mut armed = Self {
            disturber,
            namespace: namespace.to_owned(),
            from: disturber.now(),
            begun: Instant::now(),
            rule: Cell::new(None),
            gate: Gate::shut(),
            opener: RefCell::new(None),
            past: None,
        };
        match &plan.disturbance {
            Disturbance::Crash(write, phase) => armed.add(rules::crash(write, *phase, namespace)?),
            Disturbance::Fault(write, fault) => armed.add(rules::fault(write, *fault, namespace)?),
            Disturbance::Sight(event, sight) => {
                armed.add(rules::sight(event, *sight, namespace, &armed.gate)?);
                armed.open_after(LATE);
            }
            Disturbance::Past(resource) => {
                armed.past = Some(Past {
                    resource: resource.clone(),
                    operator: operator.clone(),
                    rests: Cell::new(0),
                    snapshot: RefCell::new(None),
                });
            }
        }
        Ok(armed)
    }

    /// What the operator has asked since, in the plan's namespace.
    pub fn trail(&self) -> Vec<Request> {
        self.disturber.trail(&self.namespace, self.from)
    }

    /// Whether the disturbance took place.
    pub fn was_hit(&self) -> bool {
        let rules = self.disturber.proxy.rules();
        self.rule.get().is_some_and(|rule| rules.hits(rule) > 0)
    }

    /// How long the operator has changed nothing in the plan's namespace.
    pub fn writes_nothing_for(&self) -> Duration {
        let ours = |entry: &Entry| {
            is_of(entry, &self.namespace) && entry.is_write() && entry.resource != "events"
        };
        let writes = self.disturber.proxy.trail().entries_since(self.from, ours);
        // One without an end is under way: whether it changes anything is not known yet.
        let underway = writes
            .iter()
            .any(|entry| entry.ended.is_none() && entry.fault().is_none());
        let last = writes
            .iter()
            .filter(|entry| entry.effective)
            .filter_map(|entry| entry.ended)
            .max();
        match underway {
            true => Duration::ZERO,
            false => last.unwrap_or(self.begun).elapsed(),
        }
    }

    /// The scenario has come to a rest. The past is noted at the first, and is the present after the second.
    pub async fn at_rest(&self) -> anyhow::Result<()> {
        let Some(past) = &self.past else {
            return Ok(());
        };
        past.rests.set(past.rests.get() + 1);
        match past.rests.get() {
            1 => self.note(past).await,
            2 => self.go_back(past),
            _ => Ok(()),
        }
    }

    /// An operator that starts lists everything.
    async fn note(&self, past: &Past) -> anyhow::Result<()> {
        let trail = self.disturber.proxy.trail();
        trail.keep_lists(true);
        let from = Instant::now();
        past.operator.restart()?;
        let wanted = |list: &ListSnapshot| {
            list.call.resource == past.resource
                && (list.call.namespace.is_empty() || list.call.namespace == self.namespace)
                && list.at > from
        };
        while from.elapsed() < STARTS {
            if let Some(list) = trail.lists(wanted).into_iter().next() {
                trail.keep_lists(false);
                past.snapshot.replace(Some(list));
                return past.operator.leading(STARTS).await;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        anyhow::bail!("no list of {} within {STARTS:?} of a start", past.resource)
    }

    fn go_back(&self, past: &Past) -> anyhow::Result<()> {
        let snapshot = past.snapshot.take().context("there is no past")?;
        past.operator.kill();
        let proxy_rules = self.disturber.proxy.rules();
        self.add(rules::replay(&past.resource, snapshot));
        let later = rules::of(&past.resource, &self.namespace);
        proxy_rules.add(Rule::new(later, Action::HoldWatch(self.gate.clone())));
        self.open_after(PAST);
        past.operator.start()
    }

    fn add(&self, rule: Rule) {
        self.rule.set(Some(self.disturber.proxy.rules().add(rule)));
    }

    /// Lets go what is held back, some time after the disturbance.
    fn open_after(&self, delay: Duration) {
        let (rules, gate) = (self.disturber.proxy.rules().clone(), self.gate.clone());
        let Some(rule) = self.rule.get() else { return };
        let opener = tokio::spawn(async move {
            rules.wait_hit(rule, 1).await;
            tokio::time::sleep(delay).await;
            gate.open();
        });
        self.opener.replace(Some(opener));
    }
}

impl Drop for Armed<'_> {
    fn drop(&mut self) {
        if let Some(opener) = self.opener.take() {
            opener.abort();
        }
        self.gate.open();
        self.disturber.proxy.rules().clear();
        self.disturber.proxy.trail().keep_lists(false);
    }
}
