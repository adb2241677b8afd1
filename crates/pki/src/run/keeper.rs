//! What is known, and what follows from it.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use kube::api::DynamicObject;
use kube::{Api, Client};

use super::Blocked;
use super::act::timely;
use super::objects::{Seen, Slot, secrets};
use crate::authority::Authority;
use crate::config::Config;
use crate::error::Error;
use crate::leaf;
use crate::plan::{LeafState, State, Step, TargetState, settled};
use crate::store::Authorities;

/// What is known, and the way to write.
pub struct Keeper {
    /// What is to be kept.
    pub config: Config,
    /// The authorities as they are kept.
    pub authorities: Authorities,
    /// What cannot be understood of the Secret that keeps them.
    pub troubles: Vec<String>,
    client: Client,
    seen: HashMap<Slot, Seen>,
    blocked: HashMap<Slot, Blocked>,
    /// Since when all has been well with these authorities.
    settled: Option<(Instant, Authorities)>,
    /// How often others have put something right, when it was last counted.
    repairs: u64,
}

impl Keeper {
    /// Knows nothing yet.
    pub fn new(client: Client, config: Config) -> Self {
        Self {
            config,
            client,
            seen: HashMap::new(),
            blocked: HashMap::new(),
            authorities: Authorities::default(),
            troubles: Vec::new(),
            settled: None,
            repairs: 0,
        }
    }

    /// All objects.
    pub fn slots(&self) -> impl Iterator<Item = Slot> + use<> {
        let leaves = (0..self.config.leaves.len()).map(Slot::Leaf);
        let targets = (0..self.config.targets.len()).map(Slot::Target);
        std::iter::once(Slot::Authority)
            .chain(leaves)
            .chain(targets)
    }

    /// Where an object is, and its name.
    pub fn find(&self, slot: Slot) -> (Api<DynamicObject>, String) {
        let secret = |name: &str| {
            let (client, namespace) = (self.client.clone(), &self.config.namespace);
            let api = Api::namespaced_with(client, namespace, &secrets());
            (api, name.to_owned())
        };
        match slot {
            Slot::Authority => secret(&self.config.authority_secret),
            Slot::Leaf(leaf) => secret(&self.config.leaves[leaf].secret_name),
            Slot::Target(target) => {
                let target = &self.config.targets[target];
                let api = Api::all_with(self.client.clone(), &target.resource());
                (api, target.name.clone())
            }
        }
    }

    /// Takes over what a watch or an answer tells.
    pub fn see(&mut self, slot: Slot, object: Option<DynamicObject>) {
        self.seen.entry(slot).or_default().update(object);
        if slot == Slot::Authority {
            let secret = self.seen.get(&slot).and_then(Seen::secret);
            (self.authorities, self.troubles) = match secret {
                Some(secret) => Authorities::read(&secret),
                None => Default::default(),
            };
            if let Some(others) = &self.config.elsewhere {
                others.issuer.follow(&self.authorities);
            }
        }
    }

    /// The version of an object as it was last seen.
    pub fn version(&self, slot: Slot) -> Option<String> {
        self.seen(slot).object()?.metadata.resource_version.clone()
    }

    /// Asks the API server how an object is.
    pub async fn look(&mut self, slot: Slot) -> Result<(), Error> {
        let (api, name) = self.find(slot);
        let object = timely(api.get_opt(&name)).await?;
        self.see(slot, object);
        Ok(())
    }

    /// Keeps an object from being written for a while: longer each time.
    pub fn block(&mut self, slot: Slot, now: Instant) {
        let blocked = self.blocked.entry(slot).or_default();
        blocked.until = Some(now + blocked.delays.delay());
    }

    /// It was written.
    pub fn unblock(&mut self, slot: Slot) {
        self.blocked.remove(&slot);
    }

    /// For how long an object is not to be written.
    pub fn blocked_for(&self, slot: Slot, now: Instant) -> Option<Duration> {
        self.blocked.get(&slot)?.left(now)
    }

