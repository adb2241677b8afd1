//! What a user does in a namespace, and what the user waits for. Straight to the API server, never through a proxy.

use std::fmt::Debug;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use atelier_api::v1alpha1::RunState;
use atelier_api::{ComputeTarget, Run};
use atelier_testkit::wait::check;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{Namespace, Pod};
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube::core::NamespaceResourceScope;
use kube::{Api, Client, Resource, ResourceExt as _};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

/// How long the user waits for anything. The operator may be killed meanwhile, and start again.
pub const PATIENCE: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(25);

/// A user, in a namespace of their own.
#[derive(Clone)]
pub struct User {
    /// The administrator's client.
    pub client: Client,
    /// The namespace.
    pub namespace: String,
    /// Whether how things stand includes what is kept for the service's own storage.
    pub has_own_storage: bool,
}

impl User {
    /// Makes a namespace that is open to Atelier.
    pub async fn in_new_namespace(client: Client, name: &str) -> anyhow::Result<Self> {
        let labels = json!({"atelier.dev/resource-group": "chaos", "pod-security.kubernetes.io/enforce": "restricted"});
        let object = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}});
        let api: Api<Namespace> = Api::all(client.clone());
        api.create(&PostParams::default(), &serde_json::from_value(object)?)
            .await?;
        Ok(Self {
            client,
            namespace: name.to_owned(),
            has_own_storage: false,
        })
    }

    /// Asks for the namespace to be deleted, and does not wait.
    pub async fn leave(&self) -> anyhow::Result<()> {
        let api: Api<Namespace> = Api::all(self.client.clone());
        api.delete(&self.namespace, &DeleteParams::background())
            .await?;
        Ok(())
    }

    /// The API of a kind in the namespace.
    pub fn api<K>(&self) -> Api<K>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
    {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// Creates an object.
    pub async fn create<K: Kind>(&self, manifest: Value) -> anyhow::Result<K> {
        let object: K = serde_json::from_value(manifest)?;
        let api = self.api();
        api.create(&PostParams::default(), &object)
            .await
            .with_context(|| format!("create {} {}", K::kind(&()), object.name_any()))
    }

    /// Merges a patch into an object.
    pub async fn patch<K: Kind>(&self, name: &str, patch: Value) -> anyhow::Result<K> {
        let api = self.api();
        api.patch(name, &PatchParams::default(), &Patch::Merge(patch))
            .await
            .with_context(|| format!("patch {} {name}", K::kind(&())))
    }

    /// Deletes an object, and does not wait.
    pub async fn delete<K: Kind>(&self, name: &str) -> anyhow::Result<()> {
        let api = self.api::<K>();
        api.delete(name, &DeleteParams::background())
            .await
            .with_context(|| format!("delete {} {name}", K::kind(&())))?;
        Ok(())
    }

    /// Waits until `check` gives something.
    pub async fn until<T>(
        &self,
        sentence: &str,
        check: impl AsyncFnMut() -> Result<T, String>,
    ) -> anyhow::Result<T> {
        until(sentence, check).await
    }

    /// Waits until an object satisfies `check`.
    pub async fn sees<K: Kind>(
        &self,
        name: &str,
        sentence: &str,
        mut check: impl FnMut(&K) -> Result<(), String>,
    ) -> anyhow::Result<K> {
        let sentence = format!("{} {name} {sentence}", K::kind(&()));
        self.until(&sentence, async || {
            let object: K = self.api().get(name).await.map_err(|e| e.to_string())?;
            check(&object)?;
            Ok(object)
        })
        .await
    }

    /// Waits until an object's latest spec is `Ready`, or is not for this reason.
    pub async fn ready<K: Kind>(
        &self,
        name: &str,
        status: &str,
        reason: &str,
    ) -> anyhow::Result<K> {
        self.sees(
            name,
            &format!("has Ready={status} {reason}"),
            |object: &K| {
                let found = atelier_testkit::namespace::condition(object, "Ready")
                    .ok_or("no such condition")?;
                let current = found.observed_generation == object.meta().generation;
                let reasoned = reason.is_empty() || found.reason == reason;
                check(current && found.status == status && reasoned, &found)
            },
        )
        .await
    }

    /// Waits until there is no object of this name.
    pub async fn gone<K: Kind>(&self, name: &str) -> anyhow::Result<()> {
        self.until(&format!("{} {name} is gone", K::kind(&())), async || {
            let found = self
                .api::<K>()
                .get_opt(name)
                .await
                .map_err(|e| e.to_string())?;
            check(found.is_none(), "it is there")
        })
        .await
    }

    /// Waits until a run is in a state.
    pub async fn run_is(&self, name: &str, wanted: RunState) -> anyhow::Result<Run> {
        self.sees(name, &format!("is {wanted:?}"), |run: &Run| {
            let status = run.status.clone().unwrap_or_default();
            check(
                status.state == Some(wanted),
                (&status.state, &status.message),
            )
        })
        .await
    }

    /// Waits until a compute target has as many nodes, and wants no other number.
    pub async fn nodes_are(&self, name: &str, wanted: i32) -> anyhow::Result<ComputeTarget> {
        self.sees(
            name,
            &format!("has {wanted} nodes"),
            |target: &ComputeTarget| {
                let status = target.status.clone().unwrap_or_default();
                let current = status.observed_generation == target.metadata.generation;
                check(
                    current && (status.current_nodes, status.target_nodes) == (wanted, wanted),
                    &status,
                )
            },
        )
        .await
    }

    /// Ends a run's pod as a kubelet would: its command has run for a second and left this exit code.
    pub async fn end_pod(&self, pod: &str, exit_code: i32) -> anyhow::Result<()> {
        let pods = self.api::<Pod>();
        let live = pods.get(pod).await?;
        let first = live
            .status
            .and_then(|s| s.container_statuses?.into_iter().next());
        let image = first.map(|c| c.image).unwrap_or_default();
        let finished = Timestamp::now();
        let started = finished - SignedDuration::from_secs(1);
        let (phase, reason) = if exit_code == 0 {
            ("Succeeded", "Completed")
        } else {
            ("Failed", "Error")
        };
        let terminated = json!({"exitCode": exit_code, "reason": reason, "containerID": "fake://1",
            "startedAt": seconds(started), "finishedAt": seconds(finished)});
        let container = json!({"name": "main", "image": image, "imageID": "", "ready": false, "restartCount": 0,
            "started": false, "state": {"terminated": terminated}});
        let status = json!({"status": {"phase": phase, "containerStatuses": [container]}});
        pods.patch_status(pod, &PatchParams::default(), &Patch::Merge(status))
            .await?;
        Ok(())
    }
}

/// Kubernetes' times of pods have whole seconds.
fn seconds(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// What the user works with: any kind that lives in a namespace.
pub trait Kind:
    Resource<DynamicType = (), Scope = NamespaceResourceScope>
    + Clone
    + Debug
    + DeserializeOwned
    + Serialize
{
}

impl<K> Kind for K where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Clone
        + Debug
        + DeserializeOwned
        + Serialize
{
}

/// Waits until `check` gives something.
pub async fn until<T>(
    sentence: &str,
    mut check: impl AsyncFnMut() -> Result<T, String>,
) -> anyhow::Result<T> {
    let begun = Instant::now();
    loop {
        match check().await {
            Ok(value) => return Ok(value),
            Err(reason) if begun.elapsed() > PATIENCE => {
                bail!("not within {PATIENCE:?}: {sentence}; last: {reason}")
            }
            Err(_) => tokio::time::sleep(POLL).await,
        }
    }
}
