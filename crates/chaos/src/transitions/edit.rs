//! One change of a `spec`: pure.

use serde_json::{Map, Value};

use super::schema::{Place, Step};

/// What is done at a place.
#[derive(Clone, Debug, PartialEq)]
pub enum Edit {
    /// It gets this value.
    Put(Value),
    /// It is left out.
    Delete,
    /// A list gets one more item, at its end.
    Push(Value),
    /// A list loses its last item.
    Pop,
    /// An entry of a map gets this value.
    Entry(String, Value),
    /// A map loses its first entry.
    Drop,
}

/// The `spec` after an edit. What is missing on the way is taken from a good `spec`, so that a change can be made
/// whatever was deleted before.
pub fn edited(spec: &Value, good: &Value, place: &Place, edit: &Edit) -> Value {
    let mut spec = spec.clone();
    if let Some((last, way)) = place.0.split_last() {
        let (mut at, mut model) = (&mut spec, good);
        for step in way {
            (at, model) = down(at, model, step);
        }
        apply(at, model, last, edit);
    }
    spec
}

fn down<'a, 'b>(at: &'a mut Value, model: &'b Value, step: &Step) -> (&'a mut Value, &'b Value) {
    match step {
        Step::Field(name) => {
            let model = &model[name.as_str()];
            let field = fields(at).entry(name.clone()).or_insert(Value::Null);
            if field.is_null() {
                *field = model.clone();
            }
            (field, model)
        }
        Step::Item => {
            let model = &model[0];
            let items = items(at);
            if items.is_empty() {
                items.push(model.clone());
            }
            (&mut items[0], model)
        }
    }
}

fn apply(at: &mut Value, model: &Value, last: &Step, edit: &Edit) {
    match (edit, last) {
        (Edit::Put(value), _) => *down(at, model, last).0 = value.clone(),
        (Edit::Delete, Step::Field(name)) => drop(fields(at).remove(name)),
        (Edit::Delete, Step::Item) => {
            let items = items(at);
            if !items.is_empty() {
                items.remove(0);
            }
        }
        (Edit::Push(value), _) => items(down(at, model, last).0).push(value.clone()),
        (Edit::Pop, _) => drop(items(down(at, model, last).0).pop()),
        (Edit::Entry(key, value), _) => {
            fields(down(at, model, last).0).insert(key.clone(), value.clone());
        }
        (Edit::Drop, _) => {
            let entries = fields(down(at, model, last).0);
            if let Some(first) = entries.keys().next().cloned() {
                entries.remove(&first);
            }
        }
    }
}

fn fields(value: &mut Value) -> &mut Map<String, Value> {
    if !value.is_object() {
        *value = Value::Object(Map::new());
    }
    match value {
        Value::Object(fields) => fields,
        _ => unreachable!("it was made an object"),
    }
}

fn items(value: &mut Value) -> &mut Vec<Value> {
    if !value.is_array() {
        *value = Value::Array(vec![]);
    }
    match value {
        Value::Array(items) => items,
        _ => unreachable!("it was made a list"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn place(steps: &[&str]) -> Place {
        let step = |name: &&str| match *name {
            "[]" => Step::Item,
            name => Step::Field(name.into()),
        };
        Place(steps.iter().map(step).collect())
    }

    #[test]
    fn what_is_missing_on_the_way_is_made() {
        let good = json!({"env": [{"name": "A", "value": "b"}], "limits": {"size": 1, "time": 2}});
        let put =
            |steps: &[&str], value| edited(&json!({}), &good, &place(steps), &Edit::Put(value));
        assert_eq!(
            put(&["env", "[]", "value"], json!("c")),
            json!({"env": [{"name": "A", "value": "c"}]})
        );
        assert_eq!(
            put(&["limits", "size"], json!(7)),
            json!({"limits": {"size": 7, "time": 2}})
        );
    }

    #[test]
    fn lists_and_maps_gain_and_lose() {
        let spec = json!({"args": ["a"], "labels": {"k": "v"}});
        let edit = |steps: &[&str], edit| edited(&spec, &spec, &place(steps), &edit);
        assert_eq!(
            edit(&["args"], Edit::Push(json!("b")))["args"],
            json!(["a", "b"])
        );
        assert_eq!(edit(&["args"], Edit::Pop)["args"], json!([]));
        assert_eq!(edit(&["args"], Edit::Delete), json!({"labels": {"k": "v"}}));
        assert_eq!(edit(&["labels"], Edit::Drop)["labels"], json!({}));
        let more = edit(&["labels"], Edit::Entry("z".into(), json!("w")));
        assert_eq!(more["labels"], json!({"k": "v", "z": "w"}));
    }
}
