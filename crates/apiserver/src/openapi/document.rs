//! What the OpenAPI document says.

use serde_json::{Map, Value, json};

use crate::action::{Action, Actions, Model};

pub(super) fn info() -> Value {
    json!({"title": "Atelier actions", "version": Actions::VERSION})
}

/// The document of version 3.
pub(super) fn document(actions: &Actions) -> Value {
    let (mut paths, mut schemas) = (Map::new(), Map::new());
    for action in actions.iter() {
        for model in [&action.request, &action.response].into_iter().flatten() {
            schemas
                .entry(component(model))
                .or_insert_with(|| schema(model));
        }
        let info = &action.info;
        let mut operations: Map<String, Value> = info
            .verbs
            .iter()
            .map(|verb| {
                let method = verb.method().as_str().to_ascii_lowercase();
                let operation = operation(action, &method);
                (method, operation)
            })
            .collect();
        let parameter = |name| json!({"name": name, "in": "path", "required": true, "schema": {"type": "string"}});
        operations.insert(
            "parameters".into(),
            json!([parameter("namespace"), parameter("name")]),
        );
        let path = format!(
            "/apis/{}/{}/namespaces/{{namespace}}/{}/{{name}}/{}",
            Actions::GROUP,
            Actions::VERSION,
            info.resource,
            info.subresource
        );
        paths.insert(path, operations.into());
    }
    json!({"openapi": "3.0.0", "info": info(), "paths": paths, "components": {"schemas": schemas}})
}

fn operation(action: &Action, method: &str) -> Value {
    let info = &action.info;
    let content = |model: &Option<Model>| match model {
        Some(model) => {
            let reference = format!("#/components/schemas/{}", component(model));
            json!({"application/json": {"schema": {"$ref": reference}}})
        }
        None => json!({"*/*": {"schema": {"type": "string", "format": "binary"}}}),
    };
    let done = if method == "post" && action.response.is_some() {
        "201"
    } else {
        "200"
    };
    let mut operation = json!({
        "operationId": format!("{method}_{}_{}", info.resource, info.subresource),
        "description": info.summary,
        "tags": [format!("{}_{}", Actions::GROUP.replace('.', "_"), Actions::VERSION)],
        "responses": {
            done: {"description": "Done", "content": content(&action.response)},
            "401": {"description": "Unauthorized"},
        },
        "x-kubernetes-action": if method == "get" { "get" } else { "connect" },
        "x-kubernetes-group-version-kind": gvk(action.kind()),
    });
    if action.request.is_some() && method != "get" {
        operation["requestBody"] = json!({"content": content(&action.request)});
    }
    operation
}

fn gvk(kind: &str) -> Value {
    json!({"group": Actions::GROUP, "version": Actions::VERSION, "kind": kind})
}

fn component(model: &Model) -> String {
    format!("dev.atelier.actions.{}.{}", Actions::VERSION, model.kind)
}

/// The schema of a body. Where nobody gave one: an object that names its kind.
fn schema(model: &Model) -> Value {
    let mut schema = model
        .schema
        .clone()
        .unwrap_or_else(|| json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true}));
    schema["x-kubernetes-group-version-kind"] = json!([gvk(model.kind)]);
    let properties = &mut schema["properties"];
    for field in ["apiVersion", "kind"] {
        if properties.get(field).is_none() {
            properties[field] = json!({"type": "string"});
        }
    }
    schema
}
