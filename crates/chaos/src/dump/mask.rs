//! Takes out of an object what differs from one play to the next, and keeps what it says: an owner's uid becomes the
//! owner's name, a digest the key it is of.

use std::collections::BTreeMap;

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use kube::ResourceExt as _;
use kube::api::DynamicObject;
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use crate::disturber::{KEK, RINGS};

const KEY_PREFIX: &[u8] = b"atl_";
/// What the names of entries end with that hold keys by which tokens are signed.
const PRIVATE: &str = ".der";

/// What is known of all objects together.
pub struct Masks<'a> {
    namespace: &'a str,
    /// Names by uid.
    uids: BTreeMap<String, &'a str>,
    /// Where a key is, by its digest.
    digests: BTreeMap<String, String>,
    /// Keys that sign tokens, by name and by public half.
    signers: BTreeMap<String, String>,
}

impl<'a> Masks<'a> {
    /// Learns from all objects.
    pub fn new(namespace: &'a str, all: &'a [(String, DynamicObject)]) -> Self {
        let uids = all
            .iter()
            .filter_map(|(key, object)| Some((object.uid()?, key.as_str())));
        let entries = all.iter().flat_map(|(key, object)| {
            let data = object.data.get("data").and_then(Value::as_object);
            data.into_iter()
                .flatten()
                .map(move |(name, value)| (key, name, value))
        });
        let keys = entries.filter_map(|(key, name, value)| {
            let bytes = STANDARD.decode(value.as_str()?).ok()?;
            match name.ends_with(PRIVATE) {
                true => Some((digest(&bytes), format!("{key} signer"))),
                false => bytes
                    .starts_with(KEY_PREFIX)
                    .then(|| (digest(&bytes), format!("{key} {name}"))),
            }
        });
        Self {
            namespace,
            uids: uids.collect(),
            digests: keys.collect(),
            signers: all.iter().flat_map(|(_, object)| signers(object)).collect(),
        }
    }

    /// The object without what differs from one play to the next.
    pub fn apply(&self, object: &DynamicObject) -> anyhow::Result<Value> {
        let mut value = serde_json::to_value(object)?;
        let root = value.as_object_mut().context("no object")?;
        let generation = object.metadata.generation;
        let kind = object
            .types
            .as_ref()
            .map(|t| t.kind.clone())
            .unwrap_or_default();
        if let Some(Value::Object(metadata)) = root.get_mut("metadata") {
            for own in [
                "uid",
                "resourceVersion",
                "generation",
                "managedFields",
                "namespace",
                "creationTimestamp",
            ] {
                metadata.remove(own);
            }
            // Which generation a child was last made from depends on how often its owner was changed before.
            if let Some(Value::Object(annotations)) = metadata.get_mut("annotations") {
                annotations.remove(atelier_api::labels::OWNER_GENERATION);
            }
            // Kubernetes gives a pod the region of the node that it is bound to.
            if let Some(Value::Object(labels)) = metadata.get_mut("labels") {
                labels.remove("topology.kubernetes.io/region");
            }
            metadata.retain(|_, value| value.as_object().is_none_or(|map| !map.is_empty()));
        }
        // What Kubernetes itself says of a pod or Deployment is full of names and times; the numbers matter.
        let ours = root.get("apiVersion").is_some_and(is_group);
        if !ours && let Some(Value::Object(status)) = root.get_mut("status") {
            let kept = [
                "phase",
                "replicas",
                "readyReplicas",
                "updatedReplicas",
                "availableReplicas",
                "observedGeneration",
            ];
            status.retain(|name, _| kept.contains(&name.as_str()));
        }
        // Of which moment it is, depends on when it was written.
        if ours && let Some(told) = value_at(root, "/status/autoscale/utilization") {
            *told = json!("<percent>");
        }
        let type_ = root.get("type").cloned().unwrap_or_default();
        if kind == "Secret"
            && let Some(data) = root.get_mut("data")
        {
            self.data(&object.name_any(), &type_, data);
        }
        self.walk(&mut value, generation);
        Ok(value)
    }

