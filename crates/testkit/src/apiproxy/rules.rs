//! The rules that are in force.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use super::frames::Frame;
use super::gate::Gate;
use super::request::Call;
use super::rule::{Action, Rule};

/// Which rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RuleId(u64);

/// The rules that are in force, in the order in which they were added. Every rule counts what matches it; of those whose
/// turn it is, all that only delay and the first of the others apply. Clones are the same rules.
#[derive(Clone, Default)]
pub struct Rules(Arc<Shared>);

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    // Counts hits, to wake who waits for one.
    changed: watch::Sender<u64>,
}

#[derive(Default)]
struct State {
    next: u64,
    armed: Vec<Armed>,
    // Watches that are held, so that later ones of the same are.
    held: Vec<Held>,
}

struct Armed {
    id: RuleId,
    rule: Rule,
    matches: usize,
    hits: usize,
    removed: bool,
}

struct Held {
    group: String,
    resource: String,
    namespace: String,
    gate: Gate,
}

impl Rules {
    /// Puts a rule into force.
    pub fn add(&self, rule: Rule) -> RuleId {
        self.with(|state| {
            state.next += 1;
            let id = RuleId(state.next);
            state.armed.push(Armed {
                id,
                rule,
                matches: 0,
                hits: 0,
                removed: false,
            });
            id
        })
    }

    /// Takes a rule out of force. What it holds back already waits for its gate all the same; its hits stay known.
    pub fn remove(&self, id: RuleId) {
        self.with(|state| {
            let ours = state.armed.iter_mut().find(|armed| armed.id == id);
            if let Some(armed) = ours {
                armed.removed = true;
            }
        });
    }

    /// Takes all rules out of force. What they hold back already waits for its gate all the same, but later watches
    /// are not held for it; the hits stay known.
    pub fn clear(&self) {
        self.with(|state| {
            state
                .armed
                .iter_mut()
                .for_each(|armed| armed.removed = true);
            state.held.clear();
        });
    }

    /// How often a rule has disturbed something.
    pub fn hits(&self, id: RuleId) -> usize {
        self.count(id, |armed| armed.hits)
    }

    /// How often something matched a rule, whether it was disturbed or not.
    pub fn matches(&self, id: RuleId) -> usize {
        self.count(id, |armed| armed.matches)
    }

    /// Waits until a rule has disturbed something `n` times.
    pub async fn wait_hit(&self, id: RuleId, n: usize) {
        let mut changed = self.0.changed.subscribe();
        while self.hits(id) < n {
            // The sender lives as long as this.
            let _ = changed.changed().await;
        }
    }

    /// The same, for so long at most. Says whether it has.
    pub async fn hit_within(&self, id: RuleId, n: usize, limit: Duration) -> bool {
        tokio::time::timeout(limit, self.wait_hit(id, n))
            .await
            .is_ok()
    }

    /// What is to be done to a request.
    pub(super) fn on_request(&self, call: &Call, accept: &str) -> Vec<Action> {
        self.due(|rule| rule.meets(call, accept))
    }

    /// What is to be done to an event of a watch.
    pub(super) fn on_event(&self, watch: &Call, frame: &Frame) -> Vec<Action> {
        let meta = &frame.meta;
        let actions =
            self.due(|rule| rule.meets_event(watch, frame.event, &meta.namespace, &meta.name));
        for action in &actions {
            if let Action::HoldWatch(gate) = action {
                self.with(|state| state.hold(watch, gate));
            }
        }
        actions
    }

    /// The gate that a watch waits at from its start, because an earlier one of the same does.
    pub(super) fn held(&self, watch: &Call) -> Option<Gate> {
        self.with(|state| {
            state.held.retain(|held| !held.gate.is_open());
            let same = state.held.iter().find(|held| held.is(watch));
            same.map(|held| held.gate.clone())
        })
    }

    fn due(&self, meets: impl Fn(&Rule) -> bool) -> Vec<Action> {
        let actions = self.with(|state| state.due(meets));
        if !actions.is_empty() {
            self.0.changed.send_modify(|count| *count += 1);
        }
        actions
    }

    fn count(&self, id: RuleId, count: impl Fn(&Armed) -> usize) -> usize {
        self.with(|state| {
            let ours = state.armed.iter().find(|armed| armed.id == id);
            count(ours.expect("the rule is one of these rules"))
        })
    }

