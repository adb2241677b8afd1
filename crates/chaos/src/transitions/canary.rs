//! Other namespaces: one where all must go on while an object elsewhere is bad, and two that roles may name.

use std::sync::atomic::{AtomicUsize, Ordering};

use atelier_api::{RoleAssignment, Workspace};
use atelier_testkit::manifest::{role, workspace};
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{Patch, PatchParams};
use kube::{Api, Client};
use serde_json::json;

use super::subject::{CONSENTS, KEEPS_TO_ITSELF};
use crate::user::User;

/// A namespace where all must go on.
pub struct Canary {
    user: User,
    songs: AtomicUsize,
}

impl Canary {
    /// Makes the namespaces.
    pub async fn open(client: Client, namespace: &str) -> anyhow::Result<Self> {
        let this = Self {
            user: User::in_new_namespace(client, namespace).await?,
            songs: AtomicUsize::new(0),
        };
        this.label(KEEPS_TO_ITSELF, json!({})).await?;
        this.user.create::<Workspace>(workspace("team")).await?;
        this.user.ready::<Workspace>("team", "True", "").await?;
        Ok(this)
    }

    /// Lets a namespace give roles to the accounts of another.
    pub async fn consents_to(&self, namespace: &str) -> anyhow::Result<()> {
        let label = format!("consent.atelier.dev/{namespace}");
        self.label(CONSENTS, json!({label: "true"})).await
    }

    async fn label(&self, namespace: &str, labels: serde_json::Value) -> anyhow::Result<()> {
        let api: Api<Namespace> = Api::all(self.user.client.clone());
        let object = json!({"apiVersion": "v1", "kind": "Namespace",
            "metadata": {"name": namespace, "labels": labels}});
        // Each label has an owner of its own: none takes another's away.
        let owner = labels
            .as_object()
            .and_then(|all| all.keys().next().cloned())
            .unwrap_or_else(|| "transitions".into());
        let owner: String = owner.chars().take(100).collect();
        api.patch(
            namespace,
            &PatchParams::apply(&owner).force(),
            &Patch::Apply(object),
        )
        .await?;
        Ok(())
    }

    /// Something new is made and looked after.
    pub async fn sings(&self) -> anyhow::Result<()> {
        let name = format!("song-{}", self.songs.fetch_add(1, Ordering::Relaxed));
        self.user
            .create::<RoleAssignment>(role(&name, "Reader", "ann"))
            .await?;
        self.user.ready::<RoleAssignment>(&name, "True", "").await?;
        self.user.delete::<RoleAssignment>(&name).await
    }

    /// Deletes the namespace.
    pub async fn leave(&self) -> anyhow::Result<()> {
        self.user.leave().await
    }
}
