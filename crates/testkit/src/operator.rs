//! The operator's process: leaving it alone, and killing it.

use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease;
use kube::{Api, ResourceExt as _};
use tokio::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::cluster::{Cluster, SYSTEM};
use crate::wait::{check, eventually};

static RUNNING: RwLock<()> = RwLock::const_new(());

/// As long as this is held, no other test of this process kills the operator. For whoever measures its times.
pub async fn undisturbed() -> RwLockReadGuard<'static, ()> {
    RUNNING.read().await
}

/// SIGKILL to the operator, once no test measures it. As long as what is returned is held, none begins to.
pub async fn kill(cluster: &Cluster) -> RwLockWriteGuard<'static, ()> {
    let guard = RUNNING.write().await;
    assert!(
        cluster.kill_operator().await,
        "the operator has a process to kill"
    );
    guard
}

/// Waits until a process of the operator has renewed the lease after it was killed.
pub async fn leads_again(cluster: &Cluster, restarts_before: i32) {
    let leases: Api<Lease> = Api::namespaced(cluster.client.clone(), SYSTEM);
    let before = leases
        .get("atelier-operator")
        .await
        .unwrap()
        .resource_version();
    eventually(
        Duration::from_secs(60),
        "the operator leads again",
        async || {
            let restarts = restarts(cluster).await;
            check(restarts > restarts_before, format!("{restarts} restarts"))?;
            let lease = leases
                .get("atelier-operator")
                .await
                .map_err(|e| e.to_string())?;
            check(
                lease.resource_version() != before,
                "the lease was not renewed",
            )
        },
    )
    .await;
}

/// How often the operator's container was restarted.
pub async fn restarts(cluster: &Cluster) -> i32 {
    let status = cluster.operator().await.status.unwrap_or_default();
    status
        .container_statuses
        .iter()
        .flatten()
        .map(|c| c.restart_count)
        .sum()
}
