//! Makes the operator find the volume of a workspace again that has lost its labels.

use atelier_api::{Workspace, labels};
use atelier_testkit::manifest::workspace;
use atelier_testkit::wait::check;
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use k8s_openapi::api::rbac::v1::RoleBinding;
use kube::{Client, ResourceExt as _};
use serde_json::json;

use crate::user::User;

const VOLUME: &str = "team-storage";

/// Makes a workspace with a storage of its own, and waits until it has a volume.
pub async fn volume(admin: &Client) -> anyhow::Result<User> {
    let namespace = format!("stores-{}", std::process::id());
    let user = User::in_new_namespace(admin.clone(), &namespace).await?;
    let mut own = workspace("team");
    own["spec"] = json!({"storage": {"type": "Embedded"}});
    user.create::<Workspace>(own).await?;
    user.sees(VOLUME, "is there", |_: &PersistentVolumeClaim| Ok(()))
        .await?;
    Ok(user)
}

/// While nobody leads, somebody takes the labels off the volume.
pub async fn forget_volume(user: &User) -> anyhow::Result<()> {
    let unlabelled = json!({"metadata": {"labels": {labels::MANAGED_BY: null}}});
    let patched = user.patch::<PersistentVolumeClaim>(VOLUME, unlabelled);
    patched.await.map(drop)
}

/// The volume is found by its name, and is the workspace's again. Then all goes.
pub async fn found_volume(user: &User) -> anyhow::Result<()> {
    user.sees(VOLUME, "has its labels", |claim: &PersistentVolumeClaim| {
        let found = claim.labels().contains_key(labels::MANAGED_BY);
        check(found, claim.labels())
    })
    .await?;
    user.delete::<Workspace>("team").await?;
    user.gone::<RoleBinding>("atelier-workspace-manager")
        .await?;
    user.leave().await
}
