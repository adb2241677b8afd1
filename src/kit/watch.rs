//! Watches of children: one a kind for each workspace's namespace, because that is how far our rights go
//! (docs/design/rights.md), and one of RoleBindings for the whole cluster.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::future::join_all;
use futures::{Stream, StreamExt as _, TryStreamExt as _};
use kube::api::DynamicObject;
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Client, ResourceExt as _};
use tokio::task::AbortHandle;
use tracing::{debug, warn};

use super::backoff::WatchBackoff;
use super::child::{ChildKey, ChildKind};
use super::children::{Children, Seen};
use super::rights;
use super::triggers::{NAMESPACE_CHANGED, Triggers};
use atelier_api::labels;

/// Starts and stops watches.
pub struct Watches {
    client: Client,
    children: Arc<Children>,
    triggers: Triggers,
    /// Name of the RoleBinding that gives us our rights in a namespace.
    rights: &'static str,
    running: Mutex<Running>,
}

/// The watches that run, by namespace.
#[derive(Default)]
struct Running {
    always: HashMap<String, AbortHandle>,
    /// Those of the Gateway API, while the cluster has it.
    gateway_api: Option<HashMap<String, AbortHandle>>,
}

impl Watches {
    /// Makes a set of watches in which none runs yet.
    pub fn new(
        client: Client,
        children: Arc<Children>,
        triggers: Triggers,
        rights: &'static str,
    ) -> Self {
        Self {
            rights,
            client,
            children,
            triggers,
            running: Mutex::default(),
        }
    }

    /// Watches RoleBindings in the whole cluster, and so each namespace for as long as we have rights there, whoever
    /// leads: a replica that takes over knows everything already. Ends only with the process.
    pub async fn run_role_bindings(&self) {
        let kind = ChildKind::RoleBinding;
        let api = Api::all_with(self.client.clone(), &kind.api_resource());
        let mut listed = HashSet::new();
        let events = watcher(api, selector()).inspect_ok(move |event| match event {
            Event::Apply(binding) if self.is_rights(binding) => {
                self.ensure(&binding.namespace().unwrap_or_default());
            }
            Event::Delete(binding) if self.is_rights(binding) => {
                self.stop(&binding.namespace().unwrap_or_default());
            }
            Event::Init => listed.clear(),
            Event::InitApply(binding) if self.is_rights(binding) => {
                let namespace = binding.namespace().unwrap_or_default();
                self.ensure(&namespace);
                listed.insert(namespace);
            }
            Event::InitDone => self.keep(&listed),
            _ => {}
        });
        follow(
            events,
            kind,
            None,
            self.children.clone(),
            self.triggers.clone(),
        )
        .await;
    }

    fn is_rights(&self, binding: &DynamicObject) -> bool {
        binding.name_any() == self.rights
    }

    fn lock(&self) -> MutexGuard<'_, Running> {
        // The maps are whole even if somebody panicked: each change is one insert or one removal.
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Watches a namespace, if it is not watched yet.
    fn ensure(&self, namespace: &str) {
        let mut running = self.lock();
        if running.always.contains_key(namespace) {
            return;
        }
        debug!(namespace, "watching");
        let task = self.start(namespace, &ChildKind::PER_NAMESPACE);
        running.always.insert(namespace.to_owned(), task);
        if let Some(of_gateway_api) = &mut running.gateway_api {
            let task = self.start(namespace, &ChildKind::OF_GATEWAY_API);
            of_gateway_api.insert(namespace.to_owned(), task);
        }
    }

    fn start(&self, namespace: &str, kinds: &[ChildKind]) -> AbortHandle {
        let follows = kinds.iter().map(|kind| {
            let stream = watcher(kind.api(&self.client, namespace), selector());
            let (children, triggers) = (self.children.clone(), self.triggers.clone());
            follow(
                stream,
                *kind,
                Some(namespace.to_owned()),
                children,
                triggers,
            )
        });
        let follows: Vec<_> = follows.collect();
        let (client, of) = (self.client.clone(), namespace.to_owned());
        let task = tokio::spawn(async move {
            rights::await_in(client, &of).await;
            join_all(follows).await;
        });
        task.abort_handle()
    }

    /// Whether the cluster has the Gateway API, as far as is known.
    pub fn has_gateway_api(&self) -> bool {
        self.lock().gateway_api.is_some()
    }

    /// The cluster has the Gateway API, or has it no more. Says whether that is news.
    pub fn set_gateway_api(&self, is_there: bool) -> bool {
        let mut running = self.lock();
        if running.gateway_api.is_some() == is_there {
            return false;
        }
        let tasks = running.gateway_api.take();
        let tasks = tasks.into_iter().flat_map(HashMap::into_values);
        tasks.for_each(|task| task.abort());
        self.children.drop_kinds(&ChildKind::OF_GATEWAY_API);
        running.gateway_api = is_there.then(|| {
            let namespaces = running.always.keys();
            let start = |namespace: &String| {
                let task = self.start(namespace, &ChildKind::OF_GATEWAY_API);
                (namespace.clone(), task)
            };
            namespaces.map(start).collect()
        });
        true
    }

    /// Stops watching all but these namespaces.
    fn keep(&self, namespaces: &HashSet<String>) {
        let running = self.lock();
        let others = running.always.keys();
        let others = others.filter(|namespace| !namespaces.contains(*namespace));
        let others: Vec<_> = others.cloned().collect();
        drop(running);
        others.iter().for_each(|namespace| self.stop(namespace));
    }

