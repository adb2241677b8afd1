//! How a namespace stands: our custom resources and what was made for them, without what differs from one play to the
//! next.

mod difference;
mod mask;

use std::collections::BTreeMap;

use anyhow::Context as _;
use atelier_api::{ComputeTarget, RoleAssignment, Run, WebService, Workspace, labels};
use atelier_testkit::cluster::SYSTEM;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod, Secret, Service, ServiceAccount};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use kube::api::{DynamicObject, ListParams, TypeMeta};
use kube::core::ApiResource;
use kube::{Api, ResourceExt as _};
use serde_json::Value;

use crate::disturber::is_kept;
use crate::scenarios::expose::resource;
use crate::trail;
use crate::user::User;
pub use difference::difference;
use mask::Masks;

/// What is there, by `Kind/name`.
#[derive(Clone, Debug, PartialEq)]
pub struct Dump {
    /// The objects, masked.
    pub objects: BTreeMap<String, Value>,
    /// The version of each object. Two dumps with the same versions are of the same moment, as far as anybody can tell.
    pub versions: BTreeMap<String, String>,
    /// The keys that stand in Secrets, as they are, by `Secret entry`.
    pub keys: BTreeMap<String, String>,
}

fn kinds() -> [ApiResource; 17] {
    [
        ApiResource::erase::<Workspace>(&()),
        ApiResource::erase::<RoleAssignment>(&()),
        ApiResource::erase::<ComputeTarget>(&()),
        ApiResource::erase::<Run>(&()),
        ApiResource::erase::<WebService>(&()),
        ApiResource::erase::<Secret>(&()),
        ApiResource::erase::<ServiceAccount>(&()),
        ApiResource::erase::<Role>(&()),
        ApiResource::erase::<RoleBinding>(&()),
        ApiResource::erase::<Deployment>(&()),
        ApiResource::erase::<Service>(&()),
        ApiResource::erase::<NetworkPolicy>(&()),
        ApiResource::erase::<Pod>(&()),
        ApiResource::erase::<PersistentVolumeClaim>(&()),
        resource("ConfigMap"),
        resource("HTTPRoute"),
        resource("BackendTLSPolicy"),
    ]
}

/// Looks at all of a namespace. Kinds are read one after the other, so a dump of a namespace in motion may never have
/// been true; of one at rest it is.
pub async fn dump(user: &User) -> anyhow::Result<Dump> {
    let kinds = kinds();
    let lists = kinds.iter().map(|kind| list(user, &user.namespace, kind));
    let lists = futures::future::try_join_all(lists).await?;
    let found = kinds.iter().zip(lists).flat_map(|(kind, list)| {
        let ours = list.into_iter().filter(|object| is_ours(kind, object));
        ours.map(|object| (format!("{}/{}", kind.kind, object.name_any()), object))
    });
    let mut all: Vec<_> = found.collect();
    if user.has_own_storage {
        let secrets = list(user, SYSTEM, &ApiResource::erase::<Secret>(&())).await?;
        let kept = secrets.into_iter().filter(|one| is_kept(&one.name_any()));
        all.extend(kept.map(|one| (format!("Secret/{}", one.name_any()), one)));
    }
    let masks = Masks::new(&user.namespace, &all);
    let versions = all
        .iter()
        .map(|(key, object)| (key.clone(), object.resource_version().unwrap_or_default()));
    let secrets = all.iter().filter(|(key, _)| key.starts_with("Secret/"));
    Ok(Dump {
        versions: versions.collect(),
        keys: secrets
            .flat_map(|(_, object)| trail::keys(&object.name_any(), &object.data))
            .collect(),
        objects: all
            .iter()
            .map(|(key, object)| Ok((key.clone(), masks.apply(object)?)))
            .collect::<anyhow::Result<_>>()?,
    })
}

async fn list(
    user: &User,
    namespace: &str,
    kind: &ApiResource,
) -> anyhow::Result<Vec<DynamicObject>> {
    let api: Api<DynamicObject> = Api::namespaced_with(user.client.clone(), namespace, kind);
    let list = api.list(&ListParams::default()).await;
    let mut items = list.with_context(|| format!("list {}", kind.plural))?.items;
    for object in &mut items {
        // An item of a list does not say what it is.
        object.types = Some(TypeMeta {
            api_version: kind.api_version.clone(),
            kind: kind.kind.clone(),
        });
    }
    Ok(items)
}

/// Ours: a custom resource, a child by label, or a child by owner. The pods of Deployments are the Deployments' own.
fn is_ours(kind: &ApiResource, object: &DynamicObject) -> bool {
    let owners = object.owner_references();
    if owners.iter().any(|owner| owner.kind == "ReplicaSet") {
        return false;
    }
    kind.group == "atelier.dev"
        || object
            .labels()
            .get(labels::MANAGED_BY)
            .is_some_and(|by| by == labels::MANAGER)
        || owners
            .iter()
            .any(|owner| owner.api_version.starts_with("atelier.dev/"))
}
