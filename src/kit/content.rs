//! The normal form of an object, and its hash: how drift is seen without keeping objects (docs/design/drift.md).
//!
//! Desired objects carry every default explicitly. The normal form drops what the API server or other controllers
//! own by right, so that a live object has the hash of the desired one exactly if nobody changed *or added* anything.

use atelier_api::labels;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

use super::child::ChildKind;

/// Hash of an object's normal form: 128 bits of SHA-256.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ContentHash([u8; 16]);

impl std::fmt::Debug for ContentHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Hashes the normal form of `object`.
pub fn hash(kind: ChildKind, object: &Value) -> ContentHash {
    hash_normal(&normal_form(kind, object))
}

fn hash_normal(normal: &Value) -> ContentHash {
    // Writing JSON to a hasher cannot fail: `Value` has string keys only.
    let bytes = serde_json::to_vec(normal).unwrap_or_default();
    let digest = Sha256::digest(&bytes);
    let mut out = [0; 16];
    out.copy_from_slice(&digest[..16]);
    ContentHash(out)
}

/// The hash of a Secret of which only the digests of its values are known. `secret` has no `data`.
pub fn hash_by_digests<'a>(
    secret: &Value,
    digests: impl IntoIterator<Item = (&'a str, &'a [u8; 32])>,
) -> ContentHash {
    let digests = digests
        .into_iter()
        .map(|(name, digest)| (name.to_owned(), digest_text(digest)));
    let mut normal = normal_form(ChildKind::Secret, secret);
    normal["data"] = Value::Object(digests.collect());
    hash_normal(&normal)
}

/// What of an object is ours to decide.
fn normal_form(kind: ChildKind, object: &Value) -> Value {
    let mut out = Map::new();
    out.insert("metadata".into(), metadata(object.get("metadata")));
    let body = object.as_object().into_iter().flatten();
    for (key, value) in body
        .filter(|(key, _)| !matches!(key.as_str(), "metadata" | "status" | "apiVersion" | "kind"))
    {
        out.insert(key.clone(), value.clone());
    }
    match kind {
        // The API server chooses addresses and families; distributions add pull secrets to ServiceAccounts.
        ChildKind::Service => remove(
            &mut out,
            "spec",
            &["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"],
        ),
        ChildKind::ServiceAccount => {
            out.retain(|key, _| !matches!(key.as_str(), "secrets" | "imagePullSecrets"))
        }
        // An old name of `serviceAccountName` that the API server fills in.
        ChildKind::Deployment => {
            if is_autoscaled(object) {
                remove(&mut out, "spec", &["replicas"]);
            }
            if let Some(Value::Object(template)) = out
                .get_mut("spec")
                .and_then(|spec| spec.get_mut("template"))
            {
                remove(template, "spec", &["serviceAccount"]);
            }
        }
        ChildKind::Pod => pod_spec(&mut out),
        ChildKind::Secret => data_by_digest(&mut out),
        // What was asked for cannot be changed, but for its size, which an administrator may enlarge.
        ChildKind::PersistentVolumeClaim => drop(out.remove("spec")),
        ChildKind::Role
        | ChildKind::RoleBinding
        | ChildKind::ConfigMap
        | ChildKind::HttpRoute
        | ChildKind::BackendTlsPolicy => {}
    }
    without_nulls(Value::Object(out))
}

/// Whether the replicas of a Deployment are the autoscaler's, by its annotation. That is ours, so whoever takes it away
/// makes the Deployment another.
fn is_autoscaled(object: &Value) -> bool {
    let annotations = object.pointer("/metadata/annotations");
    annotations.is_some_and(|all| all.get(labels::AUTOSCALED).is_some())
}

/// A Secret stands for its values by their digests, so that one whose values nobody holds any more has a hash too.
fn data_by_digest(secret: &mut Map<String, Value>) {
    if let Some(data) = secret.get_mut("data") {
        let text = |bytes: Vec<u8>| digest_text(&Sha256::digest(bytes).into());
        let digests = values(data).map(|(name, bytes)| (name.clone(), text(bytes)));
        *data = Value::Object(digests.collect());
    }
}

/// The entries of a Secret's `data`, decoded. One that is no base64, which no API server has, stands for itself.
pub fn values(data: &Value) -> impl Iterator<Item = (&String, Vec<u8>)> {
    let decode = |value: &Value| {
        let text = value.as_str().unwrap_or_default();
        STANDARD.decode(text).unwrap_or_else(|_| text.into())
    };
    let entries = data.as_object().into_iter().flatten();
    entries.map(move |(name, value)| (name, decode(value)))
}

fn digest_text(digest: &[u8; 32]) -> Value {
    Value::String(STANDARD.encode(digest))
}

/// Owner references, and the labels and annotations that are ours by prefix. Others may add their own.
fn metadata(metadata: Option<&Value>) -> Value {
    let ours = |field: &str| {
        let entries = metadata
            .and_then(|m| m.get(field))
            .and_then(Value::as_object)
            .into_iter()
            .flatten();
        entries
            .filter(|(key, _)| {
                key.starts_with("app.kubernetes.io/") || key.starts_with("atelier.dev/")
            })
            // Says what the rest was made from, and is not itself content.
            .filter(|(key, _)| key.as_str() != labels::OWNER_GENERATION)
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect::<Map<_, _>>()
    };
    let owners = metadata
        .and_then(|m| m.get("ownerReferences"))
        .cloned()
        .unwrap_or(Value::Array(vec![]));
    serde_json::json!({"labels": ours("labels"), "annotations": ours("annotations"), "ownerReferences": owners})
}

