//! A cluster of one map, in which steps are taken as they are in a real one, and time passes as it is told to.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use kube::api::DynamicObject;
use rustls::sign::CertifiedKey;
use serde_json::{Value, json};

use super::act::Write;
use super::*;
use crate::config::{Elsewhere, Leaf, Periods, Purpose};
use crate::issuer::Issuer;
use crate::leaf::{BUNDLE, CERTIFICATE, KEY, entry};
use crate::note::{NOTE, Note};
use crate::run::objects::{Slot, untyped};
use crate::target::{Target, TargetKind};
use crate::verify;

pub const PERIODS: Periods = Periods {
    rotate_every: Duration::from_secs(60),
    authority_life: Duration::from_secs(150),
    leaf_life: Duration::from_secs(45),
    overlap: Duration::from_secs(6),
    backdate: Duration::from_secs(5),
};

/// The Secret of a certificate that others keep.
pub type Kept = Option<BTreeMap<&'static str, Vec<u8>>>;

pub struct World {
    pub keeper: Keeper,
    /// What signs for others, and what they keep.
    pub issuer: Arc<Issuer>,
    pub elsewhere: Arc<Mutex<[Kept; 2]>>,
    /// The time of day.
    pub now: Timestamp,
    /// The time that nobody can set.
    pub instant: Instant,
    version: u64,
}

impl World {
    /// Two certificates and two that others keep, a target, and nothing made yet.
    pub fn new() -> Self {
        let issuer = Issuer::new(PERIODS);
        let elsewhere: Arc<Mutex<[Kept; 2]>> = Arc::default();
        let (judge, kept) = (issuer.clone(), elsewhere.clone());
        let all_current = move || {
            let kept = kept.lock().unwrap();
            let notes = kept.iter().flatten().map(note_of);
            notes.into_iter().all(|note| judge.is_current(&note))
        };
        let config = Config {
            namespace: "b".into(),
            authority_secret: "authority".into(),
            leaves: vec![
                leaf("serving", Purpose::Server),
                leaf("asking", Purpose::Client),
            ],
            targets: vec![Target::new(TargetKind::ApiService, "v1.c")],
            elsewhere: Some(Elsewhere {
                issuer: issuer.clone(),
                all_current: Arc::new(all_current),
            }),
            periods: PERIODS,
        };
        config.periods.check().unwrap();
        // Never asked for anything.
        let nowhere = kube::Config::new("http://127.0.0.1:1".parse().unwrap());
        let mut keeper = Keeper::new(Client::try_from(nowhere).unwrap(), config);
        let slots: Vec<_> = keeper.slots().collect();
        for slot in slots {
            keeper.see(slot, None);
        }
        let mut world = Self {
            keeper,
            issuer,
            elsewhere,
            now: Timestamp::from_second(1_800_000_000).unwrap(),
            instant: Instant::now(),
            version: 0,
        };
        world.set(
            Slot::Target(0),
            json!({"metadata": {"name": "v1.c"}, "spec": {}}),
        );
        world
    }

    /// What those who keep certificates elsewhere do when they come to look: make it anew unless it is right.
    pub fn look_elsewhere(&mut self, which: usize) {
        let mut all = self.elsewhere.lock().unwrap();
        let wish = wish_elsewhere(which);
        let note = all[which].as_ref().map(note_of);
        let right = |note: &Note| self.issuer.judge(note, &wish, self.now).is_some();
        if self.issuer.is_ready() && !note.as_ref().is_some_and(right) {
            let old = note.is_some_and(|note| !self.issuer.is_current(&note));
            all[which] = Some(self.issuer.issue(&wish, self.now).unwrap());
            self.issuer.wrote(old);
        }
    }

    pub fn pass(&mut self, time: Duration) {
        self.now = crate::life::after(self.now, time);
        self.instant += time;
    }

    /// Stores an object.
    pub fn set(&mut self, slot: Slot, mut object: Value) {
        self.version += 1;
        object["metadata"]["resourceVersion"] = json!(self.version.to_string());
        let object = serde_json::from_value(object).unwrap();
        self.keeper.see(slot, Some(object));
    }

