//! The API server's audit log: who wrote what, how often.

use std::io::{BufRead as _, BufReader, Seek as _, SeekFrom};

use serde_json::Value;

use crate::cluster::{Cluster, OPERATOR};

/// The part of the audit log from a moment on.
pub struct Audit {
    cluster: Cluster,
    from: u64,
}

/// One request that was answered.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Who asked.
    pub user: String,
    /// As whom, if not as themselves.
    pub acts_as: String,
    /// `create`, `update`, `patch`, `delete`, …
    pub verb: String,
    /// Plural of the kind, with the subresource after a slash.
    pub resource: String,
    /// Namespace, if there is one.
    pub namespace: String,
    /// Name; of a creation, that of the object sent.
    pub name: String,
    /// HTTP status.
    pub code: i64,
    /// Whether the object has another version than the one that was sent, as far as the log tells.
    pub effective: bool,
}

impl Audit {
    /// The log from the very beginning.
    pub fn whole(cluster: &Cluster) -> Self {
        Self {
            cluster: cluster.clone(),
            from: 0,
        }
    }

    /// The log from now on.
    pub fn from_now(cluster: &Cluster) -> Self {
        let from = std::fs::metadata(cluster.audit_log())
            .map(|m| m.len())
            .unwrap_or_default();
        Self {
            cluster: cluster.clone(),
            from,
        }
    }

    /// All requests that `select` accepts.
    pub fn entries(&self, select: impl Fn(&Entry) -> bool) -> Vec<Entry> {
        let mut file = std::fs::File::open(self.cluster.audit_log()).unwrap();
        file.seek(SeekFrom::Start(self.from)).unwrap();
        // A last line that is still being written is no JSON yet.
        let lines = BufReader::new(file).lines().map_while(Result::ok);
        lines
            .filter_map(|line| entry(&serde_json::from_str(&line).ok()?))
            .filter(select)
            .collect()
    }

    /// What the operator wrote in a namespace, successfully; its statuses included, its events not.
    pub fn operator_writes(&self, namespace: &str) -> Vec<Entry> {
        self.entries(|e| {
            e.user == OPERATOR
                && e.namespace == namespace
                && matches!(e.verb.as_str(), "create" | "update" | "patch" | "delete")
                && e.resource != "events"
                && e.code < 300
        })
    }

    /// The same, without those that changed nothing.
    pub fn effective_writes(&self, namespace: &str) -> Vec<Entry> {
        self.operator_writes(namespace)
            .into_iter()
            .filter(|e| e.effective)
            .collect()
    }
}

fn entry(event: &Value) -> Option<Entry> {
    let text = |pointer: &str| {
        event
            .pointer(pointer)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    if text("/stage") != "ResponseComplete" {
        return None;
    }
    let (sent, got) = (
        text("/requestObject/metadata/resourceVersion"),
        text("/responseObject/metadata/resourceVersion"),
    );
    let sub = text("/objectRef/subresource");
    let named = text("/objectRef/name");
    Some(Entry {
        user: text("/user/username"),
        acts_as: text("/impersonatedUser/username"),
        verb: text("/verb"),
        resource: [text("/objectRef/resource"), sub]
            .join("/")
            .trim_end_matches('/')
            .to_owned(),
        namespace: text("/objectRef/namespace"),
        name: if named.is_empty() {
            text("/responseObject/metadata/name")
        } else {
            named
        },
        code: event
            .pointer("/responseStatus/code")
            .and_then(Value::as_i64)
            .unwrap_or_default(),
        effective: sent.is_empty() || sent != got,
    })
}
