//! Helpers for schemas: every string, list and map is bounded (else the API server refuses the CEL rules).

use schemars::{Schema, SchemaGenerator, json_schema};

/// Conditions as Kubernetes means them: a map list by `type`, so that several writers can share the list.
pub fn conditions(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "maxItems": 16,
        "description": "What is true of the object now.",
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["type"],
        "items": {
            "type": "object",
            "required": ["type", "status", "lastTransitionTime", "reason", "message"],
            "properties": {
                "type": {"type": "string", "maxLength": 64, "description": "Type of condition."},
                "status": {"type": "string", "enum": ["True", "False", "Unknown"], "description": "Whether it holds."},
                "observedGeneration": {"type": "integer", "format": "int64", "description": "The generation this was judged on."},
                "lastTransitionTime": {"type": "string", "format": "date-time", "description": "When the status last changed."},
                "reason": {"type": "string", "maxLength": 64, "description": "A stable CamelCase reason."},
                "message": {"type": "string", "maxLength": 1024, "description": "What is so, and what to do about it."}
            }
        }
    })
}

/// A quantity of cpu or memory, for example `500m`, `2` or `4Gi`.
pub fn quantity(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "anyOf": [{"type": "integer"}, {"type": "string"}],
        "x-kubernetes-int-or-string": true,
        "maxLength": 32,
        "pattern": r"^[0-9]+(\.[0-9]+)?(m|k|M|G|T|Ki|Mi|Gi|Ti)?$"
    })
}