    /// Certificates, the keys of storages and access keys are random as wholes, the names of the latter too; that they are
    /// there counts.
    fn data(&self, name: &str, type_: &Value, data: &mut Value) {
        let Some(entries) = data.as_object_mut() else {
            return;
        };
        if type_ == "kubernetes.io/tls" {
            entries
                .iter_mut()
                .for_each(|(_, value)| *value = json!("<of a certificate>"));
        } else if name == KEK || name.starts_with(RINGS) {
            entries
                .iter_mut()
                .for_each(|(_, value)| *value = json!("<of a storage>"));
        } else if entries.keys().all(|name| name.starts_with("ATL")) {
            *data = json!(format!("<{} access keys>", entries.len()));
        } else {
            let of = std::mem::take(entries).into_iter().map(|(name, value)| {
                let signer = name.strip_suffix(PRIVATE);
                match signer.and_then(|id| self.signers.get(id)) {
                    Some(signer) => (signer.clone(), json!("<private>")),
                    None => (name, self.secret(&value)),
                }
            });
            *entries = of.collect();
        }
    }

    fn secret(&self, value: &Value) -> Value {
        let bytes = value
            .as_str()
            .and_then(|text| STANDARD.decode(text).ok())
            .unwrap_or_default();
        if bytes.starts_with(KEY_PREFIX) {
            return json!("<key>");
        }
        // A document: it holds digests and generations.
        serde_json::from_slice(&bytes).unwrap_or_else(|_| json!(String::from_utf8_lossy(&bytes)))
    }

    fn walk(&self, value: &mut Value, generation: Option<i64>) {
        match value {
            Value::Object(fields) => self.fields(fields, generation),
            Value::Array(items) => items
                .iter_mut()
                .for_each(|item| self.walk(item, generation)),
            Value::String(text) => *text = self.text(text),
            _ => {}
        }
    }

    fn fields(&self, fields: &mut Map<String, Value>, generation: Option<i64>) {
        for (name, value) in fields {
            match name.as_str() {
                "observedGeneration" => {
                    *value = match value.as_i64() == generation {
                        true => json!("== generation"),
                        false => json!("!= generation"),
                    }
                }
                "clusterIP" | "clusterIPs" | "nodeName" | "node" | "durationSeconds" => {
                    *value = json!("<any>")
                }
                "fingerprint" => {
                    *value = json!(self.fingerprint(value.as_str().unwrap_or_default()))
                }
                _ => self.walk(value, generation),
            }
        }
    }

    fn fingerprint(&self, text: &str) -> String {
        let of = self
            .digests
            .iter()
            .find(|(digest, _)| digest.starts_with(text));
        of.map_or_else(|| "<of no key>".into(), |(_, key)| format!("<of {key}>"))
    }

    fn text(&self, text: &str) -> String {
        if text.parse::<Timestamp>().is_ok() {
            return "<time>".into();
        }
        if text.starts_with("-----BEGIN CERTIFICATE") {
            return "<certificates>".into();
        }
        if text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit()) {
            let of = self.digests.get(text);
            return of.map_or_else(
                || "<digest of no key>".into(),
                |key| format!("<digest of {key}>"),
            );
        }
        if let Some(signer) = self.signers.get(text) {
            return signer.clone();
        }
        if is_uuid(text) {
            let of = self.uids.get(text);
            return of.map_or_else(
                || "<uid of nothing here>".into(),
                |key| format!("<uid of {key}>"),
            );
        }
        text.replace(self.namespace, "<namespace>")
    }
}

/// The keys that sign tokens, where this is a Secret with such: what they are called and their public halves, by number.
fn signers(object: &DynamicObject) -> Vec<(String, String)> {
    let document = object.data.pointer("/data/state.json");
    let document = document.and_then(|text| STANDARD.decode(text.as_str()?).ok());
    let state: Value = serde_json::from_slice(&document.unwrap_or_default()).unwrap_or_default();
    let keys = state["keys"].as_array().cloned().unwrap_or_default();
    let known = keys.iter().enumerate().flat_map(|(nth, key)| {
        ["id", "point"].map(|field| {
            let text = key[field].as_str().unwrap_or_default().to_owned();
            (text, format!("<{field} of signer {nth}>"))
        })
    });
    known.collect()
}

fn value_at<'a>(root: &'a mut Map<String, Value>, pointer: &str) -> Option<&'a mut Value> {
    let mut parts = pointer.trim_start_matches('/').split('/');
    let first = root.get_mut(parts.next()?)?;
    parts.try_fold(first, |value, part| value.get_mut(part))
}

fn is_group(version: &Value) -> bool {
    version
        .as_str()
        .is_some_and(|version| version.starts_with("atelier.dev/"))
}

fn is_uuid(text: &str) -> bool {
    let mut parts = text.split('-');
    [8, 4, 4, 4, 12].iter().all(|len| {
        parts
            .next()
            .is_some_and(|part| part.len() == *len && part.bytes().all(|b| b.is_ascii_hexdigit()))
    }) && parts.next().is_none()
}

/// SHA-256, in hexadecimal digits.
pub fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}
