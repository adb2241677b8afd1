//! What is known of the children that exist: for each its uid, version and content hash, not the object.
//!
//! Fed by the watches and by the answers to our own writes, so that a decision never rests on a view that is older
//! than what we wrote ourselves.

mod past;
mod secret;
mod seen;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::child::{ChildKey, ChildKind};
use past::Past;
pub use secret::SecretView;
pub use seen::{
    DeploymentView, ParentView, RouteView, Seen, View, VolumePhase, VolumeView, owner_generation,
};

#[derive(Default)]
struct Inner {
    namespaces: Namespaces,
    /// What was.
    past: Past,
    /// Kinds that have been listed once; the empty namespace stands for the whole cluster.
    listed: HashSet<(ChildKind, String)>,
}

type Namespaces = HashMap<String, BTreeMap<(ChildKind, String), Seen>>;

fn is_known(namespaces: &Namespaces, key: &ChildKey) -> bool {
    let children = namespaces.get(&key.namespace);
    children.is_some_and(|children| children.contains_key(&(key.kind, key.name.clone())))
}

/// What is known of all children.
#[derive(Default)]
pub struct Children(RwLock<Inner>);

impl Children {
    // A poisoned lock means that a thread panicked between two inserts; the map is whole either way.
    fn read(&self) -> RwLockReadGuard<'_, Inner> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Inner> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is known of one child.
    pub fn get(&self, key: &ChildKey) -> Option<Seen> {
        self.read()
            .namespaces
            .get(&key.namespace)?
            .get(&(key.kind, key.name.clone()))
            .cloned()
    }

    /// The uid a child has, or had before it vanished.
    pub fn last_uid(&self, key: &ChildKey) -> Option<String> {
        self.read().past.uid(key).map(Into::into)
    }

    /// Takes in a live object, unless something later is known. Says whether it was news.
    pub fn observe(&self, key: &ChildKey, mut seen: Seen) -> bool {
        let mut inner = self.write();
        if inner.past.is_gone_since(key, seen.version) {
            return false;
        }
        // Our labels alone make nobody's object ours: an owner does, or a write of our own.
        if seen.owner.is_some() || seen.written_for.is_some() {
            inner.past.is_ours(key, &seen.uid);
        }
        let children = inner.namespaces.entry(key.namespace.clone()).or_default();
        let id = (key.kind, key.name.clone());
        if let Some(known) = children.get(&id) {
            if known.version > seen.version
                || (known.version == seen.version && seen.written_for.is_none())
            {
                return false;
            }
            // The wish to delete a pod keeps the time it was first seen with.
            if let (View::Pod(before), View::Pod(after), true) =
                (&known.view, &mut seen.view, known.uid == seen.uid)
            {
                let first = before.deletion_requested.or(after.deletion_requested);
                after.deletion_requested = after.deletion_requested.and(first);
            }
            // Only the status changed: what was accepted stays accepted.
            if known.uid == seen.uid && known.hash == seen.hash && seen.written_for.is_none() {
                seen.written_for = known.written_for;
            }
        }
        children.insert(id, seen);
        true
    }

    /// Takes in that a child is gone, as of `version`. Returns what was known of it.
    pub fn forget(&self, key: &ChildKey, version: u64) -> Option<Seen> {
        let mut inner = self.write();
        let Inner {
            namespaces, past, ..
        } = &mut *inner;
        past.vanished(key, version, |key| is_known(namespaces, key));
        let children = namespaces.get_mut(&key.namespace)?;
        let id = (key.kind, key.name.clone());
        if children.get(&id)?.version > version {
            return None;
        }
        children.remove(&id)
    }

