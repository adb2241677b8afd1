//! Whether a write has changed anything, told by versions.

use serde_json::Value;

use super::entry::{Preconditions, text};
use super::frames::Meta;
use super::request::{Call, Verb};

/// Which object.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    group: String,
    resource: String,
    namespace: String,
    name: String,
}

/// The version of an object that was seen last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Known {
    pub uid: String,
    pub resource_version: String,
}

impl Key {
    /// The object that a request is about.
    pub fn of(call: &Call) -> Self {
        Self {
            group: call.group.clone(),
            resource: call.resource.clone(),
            namespace: call.namespace.clone(),
            name: call.name.clone(),
        }
    }
}

impl Known {
    /// An object in an answer to a request, or in an event of a watch. Nothing if it is none that is stored.
    pub fn of(call: &Call, meta: &Meta) -> Option<(Key, Self)> {
        let stored = !meta.name.is_empty() && !meta.uid.is_empty();
        let key = || Key {
            namespace: meta.namespace.clone(),
            name: meta.name.clone(),
            ..Key::of(call)
        };
        let known = || Self {
            uid: meta.uid.clone(),
            resource_version: meta.resource_version.clone(),
        };
        stored.then(|| (key(), known()))
    }
}

/// Whether a write that was done has changed anything. `before` is the version that was known when it was sent: what a
/// watch has told since may already be what came of the write.
pub(super) fn is_effective(
    call: &Call,
    sent: &Preconditions,
    before: Option<&Known>,
    answer: Option<&Value>,
) -> bool {
    let at = |pointer| answer.and_then(|answer| text(answer, pointer));
    let version = at("/metadata/resourceVersion");
    let unchanged = || version.is_some() && version.as_ref() == before.map(|b| &b.resource_version);
    if call.dry_run {
        return false;
    }
    match call.verb {
        Verb::Get | Verb::List | Verb::Watch => false,
        // Evictions and bindings do something to the Pod; reviews and tokens are not stored and have no uid.
        Verb::Create => {
            matches!(call.subresource.as_str(), "eviction" | "binding")
                || at("/metadata/uid").is_some()
        }
        Verb::Update | Verb::Patch => match &sent.resource_version {
            Some(sent) => version.as_ref() != Some(sent),
            None => !unchanged(),
        },
        // What is going already, and waits for somebody, is no further gone for being deleted again.
        Verb::Delete => {
            !(at("/metadata/deletionTimestamp").is_some() && waits(answer) && unchanged())
        }
        Verb::DeleteCollection => answer
            .and_then(|answer| answer.get("items")?.as_array())
            .is_none_or(|items| !items.is_empty()),
    }
}

/// Whether an object that is being deleted waits for a finalizer or for its grace period.
fn waits(answer: Option<&Value>) -> bool {
    let at = |pointer| answer.and_then(|answer| answer.pointer(pointer));
    let finalizers = at("/metadata/finalizers").and_then(Value::as_array);
    let grace = at("/metadata/deletionGracePeriodSeconds").and_then(Value::as_i64);
    finalizers.is_some_and(|f| !f.is_empty()) || grace.unwrap_or_default() > 0
}

#[cfg(test)]
mod tests {
    use http::Method;
    use serde_json::{Value, json};

    use super::{Call, Known, Preconditions, is_effective};

    fn object(version: &str) -> Value {
        json!({"metadata": {"name": "r", "uid": "u", "resourceVersion": version}})
    }

    fn effective(
        method: Method,
        path: &str,
        sent: Option<&str>,
        before: Option<&str>,
        answer: &Value,
    ) -> bool {
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let call = Call::parse(&method, path, Some(query));
        let sent = Preconditions {
            uid: None,
            resource_version: sent.map(Into::into),
        };
        let before = before.map(|version| Known {
            uid: "u".into(),
            resource_version: version.into(),
        });
        is_effective(&call, &sent, before.as_ref(), Some(answer))
    }

    const OBJECT: &str = "/apis/x/v1/namespaces/a/runs/r";
    const ALL: &str = "/apis/x/v1/namespaces/a/runs";

    #[test]
    fn a_patch_is_effective_if_the_version_is_another() {
        let patch = |sent, before| effective(Method::PATCH, OBJECT, sent, before, &object("7"));
        assert!(!patch(Some("7"), None));
        assert!(patch(Some("6"), Some("7")));
        assert!(!patch(None, Some("7")));
        assert!(patch(None, Some("6")));
        assert!(patch(None, None));
    }

    #[test]
    fn a_creation_is_effective_if_something_is_stored() {
        let review =
            json!({"kind": "SubjectAccessReview", "metadata": {}, "status": {"allowed": true}});
        assert!(effective(Method::POST, ALL, None, None, &object("7")));
        assert!(!effective(
            Method::POST,
            "/apis/x/v1/reviews",
            None,
            None,
            &review
        ));
        let dry = format!("{ALL}?dryRun=All");
        assert!(!effective(Method::POST, &dry, None, None, &object("7")));
    }

    #[test]
    fn a_second_deletion_is_not_effective() {
        let gone = json!({"kind": "Status", "status": "Success"});
        assert!(effective(Method::DELETE, OBJECT, None, Some("7"), &gone));
        let mut going = object("7");
        going["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        going["metadata"]["finalizers"] = json!(["x/y"]);
        assert!(effective(Method::DELETE, OBJECT, None, Some("6"), &going));
        assert!(!effective(Method::DELETE, OBJECT, None, Some("7"), &going));
        assert!(!effective(
            Method::DELETE,
            ALL,
            None,
            None,
            &json!({"items": []})
        ));
        assert!(effective(
            Method::DELETE,
            ALL,
            None,
            None,
            &json!({"items": [object("7")]})
        ));
    }
}
