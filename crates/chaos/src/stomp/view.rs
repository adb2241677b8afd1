//! An own view of all children, by watches, with the moment of everything that happened to them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use atelier_api::labels;
use futures::StreamExt as _;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Pod, Secret, Service, ServiceAccount};
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use kube::api::{ApiResource, DynamicObject};
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Client, ResourceExt as _};
use serde_json::{Map, Value};
use tokio::task::JoinSet;

use super::normal::normal;

/// Names a child.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// Its kind.
    pub kind: String,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{} in {}", self.kind, self.name, self.namespace)
    }
}

/// The kinds of children.
pub fn kinds() -> [ApiResource; 7] {
    [
        ApiResource::erase::<ServiceAccount>(&()),
        ApiResource::erase::<Role>(&()),
        ApiResource::erase::<RoleBinding>(&()),
        ApiResource::erase::<Secret>(&()),
        ApiResource::erase::<Service>(&()),
        ApiResource::erase::<Deployment>(&()),
        ApiResource::erase::<Pod>(&()),
    ]
}

/// The API of a child.
pub fn api(client: &Client, key: &Key) -> Api<DynamicObject> {
    let kind = kinds().into_iter().find(|kind| kind.kind == key.kind);
    Api::namespaced_with(
        client.clone(),
        &key.namespace,
        &kind.expect("a kind of children"),
    )
}

/// A child as it was at a moment.
#[derive(Clone, Debug)]
pub struct Sight {
    /// When it was seen.
    pub at: Instant,
    /// Its uid.
    pub uid: String,
    /// Its version.
    pub version: u64,
    /// Whether it was as it should be.
    pub right: bool,
}

#[derive(Default)]
struct Known {
    /// What is there: uid and normal form.
    live: BTreeMap<Key, DynamicObject>,
    /// What should be there.
    golden: BTreeMap<Key, Value>,
    history: BTreeMap<Key, Vec<Sight>>,
}

/// The view. Dropping it ends the watches.
pub struct View {
    known: Arc<Mutex<Known>>,
    _watches: JoinSet<()>,
}

impl View {
    /// Begins to watch. Only namespaces with this prefix are of interest.
    pub fn start(client: &Client, prefix: &str) -> Self {
        let known = Arc::new(Mutex::new(Known::default()));
        let mut watches = JoinSet::new();
        for kind in kinds() {
            let (client, known, prefix) = (client.clone(), known.clone(), prefix.to_owned());
            watches.spawn(follow(client, kind, prefix, known));
        }
        Self {
            known,
            _watches: watches,
        }
    }

    /// From now on, everything should be as it is now.
    pub fn freeze(&self) {
        let mut known = lock(&self.known);
        known.golden = known
            .live
            .iter()
            .filter(|(_, object)| is_ours(object) && !is_grant(object))
            .map(|(key, object)| (key.clone(), normal(&key.kind, object)))
            .collect();
    }

    /// All children that there should be.
    pub fn children(&self) -> Vec<Key> {
        lock(&self.known).golden.keys().cloned().collect()
    }

    /// Whether an object is what it should be.
    pub fn is_right(&self, key: &Key, object: &DynamicObject) -> bool {
        lock(&self.known).golden.get(key) == Some(&normal(&key.kind, object))
    }

    /// When a child was right for the first time after it had this version, or after an object with this uid.
    pub fn repaired(&self, key: &Key, uid: &str, version: u64, deleted: bool) -> Option<Instant> {
        let known = lock(&self.known);
        let sights = known.history.get(key)?;
        let later = |sight: &&Sight| {
            sight.right
                && match deleted {
                    true => sight.uid != uid,
                    false => sight.version > version,
                }
        };
        sights.iter().find(later).map(|sight| sight.at)
    }

