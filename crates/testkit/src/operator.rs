//! The operator's processes: leaving them alone, killing the one that leads, and having none at all.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{ListParams, Patch, PatchParams};
use kube::{Api, ResourceExt as _};
use serde_json::json;
use tokio::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::cluster::{Cluster, OPERATORS, SYSTEM};
use crate::namespace::SLOW;
use crate::wait::{check, eventually};

/// Name of the operator's Deployment, and of its Lease.
pub const NAME: &str = "atelier-operator";

static RUNNING: RwLock<()> = RwLock::const_new(());

/// As long as this is held, no other test of this process kills or stops the operator. For whoever measures its times.
pub async fn undisturbed() -> RwLockReadGuard<'static, ()> {
    RUNNING.read().await
}

/// As long as this is held, no other test of this process measures the operator. For whoever disturbs it.
pub async fn alone() -> RwLockWriteGuard<'static, ()> {
    RUNNING.write().await
}

/// A leader that was killed. As long as this is held, no test begins to measure the operator.
pub struct Killed {
    pod: String,
    restarts: i32,
    /// The lease's version once it was dead.
    lease: Option<String>,
    _alone: RwLockWriteGuard<'static, ()>,
}

/// SIGKILL to the leader, once no test measures it.
pub async fn kill(cluster: &Cluster) -> Killed {
    let alone = alone().await;
    let killed = cluster.kill_operator().await;
    let pod = killed.expect("the leader has a process to kill");
    Killed {
        restarts: restarts(&pod),
        pod: pod.name_any(),
        lease: lease(cluster).await.resource_version(),
        _alone: alone,
    }
}

/// Waits until another process than the killed one leads: its successor in the same pod, or another replica.
pub async fn leads_again(cluster: &Cluster, killed: &Killed) {
    eventually(SLOW, "another process leads", async || {
        let leader = leader(cluster).await?;
        let another = leader.name_any() != killed.pod || restarts(&leader) > killed.restarts;
        check(another, "the killed process is said to lead")?;
        // Who restarts finds its own name there, and leads once it has renewed.
        let renewed = lease(cluster).await.resource_version() != killed.lease;
        check(renewed, "the lease was not renewed")
    })
    .await;
}

/// No operator runs, as long as this is held and [`Away::back`] was not called.
pub struct Away {
    cluster: Cluster,
    replicas: i32,
    _alone: RwLockWriteGuard<'static, ()>,
}

/// Stops all replicas, once no test measures them, and waits until they are gone.
pub async fn away(cluster: &Cluster) -> Away {
    let alone = alone().await;
    let deployment = deployments(cluster).get(NAME).await.unwrap();
    let away = Away {
        cluster: cluster.clone(),
        replicas: deployment
            .spec
            .and_then(|spec| spec.replicas)
            .expect("defaulted"),
        _alone: alone,
    };
    scale(cluster, 0).await;
    eventually(SLOW, "no operator is left", async || {
        let left = operators(cluster).await.len();
        check(left == 0, format!("{left} pods"))
    })
    .await;
    away
}

impl Away {
    /// Starts as many as there were, and waits until one leads.
    pub async fn back(&self) {
        scale(&self.cluster, self.replicas).await;
        self.cluster.operator().await;
    }
}

impl Drop for Away {
    /// A test that failed leaves the others an operator.
    fn drop(&mut self) {
        let replicas = format!("--replicas={}", self.replicas);
        let scale = ["-n", SYSTEM, "scale", "deployment", NAME, &replicas];
        self.cluster.kubectl(&scale, "");
    }
}

/// Waits until all replicas are ready, which means that their views are filled. Returns their pods.
pub async fn all_ready(cluster: &Cluster) -> Vec<Pod> {
    eventually(SLOW, "all replicas of the operator are ready", async || {
        let deployment = deployments(cluster)
            .get(NAME)
            .await
            .map_err(|e| e.to_string())?;
        let wanted = deployment
            .spec
            .and_then(|spec| spec.replicas)
            .unwrap_or_default();
        let pods = operators(cluster).await;
        let ready = pods.iter().filter(|pod| is_ready(pod)).count();
        check(
            i32::try_from(pods.len()) == Ok(wanted) && ready == pods.len(),
            format!("{ready} of {}", pods.len()),
        )?;
        Ok(pods)
    })
    .await
}

/// The pod that leads: the holder of the lease, if it is there to stay and has a process.
pub(crate) async fn leader(cluster: &Cluster) -> Result<Pod, String> {
    let holder = lease(cluster).await.spec.and_then(|s| s.holder_identity);
    let name = holder
        .filter(|name| !name.is_empty())
        .ok_or("nobody holds the lease")?;
    let pods: Api<Pod> = Api::namespaced(cluster.client.clone(), SYSTEM);
    let pod = pods.get(&name).await.map_err(|e| e.to_string())?;
    check(
        pod.metadata.deletion_timestamp.is_none(),
        format!("{name} is going"),
    )?;
    check(
        container_id(&pod).is_some(),
        format!("{name} has no process"),
    )?;
    Ok(pod)
}

/// Id of the container that runs in an operator's pod.
pub(crate) fn container_id(pod: &Pod) -> Option<String> {
    let status = pod.status.as_ref()?.container_statuses.as_ref()?.first()?;
    status.state.as_ref()?.running.as_ref()?;
    let id = status.container_id.as_deref()?;
    Some(id.trim_start_matches("containerd://").to_owned())
}

async fn operators(cluster: &Cluster) -> Vec<Pod> {
    let pods: Api<Pod> = Api::namespaced(cluster.client.clone(), SYSTEM);
    let ours = ListParams::default().labels(OPERATORS);
    pods.list(&ours).await.unwrap().items
}

fn is_ready(pod: &Pod) -> bool {
    let status = pod.status.iter();
    pod.metadata.deletion_timestamp.is_none()
        && status
            .flat_map(|status| status.conditions.iter().flatten())
            .any(|c| c.type_ == "Ready" && c.status == "True")
}

fn restarts(pod: &Pod) -> i32 {
    let status = pod.status.iter();
    let containers = status.flat_map(|status| status.container_statuses.iter().flatten());
    containers.map(|container| container.restart_count).sum()
}

fn deployments(cluster: &Cluster) -> Api<Deployment> {
    Api::namespaced(cluster.client.clone(), SYSTEM)
}

async fn scale(cluster: &Cluster, replicas: i32) {
    let patch = Patch::Merge(json!({"spec": {"replicas": replicas}}));
    deployments(cluster)
        .patch(NAME, &PatchParams::default(), &patch)
        .await
        .unwrap();
}

/// The lease as it is; an empty one if there is none.
async fn lease(cluster: &Cluster) -> Lease {
    let leases: Api<Lease> = Api::namespaced(cluster.client.clone(), SYSTEM);
    leases.get_opt(NAME).await.unwrap().unwrap_or_default()
}
