//! Makes the operator do what workspaces' storages take.

use atelier_api::conditions::STORAGE_READY;
use atelier_api::{Workspace, labels};
use atelier_testkit::cluster::SYSTEM;
use atelier_testkit::manifest::workspace;
use atelier_testkit::namespace::condition;
use atelier_testkit::wait::check;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Secret};
use k8s_openapi::api::rbac::v1::RoleBinding;
use kube::api::ListParams;
use kube::{Api, Client, ResourceExt as _};
use serde_json::{Value, json};

use crate::user::{User, until};

const VOLUME: &str = "team-storage";

/// Two workspaces: one with a storage of its own, one that brings a store which does not answer.
pub struct Stores {
    own: User,
    brought: User,
}

impl Stores {
    /// Makes them, and waits until all is done for them that is done here, where no server runs.
    pub async fn make(admin: &Client) -> anyhow::Result<Self> {
        let own = team(admin, "own", json!({"storage": {"type": "Embedded"}})).await?;
        let spec = json!({"deletionPolicy": "Delete", "storage": {"type": "S3", "s3": {
            "endpoint": "https://127.0.0.1:1", "bucket": "bucket", "secretRef": {"name": "credential"}}}});
        let brought = team(admin, "brought", spec).await?;
        let values = json!({"accessKeyId": "id", "secretAccessKey": "secret"});
        let secret = json!({"metadata": {"name": "credential"}, "stringData": values});
        brought.create::<Secret>(secret).await?;
        own.sees(VOLUME, "is there", |_: &PersistentVolumeClaim| Ok(()))
            .await?;
        let sentence = "says that nobody answers";
        brought
            .sees("team", sentence, |workspace: &Workspace| {
                let found = condition(workspace, STORAGE_READY).ok_or("no such condition")?;
                check(found.reason == "StorageUnreachable", &found)
            })
            .await?;
        keys_go_with(&brought, true).await?;
        let stay = json!({"spec": {"deletionPolicy": "Retain"}});
        brought.patch::<Workspace>("team", stay).await?;
        keys_go_with(&brought, false).await?;
        Ok(Self { own, brought })
    }

    /// While nobody leads, somebody takes the labels off the volume.
    pub async fn forget_volume(&self) -> anyhow::Result<()> {
        let unlabelled = json!({"metadata": {"labels": {labels::MANAGED_BY: null}}});
        let patched = self.own.patch::<PersistentVolumeClaim>(VOLUME, unlabelled);
        patched.await.map(drop)
    }

    /// The volume is found by its name, and is the workspace's again. Then all goes.
    pub async fn found_volume(&self) -> anyhow::Result<()> {
        self.own
            .sees(VOLUME, "has its labels", |claim: &PersistentVolumeClaim| {
                check(
                    claim.labels().contains_key(labels::MANAGED_BY),
                    claim.labels(),
                )
            })
            .await?;
        for user in [&self.own, &self.brought] {
            user.delete::<Workspace>("team").await?;
            user.gone::<RoleBinding>("atelier-workspace-manager")
                .await?;
            user.leave().await?;
        }
        Ok(())
    }
}

async fn team(admin: &Client, name: &str, spec: Value) -> anyhow::Result<User> {
    let namespace = format!("stores-{name}-{}", std::process::id());
    let user = User::in_new_namespace(admin.clone(), &namespace).await?;
    let mut manifest = workspace("team");
    manifest["spec"] = spec;
    user.create::<Workspace>(manifest).await?;
    Ok(user)
}

/// Waits until the operator has keys for a namespace's workspace that go with it, or that stay.
async fn keys_go_with(user: &User, wanted: bool) -> anyhow::Result<()> {
    let place = format!("{}.team", user.namespace);
    let secrets: Api<Secret> = Api::namespaced(user.client.clone(), SYSTEM);
    until(
        &format!("the keys go with the workspace: {wanted}"),
        async || {
            let all = secrets.list(&ListParams::default()).await;
            let all = all.map_err(|e| e.to_string())?;
            let data = all.into_iter().filter_map(|secret| secret.data);
            let entries: Vec<_> = data.flat_map(|data| data.into_keys()).collect();
            let has = |name: &String| entries.contains(name);
            check(
                has(&place) && has(&format!("{place}.goes")) == wanted,
                &entries,
            )
        },
    )
    .await
}
