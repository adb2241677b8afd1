//! What differs between two dumps, path by path.

use std::collections::BTreeSet;

use serde_json::Value;

use super::Dump;

/// One line for each place that differs: path, left, right. Empty if there is none.
pub fn difference(left: &Dump, right: &Dump) -> Vec<String> {
    let mut lines = vec![];
    let keys: BTreeSet<_> = left.objects.keys().chain(right.objects.keys()).collect();
    for key in keys {
        match (left.objects.get(key), right.objects.get(key)) {
            (Some(_), None) => lines.push(format!("{key}: there → missing")),
            (None, Some(_)) => lines.push(format!("{key}: missing → there")),
            (left, right) => compare(key, left, right, &mut lines),
        }
    }
    lines
}

fn compare(path: &str, left: Option<&Value>, right: Option<&Value>, lines: &mut Vec<String>) {
    match (left, right) {
        (left, right) if left == right => {}
        (Some(Value::Object(a)), Some(Value::Object(b))) => {
            let names: BTreeSet<_> = a.keys().chain(b.keys()).collect();
            for name in names {
                compare(&format!("{path}.{name}"), a.get(name), b.get(name), lines);
            }
        }
        (Some(Value::Array(a)), Some(Value::Array(b))) => {
            for index in 0..a.len().max(b.len()) {
                compare(
                    &format!("{path}[{index}]"),
                    a.get(index),
                    b.get(index),
                    lines,
                );
            }
        }
        (left, right) => lines.push(format!("{path}: {} → {}", short(left), short(right))),
    }
}

fn short(value: Option<&Value>) -> String {
    let text = value.map_or_else(|| "nothing".into(), Value::to_string);
    match text.char_indices().nth(160) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}
