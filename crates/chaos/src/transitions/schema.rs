//! The leaves of a custom resource's `spec`, read from its schema.

use std::fmt;

use anyhow::Context as _;
use serde_json::Value;

/// One step down into a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// A field.
    Field(String),
    /// The first item of a list.
    Item,
}

/// Where in a `spec` something is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place(pub Vec<Step>);

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (nth, step) in self.0.iter().enumerate() {
            match step {
                Step::Field(name) if nth > 0 => write!(f, ".{name}")?,
                Step::Field(name) => write!(f, "{name}")?,
                Step::Item => write!(f, "[]")?,
            }
        }
        Ok(())
    }
}

impl Place {
    fn and(&self, step: Step) -> Self {
        Self(self.0.iter().cloned().chain([step]).collect())
    }
}

/// Something in a `spec` that can be set, altered and deleted by itself.
#[derive(Clone, Debug)]
pub struct Leaf {
    /// Where it is.
    pub place: Place,
    /// What the schema says of it.
    pub schema: Value,
}

/// All of a kind: scalars, lists, maps, and objects as wholes. An item of a list is one leaf, whatever its number.
pub fn leaves(kind: &str) -> anyhow::Result<Vec<Leaf>> {
    let all = atelier_api::crds();
    let crd = all.iter().find(|crd| crd.spec.names.kind == kind);
    let version = crd.and_then(|crd| crd.spec.versions.first());
    let schema = version.and_then(|version| version.schema.as_ref());
    let schema = serde_json::to_value(schema.context("no such kind")?)?;
    let spec = schema
        .pointer("/openAPIV3Schema/properties/spec")
        .context("no spec in the schema")?;
    let mut leaves = vec![];
    below(&Place::default(), spec, &mut leaves);
    Ok(leaves)
}

fn below(place: &Place, schema: &Value, leaves: &mut Vec<Leaf>) {
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        add(place.and(Step::Field(name.clone())), field, leaves);
    }
    let items = &schema["items"];
    if items.is_object() {
        add(place.and(Step::Item), items, leaves);
    }
}

fn add(place: Place, schema: &Value, leaves: &mut Vec<Leaf>) {
    below(&place, schema, leaves);
    leaves.push(Leaf {
        place,
        schema: schema.clone(),
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_leaf_is_found() {
        let names = |kind| -> Vec<_> {
            let all = leaves(kind).unwrap();
            all.iter().map(|leaf| leaf.place.to_string()).collect()
        };
        let workspace = names("Workspace");
        for one in [
            "location",
            "storage.type",
            "storage.s3.secretRef.name",
            "encryption.keyRef",
        ] {
            assert!(
                workspace.iter().any(|name| name == one),
                "{one}: {workspace:?}"
            );
        }
        assert_eq!(
            names("RoleAssignment"),
            [
                "principal.kind",
                "principal.name",
                "principal.namespace",
                "principal",
                "role"
            ]
        );
        let target = names("ComputeTarget");
        for one in [
            "managed.nodes.min",
            "managed.tolerations",
            "managed.tolerations[]",
            "managed.tolerations[].key",
            "managed.nodeSelector",
        ] {
            assert!(target.iter().any(|name| name == one), "{one}: {target:?}");
        }
    }
}