    fn with<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        act(&mut self.0.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl State {
    fn due(&mut self, meets: impl Fn(&Rule) -> bool) -> Vec<Action> {
        let mut actions: Vec<Action> = Vec::new();
        let in_force = self.armed.iter_mut().filter(|armed| !armed.removed);
        for armed in in_force {
            if !meets(&armed.rule) {
                continue;
            }
            armed.matches += 1;
            let spent = armed.rule.times.is_some_and(|times| armed.hits >= times);
            let settled = actions.last().is_some_and(|action| !action.goes_on());
            if settled || spent || armed.matches < armed.rule.from {
                continue;
            }
            armed.hits += 1;
            actions.push(armed.rule.action.clone());
        }
        actions
    }

    fn hold(&mut self, watch: &Call, gate: &Gate) {
        if !self.held.iter().any(|held| held.is(watch)) {
            self.held.push(Held {
                group: watch.group.clone(),
                resource: watch.resource.clone(),
                namespace: watch.namespace.clone(),
                gate: gate.clone(),
            });
        }
    }
}

impl Held {
    fn is(&self, watch: &Call) -> bool {
        self.resource == watch.resource
            && self.group == watch.group
            && self.namespace == watch.namespace
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::Method;

    use super::super::rule::Matcher;
    use super::{Action, Call, Frame, Gate, Rule, Rules};

    fn create() -> Call {
        Call::parse(&Method::POST, "/api/v1/namespaces/a/pods", None)
    }

    fn names(rules: &Rules) -> Vec<&'static str> {
        let actions = rules.on_request(&create(), "");
        actions.iter().map(Action::name).collect()
    }

    #[test]
    fn fires_from_the_nth_match_so_many_times() {
        let rules = Rules::default();
        let id = rules.add(
            Rule::new(Matcher::any(), Action::DropBefore)
                .from(2)
                .times(2),
        );
        let fired: Vec<_> = (0..5).map(|_| !names(&rules).is_empty()).collect();
        assert_eq!(fired, [false, true, true, false, false]);
        assert_eq!((rules.hits(id), rules.matches(id)), (2, 5));
    }

    #[test]
    fn delays_come_on_top_and_the_first_of_the_others_wins() {
        let rules = Rules::default();
        rules.add(Rule::new(Matcher::any(), Action::Delay(Duration::ZERO)));
        let first = rules.add(Rule::new(Matcher::any(), Action::answer(503)).once());
        let second = rules.add(Rule::new(Matcher::any(), Action::DropBefore));
        assert_eq!(names(&rules), ["Delay", "Answer"]);
        assert_eq!(names(&rules), ["Delay", "DropBefore"]);
        rules.remove(second);
        assert_eq!(names(&rules), ["Delay"]);
        rules.clear();
        assert!(names(&rules).is_empty());
        assert_eq!((rules.hits(first), rules.hits(second)), (1, 1));
    }

    #[test]
    fn later_watches_are_held_until_the_gate_opens() {
        let watch = |path| Call::parse(&Method::GET, path, Some("watch=true"));
        let pods = watch("/api/v1/namespaces/a/pods");
        let frame = Frame::parse(
            r#"{"type":"ADDED","object":{"metadata":{"name":"p","namespace":"a"}}}"#.into(),
        );
        let (rules, gate) = (Rules::default(), Gate::shut());
        rules.add(Rule::new(Matcher::any(), Action::HoldWatch(gate.clone())).once());
        assert!(rules.held(&pods).is_none());
        assert_eq!(rules.on_event(&pods, &frame).len(), 1);
        assert!(rules.held(&pods).is_some());
        assert!(rules.held(&watch("/api/v1/namespaces/b/pods")).is_none());
        assert!(rules.held(&watch("/api/v1/namespaces/a/secrets")).is_none());
        gate.open();
        assert!(rules.held(&pods).is_none());
    }

    #[tokio::test]
    async fn a_hit_can_be_waited_for() {
        let rules = Rules::default();
        let id = rules.add(Rule::new(Matcher::any(), Action::DropBefore));
        assert!(!rules.hit_within(id, 1, Duration::from_millis(5)).await);
        let waiting = tokio::spawn({
            let rules = rules.clone();
            async move { rules.wait_hit(id, 2).await }
        });
        names(&rules);
        names(&rules);
        waiting.await.unwrap();
    }
}
