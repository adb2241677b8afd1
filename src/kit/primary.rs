//! The watch of one of our own kinds: fills the store, tells everybody else, drives the controller.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, HashSet};
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
    /// What else of it others go by, where that is something.
    pub also: Option<String>,
}

/// Watches all objects of a kind. Returns the store and the stream that drives the controller. What happened is told,
/// after the store was brought up to date, on `changes`; `also` says what else of one others go by. The token is
/// cancelled once the store has been filled.
///
/// The store's own `wait_until_ready` belongs to the controller: it wakes one waiter only, the last that asked.
pub fn watch<K>(
    client: Client,
    changes: UnboundedSender<Change>,
    also: fn(&K) -> Option<String>,
) -> (
    Store<K>,
    CancellationToken,
    impl Stream<Item = watcher::Result<K>> + Send + 'static,
)
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + Sync + 'static,
{
    let (store, writer) = reflector::store();
    let mut roll = Roll::default();
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
        let told_of = |object: &K, gone| Change {
            also: also(object),
            ..change(kind, object, gone)
        };
        let news = match event {
            Event::Apply(object) | Event::InitApply(object) => roll.present(told_of(object, false)),
            Event::Delete(object) => roll.absent(told_of(object, true)),
            Event::InitDone => roll.listed(),
            Event::Init => roll.begin(),
        };
        for change in news {
            // Fails only when the receiver has ended, and then the process is about to.
            let _ = changes.unbounded_send(change);
        }
        if matches!(event, Event::InitDone) {
            told.cancel();
        }
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
        also: None,
    }
}

/// Who is there. A watch that broke off begins again with a list, and tells nothing of what has vanished meanwhile, nor
/// that an object is another than before of the same name.
#[derive(Default)]
struct Roll {
    present: HashMap<(String, String), Change>,
    listed: HashSet<(String, String)>,
}

impl Roll {
    fn begin(&mut self) -> Vec<Change> {
        self.listed.clear();
        vec![]
    }

    fn present(&mut self, change: Change) -> Vec<Change> {
        let id = (change.namespace.clone(), change.name.clone());
        self.listed.insert(id.clone());
        let before = self.present.insert(id, change.clone());
        let gone = before.filter(|before| before.uid != change.uid);
        gone.map(Change::into_gone)
            .into_iter()
            .chain([change])
            .collect()
    }

    fn absent(&mut self, change: Change) -> Vec<Change> {
        let id = (change.namespace.clone(), change.name.clone());
        self.present.remove(&id);
        vec![change]
    }

    fn listed(&mut self) -> Vec<Change> {
        let listed = std::mem::take(&mut self.listed);
        let gone = self.present.extract_if(|id, _| !listed.contains(id));
        gone.map(|(_, change)| change.into_gone()).collect()
    }
}

impl Change {
    fn into_gone(self) -> Self {
        Self { gone: true, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(name: &str, uid: &str) -> Change {
        Change {
            kind: "Run",
            namespace: "n".into(),
            name: name.into(),
            uid: uid.into(),
            generation: 1,
            deleting: false,
            gone: false,
            labels: BTreeMap::new(),
            also: None,
        }
    }

    fn told(changes: Vec<Change>) -> Vec<(String, bool)> {
        changes.into_iter().map(|c| (c.uid, c.gone)).collect()
    }

    #[test]
    fn what_a_new_list_lacks_is_gone() {
        let mut roll = Roll::default();
        roll.begin();
        roll.present(change("a", "1"));
        roll.present(change("b", "2"));
        assert_eq!(told(roll.listed()), []);
        roll.begin();
        roll.present(change("b", "2"));
        assert_eq!(told(roll.listed()), [("1".into(), true)]);
        roll.begin();
        assert_eq!(told(roll.listed()), [("2".into(), true)]);
    }

    #[test]
    fn an_object_made_again_is_another() {
        let mut roll = Roll::default();
        roll.present(change("a", "1"));
        let news = told(roll.present(change("a", "2")));
        assert_eq!(news, [("1".into(), true), ("2".into(), false)]);
        assert_eq!(told(roll.absent(change("a", "2"))).len(), 1);
        assert_eq!(told(roll.present(change("a", "3"))), [("3".into(), false)]);
    }
}