    /// Stops watching a namespace and forgets what there is in it.
    fn stop(&self, namespace: &str) {
        let mut running = self.lock();
        let of_gateway_api = running.gateway_api.as_mut();
        let of_gateway_api = of_gateway_api.and_then(|tasks| tasks.remove(namespace));
        let always = running.always.remove(namespace);
        drop(running);
        if let Some(task) = of_gateway_api {
            task.abort();
        }
        if let Some(task) = always {
            debug!(namespace, "no longer watching");
            task.abort();
            self.children.drop_namespace(namespace);
        }
    }

    /// A namespace is going away, or gone: nothing in it is of interest any more.
    pub fn forget(&self, namespace: &str) {
        self.stop(namespace);
        self.children.forget_namespace(namespace);
    }
}

fn selector() -> watcher::Config {
    watcher::Config::default().any_semantic().labels(&format!(
        "{}={}",
        labels::MANAGED_BY,
        labels::MANAGER
    ))
}

/// Follows one watch for as long as it is wanted. Errors are waited out: until a watch is back, writes carry
/// preconditions and what has changed is noticed when it is.
async fn follow(
    stream: impl Stream<Item = watcher::Result<Event<DynamicObject>>> + Send,
    kind: ChildKind,
    namespace: Option<String>,
    children: Arc<Children>,
    triggers: Triggers,
) {
    let mut stream = Box::pin(stream.backoff(WatchBackoff::default()));
    let mut listing: Option<(HashSet<ChildKey>, u64)> = None;
    while let Some(event) = stream.next().await {
        match event {
            Ok(Event::Apply(object)) => apply(kind, &object, &children, &triggers),
            Ok(Event::Delete(object)) => {
                let key = key(kind, &object);
                let version = object
                    .resource_version()
                    .and_then(|v| v.parse().ok())
                    .unwrap_or(u64::MAX);
                if let Some(seen) = children.forget(&key, version) {
                    fire(&key, &seen, &triggers);
                }
            }
            Ok(Event::Init) => listing = Some((HashSet::new(), children.latest_version())),
            Ok(Event::InitApply(object)) => {
                if let Some((live, _)) = &mut listing {
                    live.insert(key(kind, &object));
                }
                apply(kind, &object, &children, &triggers);
            }
            Ok(Event::InitDone) => {
                if let Some((live, before)) = listing.take() {
                    for (key, seen) in children.listed(kind, namespace.as_deref(), &live, before) {
                        fire(&key, &seen, &triggers);
                    }
                    // Absence means something from now on: whoever waits for that is woken.
                    if let Some(namespace) =
                        namespace.as_deref().filter(|ns| children.is_complete(ns))
                    {
                        triggers.fire(NAMESPACE_CHANGED, namespace, "");
                    }
                }
            }
            Err(error) if is_forbidden(&error) => {
                debug!(?kind, ?namespace, %error, "no right to watch (yet)")
            }
            Err(error) => warn!(?kind, ?namespace, %error, "watch failed; trying again"),
        }
    }
}

fn apply(kind: ChildKind, object: &DynamicObject, children: &Children, triggers: &Triggers) {
    let key = key(kind, object);
    if let Some(seen) = Seen::of(kind, object) {
        // Who owned it before has to know when an owner reference was taken away.
        let before = children.get(&key);
        if children.observe(&key, seen.clone()) {
            fire(&key, &seen, triggers);
            if let Some(before) = before.filter(|before| before.owner != seen.owner) {
                fire(&key, &before, triggers);
            }
        }
    }
}

/// Asks everybody who decides by this child to look again.
fn fire(key: &ChildKey, seen: &Seen, triggers: &Triggers) {
    match (&seen.owner, &seen.workspace) {
        (Some(owner), _) => {
            triggers.fire(&owner.kind, &key.namespace, &owner.name);
            // A workspace's identities and their rights are what everything else in its namespace waits for.
            let waited_for = matches!(key.kind, ChildKind::ServiceAccount | ChildKind::RoleBinding);
            if owner.kind == "Workspace" && waited_for {
                triggers.fire(NAMESPACE_CHANGED, &key.namespace, "");
            }
        }
        (None, Some(workspace)) if key.kind == ChildKind::PersistentVolumeClaim => {
            triggers.fire("Workspace", &key.namespace, workspace);
        }
        // What is to outlive its workspace has no owner. It says who has the namespace, and what our rights are there.
        (None, Some(_)) => triggers.fire(NAMESPACE_CHANGED, &key.namespace, ""),
        (None, None) => {}
    }
    let Some(pod) = seen.pod() else { return };
    if let Some(target) = &pod.compute_target {
        triggers.fire("ComputeTarget", &key.namespace, target);
    }
    match (pod.component.as_deref(), &pod.instance) {
        (Some("webservice"), Some(service)) => {
            triggers.fire("WebService", &key.namespace, service);
        }
        (Some("storage"), Some(workspace)) => {
            triggers.fire("Workspace", &key.namespace, workspace);
        }
        _ => {}
    }
}

fn key(kind: ChildKind, object: &DynamicObject) -> ChildKey {
    ChildKey {
        kind,
        namespace: object.namespace().unwrap_or_default(),
        name: object.name_any(),
    }
}

fn is_forbidden(error: &watcher::Error) -> bool {
    match error {
        watcher::Error::InitialListFailed(e)
        | watcher::Error::WatchStartFailed(e)
        | watcher::Error::WatchFailed(e) => super::error::status_code(e) == Some(403),
        watcher::Error::WatchError(status) => status.code == 403,
        watcher::Error::NoResourceVersion => false,
    }
}