    /// All that is not as it should be, a line each.
    pub fn differences(&self) -> Vec<String> {
        let known = lock(&self.known);
        let ours: BTreeSet<_> = known
            .live
            .iter()
            .filter(|(_, object)| is_ours(object) && !is_grant(object))
            .map(|(key, _)| key)
            .collect();
        let all: BTreeSet<_> = known.golden.keys().chain(ours).collect();
        let line = |key: &Key| match (known.golden.get(key), known.live.get(key)) {
            (Some(_), None) => Some(format!("{key} is missing")),
            (None, Some(_)) => Some(format!("{key} should not be")),
            (Some(golden), Some(live)) => {
                let is = normal(&key.kind, live);
                let place = differs_at(golden, &is)?;
                Some(format!("{key} is not what it was: {place}"))
            }
            (None, None) => None,
        };
        all.into_iter().filter_map(line).collect()
    }

    /// The objects that carry a label.
    pub fn labelled(&self, label: &str) -> BTreeMap<Key, (String, String)> {
        let known = lock(&self.known);
        let labelled = known
            .live
            .iter()
            .filter(|(_, object)| object.labels().contains_key(label));
        labelled
            .map(|(key, object)| {
                let (uid, version) = (object.uid(), object.resource_version());
                (
                    key.clone(),
                    (uid.unwrap_or_default(), version.unwrap_or_default()),
                )
            })
            .collect()
    }
}

fn lock(known: &Mutex<Known>) -> MutexGuard<'_, Known> {
    known.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn follow(client: Client, kind: ApiResource, prefix: String, known: Arc<Mutex<Known>>) {
    let api: Api<DynamicObject> = Api::all_with(client, &kind);
    let events = watcher(api, watcher::Config::default()).default_backoff();
    let mut events = std::pin::pin!(events);
    while let Some(event) = events.next().await {
        let at = Instant::now();
        let (object, gone) = match event {
            Ok(Event::Apply(object) | Event::InitApply(object)) => (object, false),
            Ok(Event::Delete(object)) => (object, true),
            _ => continue,
        };
        let key = Key {
            kind: kind.kind.clone(),
            namespace: object.namespace().unwrap_or_default(),
            name: object.name_any(),
        };
        if key.namespace.starts_with(&prefix) {
            note(&mut lock(&known), key, object, gone, at);
        }
    }
}

fn note(known: &mut Known, key: Key, object: DynamicObject, gone: bool, at: Instant) {
    if let Some(golden) = known.golden.get(&key) {
        let sight = Sight {
            at,
            uid: object.uid().unwrap_or_default(),
            version: object
                .resource_version()
                .and_then(|v| v.parse().ok())
                .unwrap_or_default(),
            right: !gone && *golden == normal(&key.kind, &object),
        };
        known.history.entry(key.clone()).or_default().push(sight);
    }
    match gone {
        true => known.live.remove(&key),
        false => known.live.insert(key, object),
    };
}

/// Whether an object is a grant of a managed identity: who changes one revokes it, and it is not put back.
fn is_grant(object: &DynamicObject) -> bool {
    let role = object.data.pointer("/roleRef/name");
    role.is_some_and(|role| role == "atelier-identity")
}

/// Whether an object is a child, when all is at rest. The pods of Deployments are the Deployments' own; the pod of a run
/// that has ended tells what was, and nobody wants it to be anything.
fn is_ours(object: &DynamicObject) -> bool {
    let owners = object.owner_references();
    let by_owner = owners
        .iter()
        .any(|owner| owner.api_version.starts_with("atelier.dev/") && owner.kind != "Run");
    let binding = object.name_any() == "atelier-workspace-manager";
    by_owner || (binding && object.labels().contains_key(labels::MANAGED_BY))
}
/// The first place where two values differ, and how. `None` if they do not.
fn differs_at(was: &Value, is: &Value) -> Option<String> {
    if was == is {
        return None;
    }
    if let (Value::Object(before), Value::Object(after)) = (was, is) {
        let names: BTreeSet<_> = before.keys().chain(after.keys()).collect();
        let found = names.into_iter().find_map(|name| {
            let one = |all: &Map<String, Value>| all.get(name).cloned().unwrap_or_default();
            Some((name, differs_at(&one(before), &one(after))?))
        });
        return found.map(|(name, inside)| format!("{name}: {inside}"));
    }
    Some(format!("{was} became {is}"))
}