    /// Takes in a whole list of a kind: whatever was known before the list began and is not in it, is gone.
    /// Returns what is gone.
    pub fn listed(
        &self,
        kind: ChildKind,
        namespace: Option<&str>,
        live: &HashSet<ChildKey>,
        before: u64,
    ) -> Vec<(ChildKey, Seen)> {
        let mut inner = self.write();
        inner
            .listed
            .insert((kind, namespace.unwrap_or_default().into()));
        let mut gone = vec![];
        for (ns, children) in &mut inner.namespaces {
            if namespace.is_some_and(|only| only != ns) {
                continue;
            }
            children.retain(|(k, name), seen| {
                let keep = *k != kind
                    || seen.version > before
                    || live.contains(&ChildKey::new(kind, ns, name));
                if !keep {
                    gone.push((ChildKey::new(kind, ns, name), seen.clone()));
                }
                keep
            });
        }
        gone
    }

    /// The latest version known: what a list that begins now cannot be behind, save for later writes.
    pub fn latest_version(&self) -> u64 {
        self.read()
            .namespaces
            .values()
            .flat_map(BTreeMap::values)
            .map(|seen| seen.version)
            .max()
            .unwrap_or_default()
    }

    /// Whether everything in a namespace has been listed, so that absence means absence.
    pub fn is_complete(&self, namespace: &str) -> bool {
        let inner = self.read();
        inner
            .listed
            .contains(&(ChildKind::RoleBinding, String::new()))
            && ChildKind::PER_NAMESPACE
                .iter()
                .all(|kind| inner.listed.contains(&(*kind, namespace.into())))
    }

    /// Whether a kind has been listed in a namespace, so that absence means absence.
    pub fn is_listed(&self, kind: ChildKind, namespace: &str) -> bool {
        self.read().listed.contains(&(kind, namespace.into()))
    }

    /// Forgets what there is of kinds that the cluster does not have any more, but not what was ours.
    pub fn drop_kinds(&self, kinds: &[ChildKind]) {
        let mut inner = self.write();
        inner.listed.retain(|(kind, _)| !kinds.contains(kind));
        for children in inner.namespaces.values_mut() {
            children.retain(|(kind, _), _| !kinds.contains(kind));
        }
    }

    /// Whether a kind that is watched in the whole cluster has been listed.
    pub fn is_listed_everywhere(&self, kind: ChildKind) -> bool {
        self.read().listed.contains(&(kind, String::new()))
    }

    /// Forgets a namespace for good.
    pub fn forget_namespace(&self, namespace: &str) {
        let mut inner = self.write();
        inner.past.forget_namespace(namespace);
    }

    /// Forgets what there is in a namespace that is no longer watched, but not what was ours there. RoleBindings are
    /// watched everywhere and stay.
    pub fn drop_namespace(&self, namespace: &str) {
        let mut inner = self.write();
        inner.listed.retain(|(_, ns)| ns != namespace);
        if let Some(children) = inner.namespaces.get_mut(namespace) {
            children.retain(|(kind, _), _| *kind == ChildKind::RoleBinding);
        }
    }

    /// The children in a namespace that `select` accepts.
    pub fn select(
        &self,
        namespace: &str,
        select: impl Fn(&ChildKey, &Seen) -> bool,
    ) -> Vec<(ChildKey, Seen)> {
        let inner = self.read();
        let children = inner.namespaces.get(namespace).into_iter().flatten();
        let all =
            children.map(|((kind, name), seen)| (ChildKey::new(*kind, namespace, name), seen));
        all.filter(|(key, seen)| select(key, seen))
            .map(|(key, seen)| (key, seen.clone()))
            .collect()
    }

    /// Whether all Secrets of all namespaces that are there to stay pass a test.
    pub fn all_secrets(&self, test: impl Fn(&str, &Seen, &SecretView) -> bool) -> bool {
        let inner = self.read();
        let all = inner.namespaces.values().flatten();
        all.filter(|(_, seen)| !seen.deleting)
            .all(|((_, name), seen)| seen.secret().is_none_or(|view| test(name, seen, view)))
    }

    /// The children that an owner controls.
    pub fn owned_by(&self, namespace: &str, uid: &str) -> Vec<(ChildKey, Seen)> {
        self.select(namespace, |_, seen| {
            seen.owner.as_ref().is_some_and(|owner| owner.uid == uid)
        })
    }

