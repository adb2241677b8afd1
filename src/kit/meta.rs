//! Metadata of children: labels and the owner.

use std::collections::BTreeMap;

use atelier_api::labels;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::Resource;

/// What all children of one custom resource have in common.
#[derive(Clone, Debug)]
pub struct Parent {
    /// Namespace of the resource and its children.
    pub namespace: String,
    /// Name of the resource.
    pub name: String,
    /// Name of the workspace.
    pub workspace: String,
    component: String,
    generation: i64,
    owner: OwnerReference,
}

impl Parent {
    /// Reads the parent off a custom resource. `None` if it was never stored.
    pub fn of<K: Resource<DynamicType = ()>>(object: &K, workspace: &str) -> Option<Self> {
        let meta = object.meta();
        let owner = OwnerReference {
            api_version: K::api_version(&()).into_owned(),
            kind: K::kind(&()).into_owned(),
            name: meta.name.clone()?,
            uid: meta.uid.clone()?,
            controller: Some(true),
            // A child never holds up the deletion of its owner.
            block_owner_deletion: Some(false),
        };
        Some(Self {
            namespace: meta.namespace.clone()?,
            name: meta.name.clone()?,
            workspace: workspace.into(),
            component: owner.kind.to_lowercase(),
            generation: meta.generation.unwrap_or_default(),
            owner,
        })
    }

    /// The same for a part of it that is told apart by its component: a workspace's storage.
    #[must_use]
    pub fn part(&self, component: &str) -> Self {
        Self {
            component: component.into(),
            ..self.clone()
        }
    }

    /// The reference that makes a child the parent's.
    pub fn owner(&self) -> &OwnerReference {
        &self.owner
    }

    /// The owner's uid.
    pub fn uid(&self) -> &str {
        &self.owner.uid
    }

    /// The labels that select the children of this parent.
    pub fn selector(&self) -> BTreeMap<String, String> {
        [
            (labels::INSTANCE, self.name.as_str()),
            (labels::COMPONENT, self.component.as_str()),
            (labels::NAME, "atelier"),
        ]
        .map(|(k, v)| (k.to_owned(), v.to_owned()))
        .into()
    }

    /// All labels of a child.
    pub fn labels(&self) -> BTreeMap<String, String> {
        let mut all = self.selector();
        all.extend(
            [
                (labels::MANAGED_BY, labels::MANAGER),
                (labels::PART_OF, "atelier"),
                (labels::WORKSPACE, self.workspace.as_str()),
            ]
            .map(|(k, v)| (k.to_owned(), v.to_owned())),
        );
        all
    }

    /// Metadata of a child that this parent owns.
    pub fn child(&self, name: impl Into<String>) -> ObjectMeta {
        ObjectMeta {
            owner_references: Some(vec![self.owner.clone()]),
            annotations: Some(
                [(
                    labels::OWNER_GENERATION.to_owned(),
                    self.generation.to_string(),
                )]
                .into(),
            ),
            ..self.unowned(name)
        }
    }

    /// Metadata of a child that outlives its parent.
    pub fn unowned(&self, name: impl Into<String>) -> ObjectMeta {
        ObjectMeta {
            name: Some(name.into()),
            namespace: Some(self.namespace.clone()),
            labels: Some(self.labels()),
            ..ObjectMeta::default()
        }
    }
}
