//! A namespace in which things go wrong while leaders change, and how it should look.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use atelier_api::{ComputeTarget, WebService};
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::rbac::v1::RoleBinding;
use kube::Client;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

use crate::random::Random;
use crate::stomp::stomper::Stomper;
use crate::stomp::town::{self, Plot, TARGET};
use crate::stomp::view::View;
use crate::user::User;

const PLOT: Plot = Plot {
    roles: 2,
    idle_nodes: 1,
    runs: 0,
    services: 1,
};
/// How long nothing may change for the place to be at rest.
const REST: Duration = Duration::from_secs(1);
/// The one service.
pub const SERVICE: &str = "svc0";
/// The binding of the first of the people.
pub const BINDING: &str = "r0-role";

/// A namespace.
pub struct Place {
    /// Who acts there.
    pub user: User,
    /// All that is in it, and should be.
    pub view: View,
    port: i32,
}

impl Place {
    /// Makes one, and waits until it is at rest.
    pub async fn new(client: &Client, name: &str) -> anyhow::Result<Self> {
        let view = View::start(client, name);
        let user = town::build(client, name, PLOT).await?;
        town::settle(&user, PLOT).await?;
        tokio::time::sleep(REST).await;
        view.freeze();
        Ok(Self {
            user,
            view,
            port: 1000,
        })
    }

    /// Changes a child of ours: never twice in the same way, so that nobody seems to insist.
    pub async fn change_port(&mut self) -> anyhow::Result<()> {
        self.port += 1;
        let patch = json!([{"op": "replace", "path": "/spec/ports/0/port", "value": self.port}]);
        let patch = Patch::Json::<()>(serde_json::from_value(patch)?);
        let api = self.user.api::<Service>();
        api.patch(SERVICE, &PatchParams::default(), &patch).await?;
        Ok(())
    }

    /// Deletes a child.
    pub async fn delete_service(&self) -> anyhow::Result<()> {
        self.user.delete::<Service>(SERVICE).await
    }

    /// Deletes a child by which somebody has a role.
    pub async fn delete_binding(&self) -> anyhow::Result<()> {
        self.user.delete::<RoleBinding>(BINDING).await
    }

    /// Asks for as many nodes as are kept.
    pub async fn keep_nodes(&self, nodes: i32) -> anyhow::Result<()> {
        let spec = json!({"spec": {"managed": {"nodes": {"min": nodes}}}});
        self.user
            .patch::<ComputeTarget>(TARGET, spec)
            .await
            .map(drop)
    }

    /// Asks for another time limit of requests, or for none in particular.
    pub async fn limit(&self, limit: Value) -> anyhow::Result<()> {
        let spec = json!({"spec": {"limits": {"timeoutMs": limit}}});
        self.user.patch::<WebService>(SERVICE, spec).await.map(drop)
    }

    /// Changes some children at random and does not wait.
    pub async fn stomp(&self, seed: u64, count: usize) -> anyhow::Result<()> {
        let mut stomper = Stomper::new(&self.user.client, &self.view, Random::new(seed));
        // What cannot be undone by one write is the other check's concern.
        stomper.without = vec!["make it immutable".into()];
        stomper.make(count).await
    }

    /// Waits until everything is as it should be.
    pub async fn is_right(&self, limit: Duration) -> anyhow::Result<()> {
        let begun = Instant::now();
        while !self.view.differences().is_empty() {
            if begun.elapsed() > limit {
                let lines = self.view.differences().join("; ");
                return Err(anyhow::anyhow!("{lines}"))
                    .with_context(|| format!("not put right within {limit:?}"));
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }
}