    /// Namespaces that hold a child of this kind and name.
    pub fn namespaces_with(&self, kind: ChildKind, name: &str) -> Vec<String> {
        let inner = self.read();
        let id = (kind, name.to_owned());
        inner
            .namespaces
            .iter()
            .filter(|(_, children)| children.contains_key(&id))
            .map(|(ns, _)| ns.clone())
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn seen(uid: &str, version: u64) -> Seen {
        let object = json!({"apiVersion": "v1", "kind": "Secret", "metadata":
            {"name": "a", "namespace": "n", "uid": uid, "resourceVersion": version.to_string(),
             "ownerReferences": [{"kind": "K", "name": "o", "uid": "o", "apiVersion": "v1", "controller": true}]}});
        Seen::of(
            ChildKind::Secret,
            &serde_json::from_value(object).expect("an object"),
        )
        .expect("uid and version")
    }

    fn key() -> ChildKey {
        ChildKey::new(ChildKind::Secret, "n", "a")
    }

    #[test]
    fn an_older_version_never_replaces_a_later_one() {
        let children = Children::default();
        assert!(children.observe(&key(), seen("u", 5)));
        assert!(!children.observe(&key(), seen("u", 4)));
        assert_eq!(children.get(&key()).map(|s| s.version), Some(5));
    }

    #[test]
    fn a_deletion_was_asked_for_when_it_was_first_asked_for() {
        let pod = |version: u64, deletion: Option<(&str, i64)>| {
            let mut object = serde_json::json!({"apiVersion": "v1", "kind": "Pod", "metadata":
                {"name": "a", "namespace": "n", "uid": "u", "resourceVersion": version.to_string()}});
            if let Some((at, grace)) = deletion {
                object["metadata"]["deletionTimestamp"] = at.into();
                object["metadata"]["deletionGracePeriodSeconds"] = grace.into();
            }
            let object = serde_json::from_value(object).expect("an object");
            Seen::of(ChildKind::Pod, &object).expect("uid and version")
        };
        let asked = |children: &Children| {
            children
                .get(&ChildKey::new(ChildKind::Pod, "n", "a"))
                .and_then(|seen| seen.pod()?.deletion_requested)
        };
        let children = Children::default();
        let key = ChildKey::new(ChildKind::Pod, "n", "a");
        children.observe(&key, pod(1, None));
        assert_eq!(asked(&children), None);
        children.observe(&key, pod(2, Some(("2026-01-01T00:00:31Z", 30))));
        let first = asked(&children);
        assert_eq!(first, "2026-01-01T00:00:01Z".parse().ok());
        children.observe(&key, pod(3, Some(("2026-01-01T00:00:09Z", 0))));
        assert_eq!(asked(&children), first);
    }

    #[test]
    fn a_late_word_of_deletion_does_not_remove_what_was_made_since() {
        let children = Children::default();
        children.observe(&key(), seen("new", 9));
        assert!(children.forget(&key(), 8).is_none());
        assert!(children.forget(&key(), 10).is_some());
        assert_eq!(children.last_uid(&key()).as_deref(), Some("new"));
    }

    #[test]
    fn an_answer_that_comes_after_word_of_deletion_brings_nothing_back() {
        let children = Children::default();
        children.forget(&key(), 6);
        assert!(!children.observe(&key(), seen("u", 5)));
        assert!(children.get(&key()).is_none());
        // What lost its labels vanishes at the very version it still has, and may be found again.
        assert!(children.observe(&key(), seen("v", 6)));
    }

    #[test]
    fn a_list_removes_what_it_lacks_but_not_what_was_written_meanwhile() {
        let children = Children::default();
        children.observe(&key(), seen("u", 5));
        let other = ChildKey::new(ChildKind::Secret, "n", "b");
        let before = children.latest_version();
        children.observe(&other, seen("v", 7));
        let gone = children.listed(ChildKind::Secret, Some("n"), &HashSet::new(), before);
        assert_eq!(gone.len(), 1);
        assert!(children.get(&key()).is_none() && children.get(&other).is_some());
    }
}
