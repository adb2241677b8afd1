//! What others keep and our objects name: Secrets, mostly. Each is watched by its name, for as long as an object names
//! it: what changes in it is noticed at once, and nothing else in the namespace is read for it.

use std::collections::{BTreeSet, HashMap};
use std::fmt::Debug;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::StreamExt as _;
use k8s_openapi::api::core::v1::Secret;
use kube::core::NamespaceResourceScope;
use kube::{Api, Client, Resource};
use serde::de::DeserializeOwned;
use tokio::task::AbortHandle;

use super::Error;
use super::triggers::Triggers;

/// What is known of one of them. `T` is what was made of it: what is in it is not kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Brought<T> {
    /// Nobody has looked yet. It is told of at once.
    Unknown,
    /// There is none of that name.
    Missing,
    /// It is there.
    There(T),
}

type Place = (String, String);

struct Followed<T> {
    known: Brought<T>,
    /// Names of the objects that name it.
    by: BTreeSet<String>,
    task: AbortHandle,
}

/// The Secrets that objects of one kind name, each object one at most.
pub type BroughtSecrets<T> = BroughtObjects<Secret, T>;

/// What objects of one kind name, each object one at most: all of the kind `K`.
pub struct BroughtObjects<K, T> {
    client: Client,
    triggers: Triggers,
    kind: &'static str,
    read: fn(&K) -> T,
    followed: Mutex<HashMap<Place, Followed<T>>>,
}

impl<K, T> BroughtObjects<K, T>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
    K: Clone + Debug + DeserializeOwned + Send + Sync + 'static,
    T: Clone + PartialEq + Send + 'static,
{
    /// Follows none yet. `kind` is that of the objects that name one, and `read` makes of what they name what is kept.
    pub fn new(
        client: Client,
        triggers: Triggers,
        kind: &'static str,
        read: fn(&K) -> T,
    ) -> Arc<Self> {
        Arc::new(Self {
            client,
            triggers,
            kind,
            read,
            followed: Mutex::default(),
        })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Place, Followed<T>>> {
        // The map is whole even if somebody panicked: each change is one insert or one removal.
        self.followed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is known of what an object names, which is asked to look again whenever that changes. Another one that it has
    /// named before is let go.
    pub fn look(self: &Arc<Self>, namespace: &str, object: &str, named: &str) -> Brought<T> {
        let mut followed = self.lock();
        release(&mut followed, |place, by| {
            place.0 == namespace && place.1 != named && by == object
        });
        let place = (namespace.to_owned(), named.to_owned());
        let one = followed.entry(place.clone()).or_insert_with(|| Followed {
            known: Brought::Unknown,
            by: BTreeSet::new(),
            task: tokio::spawn(self.clone().follow(place)).abort_handle(),
        });
        one.by.insert(object.to_owned());
        one.known.clone()
    }

    /// The same, asked of the API server where nobody has looked yet: never unknown.
    pub async fn know(
        self: &Arc<Self>,
        namespace: &str,
        object: &str,
        named: &str,
    ) -> Result<Brought<T>, Error> {
        let known = self.look(namespace, object, named);
        if known != Brought::Unknown {
            return Ok(known);
        }
        let api: Api<K> = Api::namespaced(self.client.clone(), namespace);
        let found = api.get_opt(named).await;
        let found = found.map_err(Error::api(format!("get {} {named}", K::kind(&()))))?;
        Ok(found.map_or(Brought::Missing, |found| {
            Brought::There((self.read)(&found))
        }))
    }

    /// An object names none.
    pub fn let_go(&self, namespace: &str, object: &str) {
        release(&mut self.lock(), |place, by| {
            place.0 == namespace && by == object
        });
    }

    /// Lets go what only objects name that are not there any more.
    pub fn retain(&self, exists: impl Fn(&str, &str) -> bool) {
        release(&mut self.lock(), |place, by| !exists(&place.0, by));
    }

    async fn follow(self: Arc<Self>, place: Place) {
        let api: Api<K> = Api::namespaced(self.client.clone(), &place.0);
        let mut changes = std::pin::pin!(atelier_pki::watch_named(api, &place.1));
        while let Some(found) = changes.next().await {
            let known = found.map_or(Brought::Missing, |found| {
                Brought::There((self.read)(&found))
            });
            let mut followed = self.lock();
            // Let go meanwhile: the task ends at its next step.
            let Some(one) = followed.get_mut(&place) else {
                return;
            };
            if one.known != known {
                one.known = known;
                for object in &one.by {
                    self.triggers.fire(self.kind, &place.0, object);
                }
            }
        }
    }
}

/// Forgets who has let go, and ends what nobody follows any more.
fn release<T>(followed: &mut HashMap<Place, Followed<T>>, lets_go: impl Fn(&Place, &str) -> bool) {
    followed.retain(|place, one| {
        one.by.retain(|by| !lets_go(place, by));
        let wanted = !one.by.is_empty();
        if !wanted {
            one.task.abort();
        }
        wanted
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn followed(task: &AbortHandle, by: &[&str]) -> Followed<u8> {
        Followed {
            known: Brought::Missing,
            by: by.iter().map(|name| (*name).to_owned()).collect(),
            task: task.clone(),
        }
    }

    #[tokio::test]
    async fn what_nobody_names_any_more_is_not_followed_any_more() {
        let task = tokio::spawn(std::future::pending::<()>());
        let other = tokio::spawn(std::future::pending::<()>());
        let place = |name: &str| ("ns".to_owned(), name.to_owned());
        let mut all = HashMap::from([
            (place("a"), followed(&task.abort_handle(), &["x", "y"])),
            (place("b"), followed(&other.abort_handle(), &["x"])),
        ]);
        release(&mut all, |place, by| place.1 == "a" && by == "x");
        assert_eq!(all[&place("a")].by.len(), 1);
        release(&mut all, |_, by| by == "y");
        assert!(!all.contains_key(&place("a")) && all.contains_key(&place("b")));
        assert!(task.await.expect_err("ended").is_cancelled() && !other.is_finished());
    }
}
