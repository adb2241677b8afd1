//! What the trail knows of one request and of one watch event.

use std::fmt;
use std::time::{Instant, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{HeaderMap, header::AUTHORIZATION};
use serde_json::Value;

use super::frames::EventType;
use super::request::{Call, Verb};

/// What a write insists on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Preconditions {
    /// The object's uid.
    pub uid: Option<String>,
    /// The object's version.
    pub resource_version: Option<String>,
}

impl Preconditions {
    /// Reads them from a request's body.
    pub(super) fn of(verb: Verb, body: Option<&Value>) -> Self {
        let Some(body) = body else {
            return Self::default();
        };
        let find = |key: &str| match (verb, body) {
            (Verb::Delete | Verb::DeleteCollection, _) => {
                text(body, &format!("/preconditions/{key}"))
            }
            // A JSON patch insists by its tests.
            (Verb::Patch, Value::Array(steps)) => steps
                .iter()
                .find(|step| step["op"] == "test" && step["path"] == format!("/metadata/{key}"))
                .and_then(|step| text(step, "/value")),
            (Verb::Patch | Verb::Update, _) => text(body, &format!("/metadata/{key}")),
            _ => None,
        };
        Self {
            uid: find("uid"),
            resource_version: find("resourceVersion"),
        }
    }
}

/// One request. Its bodies are not shown by `Debug`, because they may be those of Secrets.
#[derive(Clone)]
pub struct Entry {
    /// Its place among all requests and watch events.
    pub seq: u64,
    /// When it came.
    pub started: Instant,
    /// The same, on the clock on the wall.
    pub started_at: SystemTime,
    /// When the answer was complete, or it was known that there would be none. Of a watch, when it ended.
    pub ended: Option<Instant>,
    /// The same, on the clock on the wall.
    pub ended_at: Option<SystemTime>,
    /// `sub` of the token; nothing if there is none.
    pub user: String,
    /// What is to be done.
    pub verb: Verb,
    /// API group; nothing for the core group.
    pub group: String,
    /// Plural of the kind; nothing if the path is no resource.
    pub resource: String,
    /// Subresource; nothing if there is none.
    pub subresource: String,
    /// Namespace; nothing if there is none.
    pub namespace: String,
    /// Name; of a creation, that of the object sent or, if the API server made it up, of the one returned.
    pub name: String,
    /// Field manager, if one was given.
    pub field_manager: String,
    /// Path.
    pub path: String,
    /// Query, without the question mark.
    pub query: String,
    /// What the write insists on.
    pub preconditions: Preconditions,
    /// What a write sent, if it is JSON.
    pub body: Option<Value>,
    /// Status that the API server answered with. Nothing if it was not asked or gave no answer.
    pub upstream_status: Option<u16>,
    /// Status that the client was answered with. Nothing if it was not answered.
    pub status: Option<u16>,
    /// What the API server returned for a write, if it is JSON.
    pub response: Option<Value>,
    /// What was done to the request, by the names of the actions.
    pub faults: Vec<&'static str>,
    /// Whether it is a write that the API server has done.
    pub committed: bool,
    /// Whether it is a write that was done and changed an object, as far as can be told from versions. Creations of
    /// what is not stored (reviews, tokens) change nothing; nor do dry runs.
    pub effective: bool,
}

impl Entry {
    pub(super) fn new(seq: u64, call: &Call, user: String) -> Self {
        let call = call.clone();
        Self {
            seq,
            started: Instant::now(),
            started_at: SystemTime::now(),
            ended: None,
            ended_at: None,
            user,
            verb: call.verb,
            group: call.group,
            resource: call.resource,
            subresource: call.subresource,
            namespace: call.namespace,
            name: call.name,
            field_manager: call.field_manager,
            path: call.path,
            query: call.query,
            preconditions: Preconditions::default(),
            body: None,
            upstream_status: None,
            status: None,
            response: None,
            faults: Vec::new(),
            committed: false,
            effective: false,
        }
    }

    /// Whether it may change anything.
    pub fn is_write(&self) -> bool {
        self.verb.is_write()
    }