/// Almost all of a pod is immutable; of what is not, only the images decide what runs. The rest (tolerations, a
/// node's name, volumes of admission plugins) is added by others by right.
fn pod_spec(object: &mut Map<String, Value>) {
    let images = |list: &str| {
        let containers = object
            .get("spec")
            .and_then(|spec| spec.get(list))
            .and_then(Value::as_array);
        let images = containers
            .into_iter()
            .flatten()
            .map(|c| serde_json::json!([c["name"], c["image"]]));
        Value::Array(images.collect())
    };
    let spec = serde_json::json!({"containers": images("containers"), "initContainers": images("initContainers")});
    object.insert("spec".into(), spec);
}

fn remove(object: &mut Map<String, Value>, field: &str, keys: &[&str]) {
    if let Some(Value::Object(inner)) = object.get_mut(field) {
        inner.retain(|key, _| !keys.contains(&key.as_str()));
    }
}

/// `null` and absent mean the same to the API server.
pub fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(map) => {
            let kept = map.into_iter().filter(|(_, v)| !v.is_null());
            Value::Object(kept.map(|(key, v)| (key, without_nulls(v))).collect())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(without_nulls).collect()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn service() -> Value {
        json!({"metadata": {"name": "a", "labels": {"app.kubernetes.io/name": "x"}}, "spec": {"ports": [{"port": 80}]}})
    }

    #[test]
    fn what_the_server_fills_in_changes_nothing() {
        let mut live = service();
        live["metadata"]["uid"] = json!("u");
        live["metadata"]["resourceVersion"] = json!("7");
        live["metadata"]["creationTimestamp"] = Value::Null;
        live["spec"]["clusterIP"] = json!("10.0.0.1");
        live["status"] = json!({"loadBalancer": {}});
        assert_eq!(
            hash(ChildKind::Service, &service()),
            hash(ChildKind::Service, &live)
        );
    }

    #[test]
    fn labels_of_others_change_nothing_ours_do() {
        let mut live = service();
        live["metadata"]["labels"]["argocd.argoproj.io/instance"] = json!("x");
        assert_eq!(
            hash(ChildKind::Service, &service()),
            hash(ChildKind::Service, &live)
        );
        live["metadata"]["labels"]["app.kubernetes.io/name"] = json!("y");
        assert_ne!(
            hash(ChildKind::Service, &service()),
            hash(ChildKind::Service, &live)
        );
    }

    #[test]
    fn additions_are_seen() {
        for (pointer, value) in [
            ("/spec/ports/0/nodePort", json!(30000)),
            ("/spec/externalIPs", json!(["10.0.0.9"])),
            ("/metadata/ownerReferences", json!([{"uid": "x"}])),
        ] {
            let mut live = service();
            let (parent, key) = pointer.rsplit_once('/').expect("a pointer has a parent");
            live.pointer_mut(parent).expect("parent exists")[key] = value;
            assert_ne!(
                hash(ChildKind::Service, &service()),
                hash(ChildKind::Service, &live),
                "{pointer}"
            );
        }
    }

    #[test]
    fn a_secret_has_the_same_hash_by_its_values_and_by_their_digests() {
        let whole = json!({"metadata": {}, "data": {"a": "YQ=="}, "type": "Opaque"});
        let without = json!({"metadata": {}, "type": "Opaque"});
        let digest = |value: &[u8]| -> [u8; 32] { Sha256::digest(value).into() };
        let by = |value: &[u8]| hash_by_digests(&without, [("a", &digest(value))]);
        assert_eq!(by(b"a"), hash(ChildKind::Secret, &whole));
        assert_ne!(by(b"b"), hash(ChildKind::Secret, &whole));
    }

    #[test]
    fn replicas_count_unless_they_are_the_autoscalers() {
        let deployment = |replicas: i32, annotations: Value| {
            let object =
                json!({"metadata": {"annotations": annotations}, "spec": {"replicas": replicas}});
            hash(ChildKind::Deployment, &object)
        };
        let (fixed, scaled) = (json!({}), json!({labels::AUTOSCALED: "true"}));
        assert_ne!(deployment(1, fixed.clone()), deployment(2, fixed.clone()));
        assert_eq!(deployment(1, scaled.clone()), deployment(2, scaled.clone()));
        assert_ne!(deployment(1, fixed), deployment(1, scaled));
    }

    #[test]
    fn a_key_added_to_a_secret_is_seen() {
        let desired = json!({"metadata": {}, "data": {"a": "YQ=="}, "type": "Opaque"});
        let live = json!({"metadata": {}, "data": {"a": "YQ==", "b": "Yg=="}, "type": "Opaque"});
        assert_ne!(
            hash(ChildKind::Secret, &desired),
            hash(ChildKind::Secret, &live)
        );
    }
}
