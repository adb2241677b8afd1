//! Answers to LIST that are kept, to be given again when they are old.

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use hyper::body::Bytes;
use serde::Deserialize;
use serde_json::Value;

use super::frames::Meta;
use super::request::{Call, Verb};

/// An answer to a LIST, as it was at some time.
#[derive(Clone)]
pub struct ListSnapshot {
    /// Number of the request in the trail.
    pub seq: u64,
    /// What was asked.
    pub call: Arc<Call>,
    /// When it was answered.
    pub at: Instant,
    /// Version of the whole list.
    pub resource_version: String,
    /// Whole objects, or their metadata only: what the client said it would take.
    pub(super) accept: String,
    pub(super) body: Bytes,
}

impl ListSnapshot {
    /// The list.
    pub fn value(&self) -> Value {
        serde_json::from_slice(&self.body).expect("the API server's list is JSON")
    }

    /// Whether this answers a request: the same path, selectors and form, and no later page of a list.
    pub(super) fn answers(&self, call: &Call, accept: &str) -> bool {
        let same = |name| call.parameter(name) == self.call.parameter(name);
        call.verb == Verb::List
            && call.path == self.call.path
            && accept == self.accept
            && same("labelSelector")
            && same("fieldSelector")
            && call.parameter("continue").is_none()
    }
}

impl fmt::Debug for ListSnapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ListSnapshot")
            .field("seq", &self.seq)
            .field("path", &self.call.path)
            .field("resource_version", &self.resource_version)
            .finish_non_exhaustive()
    }
}

/// The versions in a list, or in one object.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Versions {
    pub metadata: Meta,
    pub items: Vec<Item>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Item {
    pub metadata: Meta,
}

#[cfg(test)]
mod tests {
    use http::Method;

    use super::{Call, Instant, ListSnapshot, Versions};

    #[test]
    fn answers_the_same_question_only() {
        let list = |query| Call::parse(&Method::GET, "/api/v1/namespaces/a/pods", Some(query));
        let snapshot = ListSnapshot {
            seq: 1,
            call: list("labelSelector=x%3Dy&limit=500").into(),
            at: Instant::now(),
            resource_version: "5".into(),
            accept: "application/json".into(),
            body: "{}".into(),
        };
        let answers = |query, accept| snapshot.answers(&list(query), accept);
        assert!(answers("limit=500&labelSelector=x%3Dy", "application/json"));
        assert!(answers(
            "labelSelector=x%3Dy&resourceVersion=0",
            "application/json"
        ));
        assert!(!answers("labelSelector=x%3Dy", "application/json;as=Table"));
        assert!(!answers("labelSelector=x%3Dz", "application/json"));
        assert!(!answers(
            "labelSelector=x%3Dy&continue=abc",
            "application/json"
        ));
        assert!(!answers(
            "labelSelector=x%3Dy&watch=true",
            "application/json"
        ));
    }

    #[test]
    fn versions_are_read_from_lists_and_objects() {
        let list = r#"{"metadata":{"resourceVersion":"9"},"items":[{"metadata":{"name":"p","resourceVersion":"7"}}]}"#;
        let list: Versions = serde_json::from_str(list).unwrap();
        assert_eq!(list.metadata.resource_version, "9");
        assert_eq!(list.items[0].metadata.resource_version, "7");
    }
}
