//! What the operator asked of the API server in one namespace, as the proxy saw it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::disturber::{KEK, OWN_RING, OWN_STORAGE, RINGS};
use crate::plan::Write;

/// One request.
#[derive(Clone, Debug)]
pub struct Request {
    /// `create`, `update`, `patch`, `delete`, `get`, …
    pub verb: String,
    /// Plural, with the subresource after a slash.
    pub resource: String,
    /// Name of the object; of a creation, that of the object sent.
    pub name: String,
    /// The uid that it insists on.
    pub uid: Option<String>,
    /// The version that it insists on.
    pub version: Option<String>,
    /// What was sent.
    pub sent: Value,
    /// What the API server said; nothing, if it was never asked.
    pub status: Option<u16>,
    /// Why the API server refused it.
    pub refusal: Option<String>,
    /// What was done to it on its way.
    pub fault: Option<&'static str>,
    /// Whether the API server has another object than before.
    pub effective: bool,
}

impl Request {
    /// Whether it was done.
    pub fn is_done(&self) -> bool {
        self.status
            .is_some_and(|status| (200..300).contains(&status))
    }

    /// Whether it would change something. Events are told, not kept.
    pub fn is_write(&self) -> bool {
        matches!(self.verb.as_str(), "create" | "update" | "patch" | "delete")
            && !matches!(self.resource.as_str(), "events" | "leases")
    }
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let status = self
            .status
            .map_or_else(|| "not sent".into(), |status| status.to_string());
        let version = self.version.as_deref().unwrap_or("-");
        let effect = if self.effective { ", effective" } else { "" };
        let refusal = self
            .refusal
            .as_ref()
            .map(|why| format!(": {why}"))
            .unwrap_or_default();
        let fault = self
            .fault
            .map(|fault| format!(" <- {fault}"))
            .unwrap_or_default();
        write!(
            f,
            "{} {}/{} at {version}: {status}{effect}{fault}{refusal}",
            self.verb, self.resource, self.name
        )
    }
}

/// The writes by name. The number of each is among all of its like, whether they changed something or not, because
/// that is what the proxy can count; only those that did are given.
pub fn effective_writes(trail: &[Request]) -> BTreeSet<Write> {
    let mut counts: BTreeMap<(&str, &str, &str), usize> = BTreeMap::new();
    let mut writes = BTreeSet::new();
    for request in trail.iter().filter(|request| request.is_write()) {
        let like = (
            request.verb.as_str(),
            request.resource.as_str(),
            request.name.as_str(),
        );
        let nth = counts.entry(like).or_default();
        *nth += 1;
        if request.effective && request.is_done() {
            writes.insert(Write {
                verb: request.verb.clone(),
                resource: request.resource.clone(),
                name: request.name.clone(),
                nth: *nth,
            });
        }
    }
    writes
}

/// How often each object was made. A node's placeholder that is made twice with no deletion of ours between was taken
/// away by somebody else, and coming back is what it should: the fake kubelet deletes by name, without a uid, and on a
/// busy machine hits the next pod of that name.
pub fn creations(trail: &[Request]) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    let mut standing = BTreeSet::new();
    for request in trail.iter().filter(|r| r.is_write() && r.is_done()) {
        let name = format!("{}/{}", request.resource, request.name);
        let is_placeholder = request.resource == "pods" && request.name.contains("-slot-");
        match request.verb.as_str() {
            "create" if !standing.insert(name.clone()) && is_placeholder => {}
            "create" => *counts.entry(name).or_default() += 1,
            "delete" => drop(standing.remove(&name)),
            _ => {}
        }
    }
    counts
}

/// The values that each entry of each Secret was given, in order, each once.
pub fn minted(trail: &[Request]) -> BTreeMap<String, Vec<String>> {
    let mut minted: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let written = trail
        .iter()
        .filter(|r| r.resource == "secrets" && r.is_write() && r.is_done());
    for request in written {
        for (entry, value) in keys(&request.name, &request.sent) {
            let values = minted.entry(entry).or_default();
            if !values.contains(&value) {
                values.push(value);
            }
        }
    }
    minted
}

/// The keys in a Secret, by `Secret entry`.
pub fn keys(name: &str, secret: &Value) -> Vec<(String, String)> {
    let data = secret.get("data").and_then(Value::as_object);
    let entries = data.into_iter().flatten().filter_map(|(entry, value)| {
        let value = value.as_str()?;
        // Keys that sign tokens are called by what they are, and so are access keys.
        if entry.ends_with(".der") {
            return Some((format!("{name} signer"), value.to_owned()));
        }
        if name == OWN_STORAGE {
            return Some((format!("{name} access key"), value.to_owned()));
        }
        // Of the Secrets of rings those that a trail is of have one name.
        if name == KEK || name.starts_with(RINGS) && entry == OWN_RING {
            return Some((format!("a storage's {entry}"), value.to_owned()));
        }
        let bytes = STANDARD.decode(value).ok()?;
        bytes
            .starts_with(b"atl_")
            .then(|| (format!("{name} {entry}"), value.to_owned()))
    });
    entries.collect()
}
