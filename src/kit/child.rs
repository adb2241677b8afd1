//! Children: the Kubernetes objects that are made for a custom resource.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{
    ConfigMap, PersistentVolumeClaim, Pod, Secret, Service, ServiceAccount,
};
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use kube::api::{ApiResource, DynamicObject, GroupVersionKind};
use kube::{Api, Client, ResourceExt as _};
use serde::Serialize;

use super::content::{self, ContentHash};

/// The kinds of children. A closed list, so that a kind cannot be made and then not be watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(missing_docs)]
pub enum ChildKind {
    ServiceAccount,
    Role,
    RoleBinding,
    Secret,
    Service,
    Deployment,
    Pod,
    PersistentVolumeClaim,
    ConfigMap,
    HttpRoute,
    BackendTlsPolicy,
}

/// Group and version of the Gateway API.
pub const GATEWAY_API: (&str, &str) = ("gateway.networking.k8s.io", "v1");

impl ChildKind {
    /// The kinds of the Gateway API that are made, with what goes with them. They are watched, in each workspace's
    /// namespace, where the cluster has them.
    pub const OF_GATEWAY_API: [Self; 3] =
        [Self::ConfigMap, Self::HttpRoute, Self::BackendTlsPolicy];

    /// The kinds that are watched in each workspace's namespace. RoleBindings are watched for the whole cluster:
    /// they come before the rights to anything else in a namespace.
    pub const PER_NAMESPACE: [Self; 7] = [
        Self::ServiceAccount,
        Self::Role,
        Self::Secret,
        Self::Service,
        Self::Deployment,
        Self::Pod,
        Self::PersistentVolumeClaim,
    ];

    /// Group, version, kind and plural.
    pub fn api_resource(self) -> ApiResource {
        match self {
            Self::ServiceAccount => ApiResource::erase::<ServiceAccount>(&()),
            Self::Role => ApiResource::erase::<Role>(&()),
            Self::RoleBinding => ApiResource::erase::<RoleBinding>(&()),
            Self::Secret => ApiResource::erase::<Secret>(&()),
            Self::Service => ApiResource::erase::<Service>(&()),
            Self::Deployment => ApiResource::erase::<Deployment>(&()),
            Self::Pod => ApiResource::erase::<Pod>(&()),
            Self::PersistentVolumeClaim => ApiResource::erase::<PersistentVolumeClaim>(&()),
            Self::ConfigMap => ApiResource::erase::<ConfigMap>(&()),
            Self::HttpRoute => of_gateway_api(self.as_str(), "httproutes"),
            Self::BackendTlsPolicy => of_gateway_api(self.as_str(), "backendtlspolicies"),
        }
    }

    /// The kind's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ServiceAccount => "ServiceAccount",
            Self::Role => "Role",
            Self::RoleBinding => "RoleBinding",
            Self::Secret => "Secret",
            Self::Service => "Service",
            Self::Deployment => "Deployment",
            Self::Pod => "Pod",
            Self::PersistentVolumeClaim => "PersistentVolumeClaim",
            Self::ConfigMap => "ConfigMap",
            Self::HttpRoute => "HTTPRoute",
            Self::BackendTlsPolicy => "BackendTLSPolicy",
        }
    }

    /// The API of this kind in one namespace.
    pub fn api(self, client: &Client, namespace: &str) -> Api<DynamicObject> {
        Api::namespaced_with(client.clone(), namespace, &self.api_resource())
    }
}

fn of_gateway_api(kind: &str, plural: &str) -> ApiResource {
    let (group, version) = GATEWAY_API;
    let kind = GroupVersionKind::gvk(group, version, kind);
    ApiResource::from_gvk_with_plural(&kind, plural)
}

/// Names one child.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ChildKey {
    /// Its kind.
    pub kind: ChildKind,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl ChildKey {
    /// Names a child.
    pub fn new(kind: ChildKind, namespace: &str, name: &str) -> Self {
        Self {
            kind,
            namespace: namespace.into(),
            name: name.into(),
        }
    }
}

impl std::fmt::Display for ChildKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.kind.as_str(), self.name)
    }
}

/// A child as it should be: the whole object, API-server defaults included, so that whatever else stands in the
/// live object is somebody's addition.
#[derive(Clone)]
pub struct Desired {
    /// Which child.
    pub key: ChildKey,
    /// The object to write.
    pub object: DynamicObject,
    /// Hash of its normal form.
    pub hash: ContentHash,
}

impl Desired {
    /// Takes a typed object. Fails only if the object cannot be written as JSON or lacks a name or namespace.
    pub fn new<K: Serialize>(kind: ChildKind, object: &K) -> Result<Self, super::Error> {
        let value = serde_json::to_value(object)?;
        let hash = content::hash(kind, &value);
        let object: DynamicObject = serde_json::from_value(value)?;
        let (Some(name), Some(namespace)) = (object.metadata.name.clone(), object.namespace())
        else {
            return Err(super::Error::Unnamed(kind));
        };
        Ok(Self {
            key: ChildKey {
                kind,
                namespace,
                name,
            },
            object,
            hash,
        })
    }
}

// A Desired may hold a Secret: its content never reaches a log through Debug.
impl std::fmt::Debug for Desired {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Desired")
            .field("key", &self.key)
            .field("hash", &self.hash)
            .finish_non_exhaustive()
    }
}
