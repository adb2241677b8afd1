//! Somebody with all rights who changes children at random, and the measure of how long each change lasted.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{DeleteParams, DynamicObject, PostParams, Preconditions};
use kube::{Api, Client, ResourceExt as _};
use serde_json::{Value, json};
use tokio::time::MissedTickBehavior;

use super::change::{Change, changes};
use super::outcome::Outcome;
use super::view::{Key, View, api};
use crate::random::Random;

/// How long nothing of the same may be done to the same child a third time: that would be to insist.
const WINDOW: Duration = Duration::from_secs(65);
const TWICE: usize = 2;
/// What is not repaired then is reported as missed.
const PATIENCE: Duration = Duration::from_secs(15);
/// What takes longer is counted.
const SLOW: Duration = Duration::from_secs(2);
/// What takes longer fails the check.
pub const TOO_SLOW: Duration = Duration::from_secs(5);

/// One change that was made.
#[derive(Clone, Debug)]
pub struct Stomp {
    /// To whom.
    pub key: Key,
    /// What.
    pub change: Change,
    answered: Instant,
    uid: String,
    version: u64,
}

impl Stomp {
    /// How long it lasted. `None` as long as it does.
    pub fn lasted(&self, view: &View) -> Option<Duration> {
        let deleted = self.change.edit.is_none();
        let at = view.repaired(&self.key, &self.uid, self.version, deleted)?;
        Some(at.saturating_duration_since(self.answered))
    }
}

/// Somebody with all rights.
pub struct Stomper<'a> {
    /// The administrator.
    pub client: &'a Client,
    /// An own view.
    pub view: &'a View,
    /// Decides what comes next.
    pub random: Random,
    done: HashMap<(Key, &'static str), Vec<Instant>>,
    /// Changes that are not made.
    pub without: Vec<String>,
    /// Everything that was done.
    pub stomps: Vec<Stomp>,
}

impl<'a> Stomper<'a> {
    /// Has done nothing yet.
    pub fn new(client: &'a Client, view: &'a View, random: Random) -> Self {
        Self {
            client,
            view,
            random,
            done: HashMap::new(),
            without: vec![],
            stomps: vec![],
        }
    }

    /// Makes `count` changes, ten a second, and waits until all are undone.
    pub async fn go(&mut self, count: usize) -> anyhow::Result<()> {
        self.make(count).await?;
        let end = Instant::now() + PATIENCE;
        while Instant::now() < end && self.stomps.iter().any(|s| s.lasted(self.view).is_none()) {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }

    /// Makes `count` changes, ten a second.
    pub async fn make(&mut self, count: usize) -> anyhow::Result<()> {
        let children = self.view.children();
        anyhow::ensure!(!children.is_empty(), "there is nothing to stomp on");
        let mut ticks = tokio::time::interval(Duration::from_millis(100));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
        let begun = self.stomps.len();
        let mut tries = 0;
        while self.stomps.len() < begun + count {
            ticks.tick().await;
            // Children that are busy are passed over; among enough of them that is rare.
            while tries < 100 * count {
                tries += 1;
                let key = &children[self.random.below(children.len())];
                let possible = changes(&key.kind);
                let change = possible[self.random.below(possible.len())];
                if self.may(key, change) && self.stomp(key, change).await? {
                    break;
                }
            }
            anyhow::ensure!(tries < 100 * count, "nothing was left to stomp on");
        }
        Ok(())
    }

    fn may(&self, key: &Key, change: Change) -> bool {
        let busy = self
            .stomps
            .iter()
            .rev()
            .find(|stomp| stomp.key == *key)
            .is_some_and(|stomp| stomp.lasted(self.view).is_none());
        let before = self.done.get(&(key.clone(), change.seen_as()));
        let recent = before.map_or(0, |all| {
            all.iter().filter(|at| at.elapsed() < WINDOW).count()
        });
        let wanted = !self.without.iter().any(|name| name == change.name);
        wanted && !busy && recent < TWICE
    }

    /// Makes a change. Says whether it made a difference.
    pub async fn stomp(&mut self, key: &Key, change: Change) -> anyhow::Result<bool> {
        let api = api(self.client, key);
        let Some(live) = api.get_opt(&key.name).await? else {
            return Ok(false);
        };
        if !self.view.is_right(key, &live) {
            return Ok(false);
        }
        let uid = live.uid().unwrap_or_default();
        let version = match change.edit {
            None => {
                let preconditions = Some(Preconditions {
                    uid: Some(uid.clone()),
                    resource_version: None,
                });
                let params = DeleteParams {
                    preconditions,
                    ..DeleteParams::background()
                };
                match api.delete(&key.name, &params).await {
                    Ok(_) => version(&live),
                    Err(error) if is_race(&error) => return Ok(false),
                    Err(error) => return Err(error.into()),
                }
            }
            Some(edit) => {
                let wanted = edited(&live, edit, self.other_owner(&key.namespace).await?)?;
                match api
                    .replace(&key.name, &PostParams::default(), &wanted)
                    .await
                {
                    Ok(now) if self.view.is_right(key, &now) => return Ok(false),
                    Ok(now) => version(&now),
                    Err(error) if is_race(&error) => return Ok(false),
                    Err(error) => {
                        anyhow::bail!("{} of {key} is no change to make: {error}", change.name)
                    }
                }
            }
        };
        let answered = Instant::now();
        self.done
            .entry((key.clone(), change.seen_as()))
            .or_default()
            .push(answered);
        self.stomps.push(Stomp {
            key: key.clone(),
            change,
            answered,
            uid,
            version,
        });
        Ok(true)
    }

    async fn other_owner(&self, namespace: &str) -> anyhow::Result<Value> {
        let api: Api<ConfigMap> = Api::namespaced(self.client.clone(), namespace);
        Ok(json!(api.get("kube-root-ca.crt").await?.uid()))
    }

    /// Says how long everything lasted.
    pub fn report(&self, outcome: &mut Outcome) {
        let lasted: Vec<_> = self
            .stomps
            .iter()
            .map(|stomp| (stomp, stomp.lasted(self.view)))
            .collect();
        let times: Vec<_> = lasted.iter().filter_map(|(_, time)| *time).collect();
        outcome.figure("changes made", self.stomps.len());
        outcome.figure("changes not undone", lasted.len() - times.len());
        outcome.figure(
            "changes undone after more than 2 s",
            times.iter().filter(|time| **time > SLOW).count(),
        );
        outcome.times("repair", &times);
        for (stomp, time) in lasted {
            let what = format!("\"{}\" of {}", stomp.change.name, stomp.key);
            match time {
                None => outcome.wrong(format!("{what} was not undone")),
                Some(time) if time > TOO_SLOW => {
                    outcome.wrong(format!("{what} was undone after {time:?}"))
                }
                Some(time) if time > SLOW => println!("  slow: {what} was undone after {time:?}"),
                Some(_) => {}
            }
        }
    }
}

fn edited(
    live: &DynamicObject,
    edit: fn(&mut Value),
    other: Value,
) -> anyhow::Result<DynamicObject> {
    let mut value = serde_json::to_value(live)?;
    // Where an edit finds the uid of another owner; no part of the object.
    value["stomper"] = other;
    edit(&mut value);
    if let Some(fields) = value.as_object_mut() {
        fields.remove("stomper");
    }
    Ok(serde_json::from_value(value)?)
}

fn version(object: &DynamicObject) -> u64 {
    let version = object.resource_version().unwrap_or_default();
    version.parse().unwrap_or_default()
}

fn is_race(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if matches!(status.code, 404 | 409))
}
