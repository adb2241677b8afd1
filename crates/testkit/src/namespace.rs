//! A namespace for one test.

use std::fmt::Debug;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Namespace, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::core::NamespaceResourceScope;
use kube::{Api, Resource, ResourceExt as _};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::cluster::Cluster;
use crate::wait::{check, eventually};

/// How long things that involve pods may take.
pub const SLOW: Duration = Duration::from_secs(60);
/// How long things that involve only the API server may take.
pub const QUICK: Duration = Duration::from_secs(10);

/// A namespace for one test.
pub struct TestNamespace {
    /// The cluster.
    pub cluster: Cluster,
    /// Its name.
    pub name: String,
}

impl TestNamespace {
    /// A namespace that is open to Atelier.
    pub async fn open(prefix: &str) -> Self {
        Self::with_labels(prefix, json!({"atelier.dev/resource-group": "tests"})).await
    }

    /// A namespace with these labels, under Pod Security `restricted`.
    pub async fn with_labels(prefix: &str, mut labels: Value) -> Self {
        let cluster = Cluster::shared().await;
        let nanos = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap()
            .as_nanos();
        let name = format!("{prefix}-{:x}", nanos & 0xff_ffff_ffff);
        labels["pod-security.kubernetes.io/enforce"] = json!("restricted");
        let object = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}});
        let api: Api<Namespace> = Api::all(cluster.client.clone());
        api.create(
            &PostParams::default(),
            &serde_json::from_value(object).unwrap(),
        )
        .await
        .unwrap();
        Self { cluster, name }
    }

    /// A namespace with a ready workspace `team`.
    pub async fn with_workspace(prefix: &str) -> Self {
        let namespace = Self::open(prefix).await;
        namespace
            .create::<atelier_api::Workspace>(crate::manifest::workspace("team"))
            .await;
        namespace
            .ready::<atelier_api::Workspace>("team", QUICK)
            .await;
        namespace
    }

    /// The API of a kind in this namespace.
    pub fn api<K>(&self) -> Api<K>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
    {
        Api::namespaced(self.cluster.client.clone(), &self.name)
    }

    /// Creates an object as the administrator.
    pub async fn create<K>(&self, manifest: Value) -> K
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
            + Clone
            + Debug
            + DeserializeOwned
            + serde::Serialize,
    {
        self.try_create(manifest).await.unwrap()
    }

    /// Creates an object, or tells what the API server had against it.
    pub async fn try_create<K>(&self, manifest: Value) -> Result<K, kube::Error>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
            + Clone
            + Debug
            + DeserializeOwned
            + serde::Serialize,
    {
        let object: K = serde_json::from_value(manifest).unwrap();
        self.api().create(&PostParams::default(), &object).await
    }

    /// Merges a patch into an object.
    pub async fn patch<K>(&self, name: &str, patch: Value) -> Result<K, kube::Error>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
            + Clone
            + Debug
            + DeserializeOwned,
    {
        self.api()
            .patch(name, &PatchParams::default(), &Patch::Merge(patch))
            .await
    }

    /// Deletes an object and does not wait.
    pub async fn delete<K>(&self, name: &str)
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
            + Clone
            + Debug
            + DeserializeOwned,
    {
        self.api::<K>()
            .delete(name, &DeleteParams::background())
            .await
            .unwrap();
    }

    /// Waits until an object is `Ready`.
    pub async fn ready<K>(&self, name: &str, limit: Duration) -> K
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
            + Clone
            + Debug
            + DeserializeOwned
            + serde::Serialize,
    {
        self.condition(name, "Ready", "True", "", limit).await
    }

    /// Waits until a condition has a status and, unless that is empty, a reason; judged on the latest spec.
    pub async fn condition<K>(
        &self,
        name: &str,
        type_: &str,
        status: &str,
        reason: &str,
        limit: Duration,
    ) -> K
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
            + Clone
            + Debug
            + DeserializeOwned
            + serde::Serialize,
    {
        let sentence = format!(
            "{} {name} in {} has {type_}={status} {reason}",
            K::kind(&()),
            self.name
        );
        eventually(limit, &sentence, async || {
            let object: K = self.api().get(name).await.map_err(|e| e.to_string())?;
            let found = condition(&object, type_).ok_or("no such condition")?;
            let current = found.observed_generation == object.meta().generation;
            check(
                current && found.status == status && (reason.is_empty() || found.reason == reason),
                &found,
            )?;
            Ok(object)
        })
        .await
    }

    /// Waits until an object is gone, or has another uid than it had.
    pub async fn gone<K>(&self, name: &str, uid: Option<&str>, limit: Duration)
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
            + Clone
            + Debug
            + DeserializeOwned,
    {
        eventually(
            limit,
            &format!("{} {name} is gone", K::kind(&())),
            async || match self
                .api::<K>()
                .get_opt(name)
                .await
                .map_err(|e| e.to_string())?
            {
                Some(object) if uid.is_none() || object.uid().as_deref() == uid => {
                    Err("it is there".into())
                }
                _ => Ok(()),
            },
        )
        .await;
    }

    /// The pods with these labels.
    pub async fn pods(&self, selector: &str) -> Vec<Pod> {
        self.api::<Pod>()
            .list(&ListParams::default().labels(selector))
            .await
            .unwrap()
            .items
    }

    /// Asks for the namespace to be deleted and does not wait: it has nothing to do with the test any more.
    pub async fn finish(self) {
        let api: Api<Namespace> = Api::all(self.cluster.client.clone());
        api.delete(&self.name, &DeleteParams::background())
            .await
            .unwrap();
    }
}

/// A condition of an object of ours.
pub fn condition<K: serde::Serialize>(object: &K, type_: &str) -> Option<Condition> {
    let value = serde_json::to_value(object).unwrap();
    let conditions = value.pointer("/status/conditions")?.as_array()?;
    let found = conditions.iter().find(|c| c["type"] == type_)?;
    serde_json::from_value(found.clone()).ok()
}
