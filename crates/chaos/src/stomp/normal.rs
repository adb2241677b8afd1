//! What of a child somebody has decided, without what the cluster allots and what is new by design.
//!
//! Written from what users may rely on, not from the operator's own idea of it.

use atelier_api::labels::OWNER_GENERATION;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use kube::ResourceExt as _;
use kube::api::DynamicObject;
use serde_json::{Map, Value, json};

/// The prefixes of labels and annotations that are Atelier's.
const PREFIXES: [&str; 2] = ["app.kubernetes.io/", "atelier.dev/"];

/// The normal form.
pub fn normal(kind: &str, object: &DynamicObject) -> Value {
    let mut body = object.data.as_object().cloned().unwrap_or_default();
    body.remove("status");
    let spec = |body: &mut Map<String, Value>, allotted: &[&str]| {
        if let Some(Value::Object(spec)) = body.get_mut("spec") {
            spec.retain(|name, _| !allotted.contains(&name.as_str()));
        }
    };
    match kind {
        "Service" => spec(
            &mut body,
            &["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"],
        ),
        "Pod" => spec(&mut body, &["nodeName"]),
        "ServiceAccount" => body.retain(|name, _| name != "secrets" && name != "imagePullSecrets"),
        "Secret" => {
            if let Some(Value::Object(data)) = body.get_mut("data") {
                data.iter_mut().for_each(|(name, value)| {
                    *value = entry(name, value.as_str().unwrap_or_default())
                });
            }
        }
        _ => {}
    }
    let mut body = Value::Object(body);
    mask(&mut body);
    // An owner stays the same object, so its uid counts.
    body["metadata"] = metadata(object);
    body
}

fn metadata(object: &DynamicObject) -> Value {
    let ours = |all: &std::collections::BTreeMap<String, String>| {
        // Of which generation of its owner a child was made is told by the child that is made anew, and rightly so.
        let ours = all.iter().filter(|(name, _)| {
            PREFIXES.iter().any(|prefix| name.starts_with(prefix)) && *name != OWNER_GENERATION
        });
        let mut map: Value = ours
            .map(|(name, value)| (name.clone(), json!(value)))
            .collect::<Map<_, _>>()
            .into();
        mask(&mut map);
        map
    };
    json!({"labels": ours(object.labels()), "annotations": ours(object.annotations()),
        "ownerReferences": object.owner_references(), "deleting": object.metadata.deletion_timestamp.is_some()})
}

/// An entry of a Secret. A key that was lost is made anew, so what counts is that there is one, and not how many there
/// were before it.
fn entry(name: &str, value: &str) -> Value {
    let bytes = STANDARD.decode(value).unwrap_or_default();
    if bytes.starts_with(b"atl_") {
        return json!(format!("<key of {} bytes>", bytes.len()));
    }
    let Ok(mut document) = serde_json::from_slice::<Value>(&bytes) else {
        return json!(String::from_utf8_lossy(&bytes));
    };
    let (keys, counter) = match name {
        "policy.json" => ("/keys", "generation"),
        _ => ("", "serial"),
    };
    let slots = document.pointer_mut(keys).and_then(Value::as_object_mut);
    for slot in slots.into_iter().flat_map(Map::values_mut) {
        if let Some(count) = slot.get_mut(counter).filter(|count| count.is_number()) {
            *count = json!("<count>");
        }
    }
    document
}

fn mask(value: &mut Value) {
    match value {
        Value::Object(fields) => fields.iter_mut().for_each(|(_, value)| mask(value)),
        Value::Array(items) => items.iter_mut().for_each(mask),
        Value::String(text) if text.parse::<Timestamp>().is_ok() => *text = "<time>".into(),
        Value::String(text) if is_digits(text, 64) => *text = "<digest>".into(),
        Value::String(text) if is_uid(text) => *text = "<uid>".into(),
        _ => {}
    }
}

fn is_digits(text: &str, length: usize) -> bool {
    text.len() == length && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn is_uid(text: &str) -> bool {
    let parts: Vec<_> = text.split('-').collect();
    let lengths = [8, 4, 4, 4, 12];
    parts.len() == lengths.len()
        && parts
            .iter()
            .zip(lengths)
            .all(|(part, n)| is_digits(part, n))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(entry: &str, label: &str) -> DynamicObject {
        serde_json::from_value(json!({"metadata": {"name": "a", "resourceVersion": "7", "labels": {"atelier.dev/workspace": label, "other": "x"}},
            "data": {"primary": STANDARD.encode(entry)}}))
        .unwrap()
    }

    #[test]
    fn another_key_is_as_good_and_anything_else_is_not() {
        let form = |entry, label| normal("Secret", &secret(entry, label));
        assert_eq!(form("atl_1", "w"), form("atl_2", "w"));
        assert_ne!(form("atl_1", "w"), form("atl_", "w"));
        assert_ne!(form("atl_1", "w"), form("stomped", "w"));
        assert_ne!(form("atl_1", "w"), form("atl_1", "v"));
    }

    #[test]
    fn a_child_that_a_later_generation_made_is_the_same() {
        let pod = |generation: &str, slot: &str| {
            let annotations = json!({OWNER_GENERATION: generation, "atelier.dev/slot": slot});
            let pod = json!({"metadata": {"name": "a", "annotations": annotations}});
            normal("Pod", &serde_json::from_value(pod).unwrap())
        };
        assert_eq!(pod("1", "0"), pod("3", "0"));
        assert_ne!(pod("1", "0"), pod("1", "1"));
    }

    #[test]
    fn how_many_keys_there_were_before_does_not_count_and_what_was_asked_for_does() {
        let form = |name, document: Value| entry(name, &STANDARD.encode(document.to_string()));
        let state = |serial, generation| {
            form(
                "state.json",
                json!({"primary": {"serial": serial, "generation": generation}}),
            )
        };
        assert_eq!(state(1, 1), state(2, 1));
        assert_ne!(state(1, 1), state(1, 2));
        let policy = |generation| {
            form(
                "policy.json",
                json!({"keys": {"primary": {"generation": generation}}}),
            )
        };
        assert_eq!(policy(1), policy(2));
        assert_ne!(
            policy(1),
            form(
                "policy.json",
                json!({"keys": {"primary": {"generation": "x"}}})
            )
        );
    }
}
