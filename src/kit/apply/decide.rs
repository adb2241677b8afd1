//! Decides about a child: pure.

use atelier_api::labels;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::ResourceExt as _;
use kube::api::{ApiResource, DynamicObject, GroupVersionKind};

use crate::kit::child::{ChildKind, Desired};
use crate::kit::children::Seen;

/// What is to be done about a child.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It is as it should be.
    Keep,
    /// It is not there.
    Create,
    /// It differs.
    Replace,
    /// It goes away by itself; look again when it is gone.
    Wait,
}

/// Decides by what is known.
pub fn decide(desired: &Desired, seen: Option<&Seen>) -> Decision {
    match seen {
        None => Decision::Create,
        Some(seen) if seen.deleting => Decision::Wait,
        Some(seen) if seen.hash == desired.hash || seen.written_for == Some(desired.hash) => {
            Decision::Keep
        }
        Some(_) => Decision::Replace,
    }
}

/// Whether a live object is ours: the uid we last knew, or an owner reference to the owner's uid. Taking our labels
/// away does not make it foreign.
pub fn is_ours(seen: &Seen, last_uid: Option<&str>, owner_uid: Option<&str>) -> bool {
    let owned = seen
        .owner
        .as_ref()
        .is_some_and(|owner| Some(owner.uid.as_str()) == owner_uid);
    owned || Some(seen.uid.as_str()) == last_uid
}

/// Whether a live object is our own binding, which has no owner to know it by, without its labels: what a binding
/// refers to cannot be changed, and nobody else binds anything to that role.
pub fn is_same_role(desired: &Desired, live: &DynamicObject) -> bool {
    let unowned = desired.object.metadata.owner_references.is_none();
    let role = desired.object.data.get("roleRef");
    unowned && role.is_some() && role == live.data.get("roleRef")
}

/// Whether a live object belongs to an earlier object of the owner's kind and name.
pub fn is_predecessors(seen: &Seen, desired: &Desired) -> bool {
    first_owner(desired).is_some_and(|owner| seen.is_of_namesake(owner))
}

/// Pods come and go: evicted, preempted, lost with their node. That is nobody's insistence.
pub fn is_contestable(kind: ChildKind) -> bool {
    kind != ChildKind::Pod
}

/// Whose contest it is: the owner's uid or, of what is to outlive its workspace, the workspace's name.
pub fn owner_id(desired: &Desired) -> String {
    match first_owner(desired) {
        Some(owner) => owner.uid.clone(),
        None => {
            let labels = desired.object.labels();
            let workspace = labels.get(labels::WORKSPACE).map(String::as_str);
            unowned_id(&desired.key.namespace, workspace.unwrap_or_default())
        }
    }
}

/// Whether a child gives somebody a right.
pub fn is_right(kind: ChildKind) -> bool {
    matches!(kind, ChildKind::Role | ChildKind::RoleBinding)
}

/// The owner that a child is built for.
pub fn first_owner(desired: &Desired) -> Option<&OwnerReference> {
    desired.object.metadata.owner_references.as_ref()?.first()
}

/// The API of an owner, one of our own kinds.
pub fn api_resource(owner: &OwnerReference) -> ApiResource {
    let (group, version) = owner.api_version.split_once('/').unwrap_or_default();
    ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, &owner.kind))
}

/// Whether an owner is, as it stands, the one that something was built for: uid and generation.
pub fn is_built_for(live: &ObjectMeta, built_for: &(String, i64)) -> bool {
    let (uid, generation) = built_for;
    live.uid.as_ref() == Some(uid)
        && live.deletion_timestamp.is_none()
        && live.generation.unwrap_or_default() <= *generation
}

/// Stands for a workspace as the owner of children that are to outlive it.
pub fn unowned_id(namespace: &str, workspace: &str) -> String {
    format!("{namespace}/{workspace}")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn secret(data: &str) -> serde_json::Value {
        json!({"apiVersion": "v1", "kind": "Secret", "data": {"a": data}, "metadata": {
            "name": "a", "namespace": "n", "uid": "u", "resourceVersion": "1",
            "ownerReferences": [{"apiVersion": "v1", "kind": "K", "name": "o", "uid": "owner", "controller": true}]}})
    }

    fn desired(data: &str) -> Desired {
        Desired::new(ChildKind::Secret, &secret(data)).expect("a named object")
    }

    fn seen(data: &str) -> Seen {
        let object = serde_json::from_value(secret(data)).expect("an object");
        Seen::of(ChildKind::Secret, &object).expect("uid and version")
    }

    #[test]
    fn an_equal_child_is_kept_and_a_different_one_replaced() {
        assert_eq!(decide(&desired("x"), Some(&seen("x"))), Decision::Keep);
        assert_eq!(decide(&desired("x"), Some(&seen("y"))), Decision::Replace);
        assert_eq!(decide(&desired("x"), None), Decision::Create);
    }

    #[test]
    fn what_the_server_made_of_our_own_write_is_accepted() {
        let written = Seen {
            written_for: Some(desired("x").hash),
            ..seen("y")
        };
        assert_eq!(decide(&desired("x"), Some(&written)), Decision::Keep);
        assert_eq!(decide(&desired("z"), Some(&written)), Decision::Replace);
    }

    #[test]
    fn a_child_that_goes_away_is_waited_for() {
        assert_eq!(
            decide(
                &desired("x"),
                Some(&Seen {
                    deleting: true,
                    ..seen("x")
                })
            ),
            Decision::Wait
        );
    }

    #[test]
    fn what_was_made_for_an_object_of_the_same_name_that_is_gone_is_nobodys() {
        let mut other = desired("x");
        let owner = other.object.metadata.owner_references.as_mut();
        owner.expect("an owner")[0].uid = "another".into();
        assert!(is_predecessors(&seen("x"), &other));
        assert!(!is_predecessors(&seen("x"), &desired("x")));
    }

    #[test]
    fn ours_is_the_known_uid_or_the_owners_uid_and_nothing_else() {
        assert!(is_ours(&seen("x"), None, Some("owner")));
        assert!(is_ours(&seen("x"), Some("u"), Some("another")));
        assert!(!is_ours(&seen("x"), Some("v"), Some("another")));
        assert!(!is_ours(&seen("x"), None, None));
    }
}
