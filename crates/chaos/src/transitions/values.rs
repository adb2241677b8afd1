//! The changes of one leaf, by what its schema says: pure.

use serde_json::{Value, json};

use super::edit::Edit;
use super::schema::Leaf;
use super::subject;

/// A change of one leaf.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// What it is about: `min - 1`, `deleted`, …
    pub what: String,
    /// What is done.
    pub edit: Edit,
}

fn put(what: &str, value: Value) -> Change {
    Change {
        what: what.to_owned(),
        edit: Edit::Put(value),
    }
}

/// All changes of a leaf: valid values and invalid ones, nothing and null, and at the end the good value again.
pub fn changes(kind: &str, leaf: &Leaf, good: Option<&Value>) -> Vec<Change> {
    let place = leaf.place.to_string();
    let schema = &leaf.schema;
    let mut all: Vec<_> = subject::values(kind, &place)
        .into_iter()
        .map(|value| put("another value", value))
        .collect();
    if let Some(values) = schema["enum"].as_array() {
        let named = values.iter().filter(|value| !value.is_null());
        all.extend(named.map(|value| put("another value", value.clone())));
        all.push(put("no such value", json!("NoSuchValue")));
    } else {
        match schema["type"].as_str() {
            Some("integer") => integers(schema, &mut all),
            Some("string") => strings(schema, good, &mut all),
            Some("boolean") => all.extend([true, false].map(|v| put("another value", json!(v)))),
            Some("array") => lists(schema, good, &mut all),
            Some("object") => objects(&place, schema, &mut all),
            _ if schema["x-kubernetes-int-or-string"] == true => {
                all.extend(["much", "1e3", "-1", " 1", ""].map(|v| put("no quantity", json!(v))));
                all.push(put("below zero", json!(-1)));
            }
            _ => {}
        }
    }
    let wrong = match schema["type"].as_str() {
        Some("integer" | "boolean" | "object" | "array") => json!("text"),
        _ => json!(true),
    };
    all.push(put("another type", wrong));
    all.push(put("null", Value::Null));
    all.push(Change {
        what: "deleted".into(),
        edit: Edit::Delete,
    });
    all.extend(good.map(|value| put("the good value", value.clone())));
    all.dedup();
    all
}

fn integers(schema: &Value, all: &mut Vec<Change>) {
    let bound = |name: &str| schema[name].as_f64().map(|number| number as i64);
    let widest = match schema["format"].as_str() {
        Some("int32") => i64::from(i32::MAX),
        _ => i64::MAX,
    };
    if let Some(min) = bound("minimum") {
        all.push(put("the least", json!(min)));
        all.push(put("less than the least", json!(min - 1)));
    }
    match bound("maximum") {
        Some(max) => {
            all.push(put("the most", json!(max)));
            all.push(put("more than the most", json!(max + 1)));
        }
        None => all.push(put("the most", json!(widest))),
    }
    all.push(put("more than its type holds", json!(widest as u64 + 1)));
    all.push(put("a fraction", json!(1.5)));
}

fn strings(schema: &Value, good: Option<&Value>, all: &mut Vec<Change>) {
    let good = good.and_then(Value::as_str).unwrap_or("a");
    // A pattern may insist on how it begins: what is good goes on.
    let long = |length: usize| {
        let rest = length.saturating_sub(good.chars().count());
        json!(format!("{good}{}", "a".repeat(rest)))
    };
    if let Some(most) = schema["maxLength"].as_u64() {
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        all.push(put("the longest", long(most)));
        all.push(put("longer than the longest", long(most + 1)));
    }
    all.push(put("another value", json!(format!("{good}2"))));
    all.push(put("empty", json!("")));
    all.push(put("not ASCII", json!("Ünïcødé")));
    all.push(put("with spaces", json!(" a b ")));
}

fn lists(schema: &Value, good: Option<&Value>, all: &mut Vec<Change>) {
    let item = good.and_then(|list| list.get(0)).cloned();
    let item = item.unwrap_or_else(|| json!("a"));
    let push = |what: &str| Change {
        what: what.into(),
        edit: Edit::Push(item.clone()),
    };
    all.push(push("an item added"));
    all.push(push("one more item added"));
    all.push(Change {
        what: "an item removed".into(),
        edit: Edit::Pop,
    });
    all.push(put("empty", json!([])));
    if let Some(most) = schema["maxItems"].as_u64() {
        let many = |count: u64| json!((0..count).map(|_| item.clone()).collect::<Vec<_>>());
        all.push(put("the most items", many(most)));
        all.push(put("more than the most items", many(most + 1)));
    }
}

fn objects(place: &str, schema: &Value, all: &mut Vec<Change>) {
    all.push(put("empty", json!({})));
    if !schema["additionalProperties"].is_object() {
        return;
    }
    for (key, value) in subject::entries(place) {
        all.push(Change {
            what: "an entry set".into(),
            edit: Edit::Entry(key.into(), value),
        });
    }
    all.push(Change {
        what: "an entry removed".into(),
        edit: Edit::Drop,
    });
    if let Some(most) = schema["maxProperties"].as_u64() {
        let many = (0..=most).map(|nth| (format!("k{nth}"), json!("v")));
        all.push(put("more than the most entries", many.collect()));
    }
}