    /// Changes an entry of a Secret, or takes it away.
    pub fn damage(&mut self, slot: Slot, key: &str, value: Option<&str>) {
        let mut secret = self.keeper.seen(slot).secret().unwrap();
        let data = secret.data.as_mut().unwrap();
        match value {
            Some(value) => data.insert(key.into(), k8s_openapi::ByteString(value.into())),
            None => data.remove(key),
        };
        let object = untyped(&secret).unwrap();
        self.set(slot, serde_json::to_value(object).unwrap());
    }

    /// Takes one step. `None` if there is nothing to do.
    pub fn step(&mut self) -> Option<Step> {
        let state = self.keeper.state(self.now, self.instant).unwrap();
        let step = plan(&state, self.now, &self.keeper.config.periods);
        let slot = Slot::of(step);
        match self.keeper.prepare(step, self.now).unwrap()? {
            Write::Secret(secret) => {
                let object = untyped(&secret).unwrap();
                self.set(slot, serde_json::to_value(object).unwrap());
            }
            Write::Patch(patch) => {
                let live: &DynamicObject = self.keeper.seen(slot).object().unwrap();
                assert_eq!(
                    patch["metadata"]["resourceVersion"],
                    json!(live.metadata.resource_version)
                );
                let mut object = serde_json::to_value(live).unwrap();
                object["spec"]["caBundle"] = patch["spec"]["caBundle"].clone();
                self.set(slot, object);
            }
        }
        Some(step)
    }

    /// Takes steps until there is nothing to do; returns them.
    pub fn settle(&mut self) -> Vec<Step> {
        let mut steps = Vec::new();
        while let Some(step) = self.step() {
            steps.push(step);
            assert!(steps.len() < 20, "no end: {steps:?}");
        }
        steps
    }

    /// What a process has that reads a certificate's Secret at this moment.
    pub fn shown(&self, leaf: usize) -> (Vec<u8>, CertifiedKey) {
        let secret = self.keeper.seen(Slot::Leaf(leaf)).secret().unwrap();
        let part = |key| entry(&secret, key).unwrap();
        let pair = verify::pair(part(CERTIFICATE), part(KEY)).unwrap();
        (part(CERTIFICATE).to_vec(), pair)
    }

    /// The same of one that others keep.
    pub fn shown_elsewhere(&self, which: usize) -> Option<(Vec<u8>, CertifiedKey)> {
        let all = self.elsewhere.lock().unwrap();
        let data = all[which].as_ref()?;
        let pair = verify::pair(&data[CERTIFICATE], &data[KEY]).unwrap();
        Some((data[CERTIFICATE].clone(), pair))
    }

    /// All bundles that are read by somebody at this moment.
    pub fn bundles(&self) -> Vec<Vec<u8>> {
        let bundle = |leaf: usize| {
            let secret = self.keeper.seen(Slot::Leaf(leaf)).secret().unwrap();
            entry(&secret, BUNDLE).unwrap().to_vec()
        };
        let target = self.keeper.seen(Slot::Target(0)).object().unwrap();
        let target = serde_json::from_value::<k8s_openapi::ByteString>(
            target.data["spec"]["caBundle"].clone(),
        );
        let all = self.elsewhere.lock().unwrap();
        let elsewhere = all.iter().flatten().map(|data| data[BUNDLE].clone());
        let here = [bundle(0), bundle(1), target.unwrap().0];
        here.into_iter().chain(elsewhere).collect()
    }

    /// Fails unless everybody who reads now accepts everybody who shows now.
    pub fn check(&self) {
        for leaf in 0..2 {
            let (_, pair) = self.shown(leaf);
            for bundle in self.bundles() {
                let roots = verify::roots(&bundle).unwrap();
                let wish = &self.keeper.config.leaves[leaf];
                verify::accepted(&pair, wish, &roots, self.now).unwrap();
            }
        }
    }
}

fn leaf(name: &str, purpose: Purpose) -> Leaf {
    Leaf {
        secret_name: name.into(),
        common_name: name.into(),
        dns_names: vec![format!("{name}.b.svc")],
        ips: Vec::new(),
        purpose,
    }
}

/// What one is asked for that others keep.
pub fn wish_elsewhere(which: usize) -> Leaf {
    leaf(["one", "other"][which], Purpose::Server)
}

fn note_of(data: &BTreeMap<&'static str, Vec<u8>>) -> Note {
    Note::read(&data[NOTE]).unwrap()
}