    /// When the first of the blocked objects may be written again.
    pub fn next_retry(&self, now: Instant) -> Duration {
        let left = self
            .blocked
            .values()
            .filter_map(|blocked| blocked.left(now));
        left.min().unwrap_or(Duration::MAX)
    }

    /// Counts anew for how long all has been well.
    pub fn forget_settled(&mut self) {
        self.settled = None;
    }

    /// All that a decision rests on; `None` until the authorities were looked at.
    pub fn state(&mut self, now: Timestamp, instant: Instant) -> Option<State> {
        if matches!(self.seen(Slot::Authority), Seen::Unknown) {
            return None;
        }
        let leaves = 0..self.config.leaves.len();
        let targets = 0..self.config.targets.len();
        let life = |a: &Option<Authority>| a.as_ref().map(|a| a.life);
        let mut state = State {
            damaged: !self.troubles.is_empty(),
            previous: self.authorities.previous.is_some(),
            current: life(&self.authorities.current),
            next: life(&self.authorities.next),
            leaves: leaves.map(|leaf| self.leaf(leaf, now, instant)).collect(),
            targets: targets.map(|target| self.target(target, instant)).collect(),
            waits_for_others: false,
            settled_for: Duration::ZERO,
        };
        if let Some(others) = &self.config.elsewhere {
            state.waits_for_others = !(others.all_current)();
            // Somebody may have read what was wrong meanwhile.
            let repairs = others.issuer.repairs();
            if std::mem::replace(&mut self.repairs, repairs) != repairs {
                self.settled = None;
            }
        }
        if !settled(&state) {
            self.settled = None;
        } else if self
            .settled
            .as_ref()
            .is_none_or(|s| s.1 != self.authorities)
        {
            self.settled = Some((instant, self.authorities.clone()));
        }
        if let Some((since, _)) = &self.settled {
            state.settled_for = instant.saturating_duration_since(*since);
        }
        Some(state)
    }

    /// Whether there is a Secret that nobody has made yet.
    pub fn misses_any(&self) -> bool {
        let mut secrets = self.slots().filter(|slot| !matches!(slot, Slot::Target(_)));
        secrets.any(|slot| matches!(self.seen(slot), Seen::Absent))
    }

    /// Leaves nothing to do with what exists.
    pub fn leave_to_the_leader(&self, state: &mut State) {
        state.targets.fill(TargetState::Blocked);
        for (leaf, state) in state.leaves.iter_mut().enumerate() {
            if !matches!(self.seen(Slot::Leaf(leaf)), Seen::Absent) {
                *state = LeafState::Blocked;
            }
        }
    }

    /// Whether a step makes an object that does not exist: of two who do, one is refused.
    pub fn is_new(&self, step: Step) -> bool {
        let makes = matches!(step, Step::MakeFirst | Step::Issue(_));
        makes && matches!(self.seen(Slot::of(step)), Seen::Absent)
    }

    /// What is known of an object.
    pub fn seen(&self, slot: Slot) -> &Seen {
        self.seen.get(&slot).unwrap_or(&Seen::Unknown)
    }

    fn leaf(&self, leaf: usize, now: Timestamp, instant: Instant) -> LeafState {
        let slot = Slot::Leaf(leaf);
        let seen = self.seen(slot);
        if matches!(seen, Seen::Unknown) || self.blocked_for(slot, instant).is_some() {
            return LeafState::Blocked;
        }
        let wish = &self.config.leaves[leaf];
        leaf::inspect(seen.secret().as_ref(), wish, &self.authorities, now)
    }

    fn target(&self, target: usize, instant: Instant) -> TargetState {
        let slot = Slot::Target(target);
        let bundle = self.authorities.bundle();
        match self.seen(slot) {
            Seen::Unknown => TargetState::Blocked,
            Seen::Absent => TargetState::Absent,
            Seen::There(live) => match self.config.targets[target].correction(live, &bundle) {
                None => TargetState::Told,
                Some(_) if self.blocked_for(slot, instant).is_some() => TargetState::Blocked,
                Some(_) => TargetState::Untold,
            },
        }
    }
}
