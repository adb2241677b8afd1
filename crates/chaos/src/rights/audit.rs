//! What the API server's audit log tells of one user.

use std::io::{BufRead as _, BufReader, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use serde_json::Value;

/// The log from a moment on.
#[derive(Clone, Debug)]
pub struct Audit {
    path: PathBuf,
    from: u64,
    user: &'static str,
}

/// One request that was answered, or a watch that was begun.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// `create`, `update`, `patch`, `delete`, `get`, `list`, `watch`.
    pub verb: String,
    /// As whom, if not as the user.
    pub acts_as: String,
    /// API group; empty for the core.
    pub group: String,
    /// Plural, with the subresource after a slash.
    pub resource: String,
    /// Namespace; empty for a request to the whole cluster.
    pub namespace: String,
    /// Name; of a creation, that of the object sent.
    pub name: String,
    /// HTTP status.
    pub code: i64,
    /// Whether the object has another version than the one that was sent, as far as the log tells. Of Secrets it does
    /// not tell.
    pub effective: bool,
    /// What was sent.
    pub sent: Value,
    /// What was said, if it was refused.
    pub message: String,
    /// When it arrived: RFC 3339 with microseconds, so texts are in order of time.
    pub at: String,
}

impl Asked {
    /// Whether it would change something. Leases are left out, and reviews, which change nothing.
    pub fn is_write(&self) -> bool {
        let writes = ["create", "update", "patch", "delete", "deletecollection"];
        writes.contains(&self.verb.as_str())
            && self.resource != "leases"
            && !self.group.starts_with("authorization.")
    }

    /// Whether it changed something.
    pub fn is_effective(&self) -> bool {
        self.is_write() && self.effective && (200..300).contains(&self.code)
    }
}

impl std::fmt::Display for Asked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            verb,
            resource,
            name,
            namespace,
            code,
            at,
            message,
            ..
        } = self;
        write!(
            f,
            "{at} {verb} {resource}/{name} in {namespace}: {code} {message}"
        )
    }
}

impl Audit {
    /// The log beside a cluster's kubeconfig, from the very beginning.
    pub fn whole(kubeconfig: &Path, user: &'static str) -> Self {
        Self {
            path: kubeconfig.with_file_name("audit.log"),
            from: 0,
            user,
        }
    }

    /// The log from now on. An entry is in it before the client has its answer.
    pub fn from_now(kubeconfig: &Path, user: &'static str) -> Self {
        let mut audit = Self::whole(kubeconfig, user);
        audit.from = std::fs::metadata(&audit.path).map_or(0, |file| file.len());
        audit
    }

    /// The user's requests.
    pub fn asked(&self) -> anyhow::Result<Vec<Asked>> {
        let mut file = std::fs::File::open(&self.path)?;
        file.seek(SeekFrom::Start(self.from))?;
        let mut asked = vec![];
        for line in BufReader::new(file).lines() {
            let line = line?;
            // Most lines are others'; to parse them all takes seconds.
            if line.contains(self.user) {
                // A last line that is still being written is no JSON yet.
                asked.extend(
                    serde_json::from_str(&line)
                        .ok()
                        .and_then(|event| self.read(&event)),
                );
            }
        }
        Ok(asked)
    }

    fn read(&self, event: &Value) -> Option<Asked> {
        let text = |pointer: &str| {
            event
                .pointer(pointer)
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned()
        };
        let verb = text("/verb");
        // A watch is told of when it begins, since it may never end; and once more when it does.
        let stage = if verb == "watch" {
            "ResponseStarted"
        } else {
            "ResponseComplete"
        };
        let code = event
            .pointer("/responseStatus/code")
            .and_then(Value::as_i64)
            .unwrap_or_default();
        let refused = code >= 400 && text("/stage") == "ResponseComplete";
        if text("/user/username") != self.user || (text("/stage") != stage && !refused) {
            return None;
        }
        let or = |first: String, second: &str| {
            if first.is_empty() {
                text(second)
            } else {
                first
            }
        };
        let version = |of: &str| text(&format!("/{of}/metadata/resourceVersion"));
        let sent_version = version("requestObject");
        let resource = [text("/objectRef/resource"), text("/objectRef/subresource")].join("/");
        Some(Asked {
            acts_as: text("/impersonatedUser/username"),
            group: text("/objectRef/apiGroup"),
            resource: resource.trim_end_matches('/').to_owned(),
            namespace: text("/objectRef/namespace"),
            name: or(text("/objectRef/name"), "/requestObject/metadata/name"),
            effective: sent_version.is_empty() || sent_version != version("responseObject"),
            message: text("/responseStatus/message"),
            sent: event.get("requestObject").cloned().unwrap_or_default(),
            at: text("/requestReceivedTimestamp"),
            verb,
            code,
        })
    }
}