    /// The fault, if there was one.
    pub fn fault(&self) -> Option<&'static str> {
        self.faults.last().copied()
    }
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry")
            .field("seq", &self.seq)
            .field("user", &self.user)
            .field("verb", &self.verb)
            .field("path", &self.path)
            .field("query", &self.query)
            .field("name", &self.name)
            .field("preconditions", &self.preconditions)
            .field("upstream_status", &self.upstream_status)
            .field("status", &self.status)
            .field("faults", &self.faults)
            .field("committed", &self.committed)
            .field("effective", &self.effective)
            .finish_non_exhaustive()
    }
}

/// What became of a watch event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It was given to the client's connection.
    Delivered,
    /// It waits for a gate, or for a delay. If the watch ends before, it stays like this.
    Held,
    /// It was swallowed.
    Dropped,
}

/// One event of a watch.
#[derive(Clone, Debug)]
pub struct FrameEntry {
    /// Its place among all requests and watch events.
    pub seq: u64,
    /// Number of the watch's request.
    pub watch: u64,
    /// Type.
    pub event: EventType,
    /// Kind of the object; `Status` if it is a failure.
    pub kind: String,
    /// API group of the watch.
    pub group: String,
    /// Plural of the kind.
    pub resource: String,
    /// Namespace of the object.
    pub namespace: String,
    /// Name of the object.
    pub name: String,
    /// The object's uid.
    pub uid: String,
    /// The object's version.
    pub resource_version: String,
    /// When it came from the API server.
    pub received: Instant,
    /// When it was given to the client's connection.
    pub delivered: Option<Instant>,
    /// What became of it.
    pub fate: Fate,
}

/// Who a bearer token says it is. It is not verified: the API server does that.
pub(super) fn user(headers: &HeaderMap) -> String {
    let subject = || {
        let header = headers.get(AUTHORIZATION)?.to_str().ok()?;
        let claims = header.strip_prefix("Bearer ")?.split('.').nth(1)?;
        let claims = URL_SAFE_NO_PAD.decode(claims).ok()?;
        text(&serde_json::from_slice(&claims).ok()?, "/sub")
    };
    subject().unwrap_or_default()
}

/// The text at a place.
pub(super) fn text(value: &Value, pointer: &str) -> Option<String> {
    let text = value.pointer(pointer)?.as_str()?;
    Some(text.to_owned()).filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, Method};
    use serde_json::json;

    use base64::Engine as _;

    use super::{Call, Entry, Preconditions, URL_SAFE_NO_PAD, Verb, user};

    #[test]
    fn preconditions_are_found_where_each_verb_has_them() {
        let both = Preconditions {
            uid: Some("u".into()),
            resource_version: Some("7".into()),
        };
        let metadata = json!({"metadata": {"uid": "u", "resourceVersion": "7"}});
        let tests = json!([
            {"op": "test", "path": "/metadata/uid", "value": "u"},
            {"op": "test", "path": "/metadata/resourceVersion", "value": "7"},
            {"op": "add", "path": "/metadata/resourceVersion", "value": "8"},
        ]);
        let options = json!({"preconditions": {"uid": "u", "resourceVersion": "7"}});
        for (verb, body) in [
            (Verb::Update, &metadata),
            (Verb::Patch, &metadata),
            (Verb::Patch, &tests),
            (Verb::Delete, &options),
        ] {
            assert_eq!(Preconditions::of(verb, Some(body)), both, "{verb}");
        }
        assert_eq!(
            Preconditions::of(Verb::Create, Some(&metadata)),
            Preconditions::default()
        );
        assert_eq!(
            Preconditions::of(Verb::Delete, None),
            Preconditions::default()
        );
    }

    #[test]
    fn the_user_is_read_from_the_token() {
        let claims = URL_SAFE_NO_PAD.encode(r#"{"sub":"system:serviceaccount:a:b"}"#);
        let mut headers = HeaderMap::new();
        assert_eq!(user(&headers), "");
        headers.insert(
            "authorization",
            format!("Bearer x.{claims}.y").parse().unwrap(),
        );
        assert_eq!(user(&headers), "system:serviceaccount:a:b");
        headers.insert("authorization", "Bearer opaque".parse().unwrap());
        assert_eq!(user(&headers), "");
    }

    #[test]
    fn an_entry_shows_no_bodies() {
        let call = Call::parse(&Method::POST, "/api/v1/namespaces/a/secrets", None);
        let mut entry = Entry::new(1, &call, String::new());
        entry.body = Some(json!({"data": {"key": "hush"}}));
        entry.response = entry.body.clone();
        assert!(!format!("{entry:?}").contains("hush"));
    }
}
