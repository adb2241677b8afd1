//! The watch of one of our own kinds: fills the store, tells everybody else, drives the controller.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Debug;

use futures::channel::mpsc::UnboundedSender;
use futures::{Stream, TryStreamExt as _};
use kube::runtime::WatchStreamExt as _;
use kube::runtime::reflector::{self, Store};
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Client, Resource, ResourceExt as _};
use serde::de::DeserializeOwned;
use tokio_util::sync::CancellationToken;

use super::backoff::WatchBackoff;

/// What happened to an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Its kind.
    pub kind: &'static str,
    /// Its namespace; empty for what has none.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its uid.
    pub uid: String,
    /// Its generation.
    pub generation: i64,
    /// Whether it is being deleted.
    pub deleting: bool,
    /// Whether it is gone.
    pub gone: bool,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// The object it refers to, where its kind refers to one.
    pub refers_to: Option<String>,
}

/// Watches all objects of a kind. Returns the store and the stream that drives the controller. What happened is told,
/// after the store was brought up to date, on `changes`; `refers_to` names the object that one refers to. The token is
/// cancelled once the store has been filled.
///
/// The store's own `wait_until_ready` belongs to the controller: it wakes one waiter only, the last that asked.
pub fn watch<K>(
    client: Client,
    changes: UnboundedSender<Change>,
    refers_to: fn(&K) -> Option<String>,
) -> (
    Store<K>,
    CancellationToken,
    impl Stream<Item = watcher::Result<K>> + Send + 'static,
)
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + Sync + 'static,
{
    let (store, writer) = reflector::store();
    let filled = CancellationToken::new();
    let told = filled.clone();
    let kind: &'static str = match K::kind(&()) {
        Cow::Borrowed(kind) => kind,
        Cow::Owned(_) => "",
    };
    let stream = watcher(
        Api::<K>::all(client),
        watcher::Config::default().any_semantic(),
    )
    .backoff(WatchBackoff::default())
    .modify(|object| object.managed_fields_mut().clear())
    .reflect(writer)
    .inspect_ok(move |event| {
        let (object, gone) = match event {
            Event::Apply(object) | Event::InitApply(object) => (object, false),
            Event::Delete(object) => (object, true),
            Event::InitDone => return told.cancel(),
            Event::Init => return,
        };
        let change = Change {
            refers_to: refers_to(object),
            ..change(kind, object, gone)
        };
        // Fails only when the receiver has ended, and then the process is about to.
        let _ = changes.unbounded_send(change);
    })
    .applied_objects();
    (store, filled, stream)
}

fn change<K: Resource>(kind: &'static str, object: &K, gone: bool) -> Change {
    let meta = object.meta();
    Change {
        kind,
        namespace: meta.namespace.clone().unwrap_or_default(),
        name: meta.name.clone().unwrap_or_default(),
        uid: meta.uid.clone().unwrap_or_default(),
        generation: meta.generation.unwrap_or_default(),
        deleting: meta.deletion_timestamp.is_some(),
        gone,
        labels: meta.labels.clone().unwrap_or_default(),
        refers_to: None,
    }
}
