//! The operator's requests one by one, as the API server's audit log has them: which replica, when, and what came of it.

use std::io::{Read as _, Seek as _, SeekFrom};

use atelier_testkit::Cluster;
use atelier_testkit::cluster::OPERATOR;
use jiff::Timestamp;
use serde_json::Value;

/// The log from a moment on.
pub struct Trail {
    cluster: Cluster,
    from: u64,
}

/// A request of one replica that was answered.
#[derive(Clone, Debug)]
pub struct Request {
    /// Name of the replica's pod.
    pub pod: String,
    /// When it came.
    pub received: Timestamp,
    /// When it was answered.
    pub answered: Timestamp,
    /// `create`, `update`, `patch`, `delete`, …
    pub verb: String,
    /// Plural of the kind.
    pub resource: String,
    /// Empty if there is none.
    pub namespace: String,
    /// Empty if there is none.
    pub name: String,
    /// HTTP status.
    pub code: i64,
    /// Why it failed.
    pub message: String,
    /// Of a lease that was sent: who holds it from then on.
    pub holder: Option<String>,
}

impl Trail {
    /// The log from now on.
    pub fn from_now(cluster: &Cluster) -> Self {
        Self {
            cluster: cluster.clone(),
            from: std::fs::metadata(cluster.audit_log()).unwrap().len(),
        }
    }

    /// All of the operator's requests, in order.
    pub fn requests(&self) -> Vec<Request> {
        let mut file = std::fs::File::open(self.cluster.audit_log()).unwrap();
        file.seek(SeekFrom::Start(self.from)).unwrap();
        let mut log = vec![];
        file.read_to_end(&mut log).unwrap();
        let events = log.split(|byte| *byte == b'\n');
        let mut requests: Vec<_> = events
            .filter_map(|line| Request::of(&serde_json::from_slice(line).ok()?))
            .collect();
        requests.sort_by_key(|request| request.received);
        requests
    }

    /// Those that changed something.
    pub fn writes(&self) -> Vec<Request> {
        let mut writes = self.requests();
        writes.retain(|r| r.is_write() && r.code < 300);
        writes
    }
}

impl Request {
    fn of(event: &Value) -> Option<Self> {
        let text = |pointer: &str| event.pointer(pointer)?.as_str().map(str::to_owned);
        let (user, stage) = (text("/user/username")?, text("/stage")?);
        if user != OPERATOR || stage != "ResponseComplete" {
            return None;
        }
        let pod = &event.pointer("/user/extra")?["authentication.kubernetes.io/pod-name"][0];
        Some(Self {
            pod: pod.as_str()?.to_owned(),
            received: text("/requestReceivedTimestamp")?.parse().ok()?,
            answered: text("/stageTimestamp")?.parse().ok()?,
            verb: text("/verb")?,
            resource: text("/objectRef/resource")?,
            namespace: text("/objectRef/namespace").unwrap_or_default(),
            name: text("/objectRef/name").unwrap_or_default(),
            code: event.pointer("/responseStatus/code")?.as_i64()?,
            message: text("/responseStatus/message").unwrap_or_default(),
            holder: text("/requestObject/spec/holderIdentity"),
        })
    }

    /// To ask for one's own rights is a creation, of something that is never stored.
    fn is_write(&self) -> bool {
        let verbs = ["create", "update", "patch", "delete"];
        verbs.contains(&self.verb.as_str()) && self.resource != "selfsubjectaccessreviews"
    }

    /// Whether it makes somebody the holder of the lease; nobody, if that is empty.
    pub fn gives(&self, holder: &str) -> bool {
        self.resource == "leases" && self.holder.as_deref() == Some(holder)
    }
}
