//! A quota that has no room: more is asked for, told of, and taken back.

use anyhow::Context as _;
use k8s_openapi::api::core::v1::{Pod, ResourceQuota};
use kube::api::{DeleteParams, ListParams};
use serde_json::{Value, json};

use super::Walk;

impl Walk<'_> {
    /// Asks for one more replica or node than a quota lets in, then for as many as before.
    pub(super) async fn tight(&mut self) -> anyhow::Result<()> {
        let path = match self.stage.subject.kind {
            "WebService" => "/replicas",
            "ComputeTarget" => "/managed/nodes/min",
            _ => return Ok(()),
        };
        self.start_over().await?;
        let mut more = self.current.clone();
        let number = more.pointer_mut(path).context("no number")?;
        *number = json!(number.as_i64().unwrap_or_default() + 2);
        let user = self.stage.user.clone();
        let pods = user.api::<Pod>().list(&ListParams::default()).await?;
        let quota = json!({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "tight"},
            "spec": {"hard": {"pods": pods.items.len().to_string()}}});
        user.create::<ResourceQuota>(quota).await?;
        user.sees("tight", "is in force", |quota: &ResourceQuota| {
            let hard = quota
                .status
                .as_ref()
                .and_then(|status| status.hard.as_ref());
            hard.map(drop).ok_or_else(|| "not counted yet".to_owned())
        })
        .await?;
        let what = format!(
            "a quota of {} pods; {path} {}",
            pods.items.len(),
            wanted(&more, path)
        );
        self.tally.changes += 1;
        self.tally.accepted += 1;
        self.take(&what, more, false).await?;
        let quotas = user.api::<ResourceQuota>();
        quotas.delete("tight", &DeleteParams::default()).await?;
        Ok(())
    }
}

fn wanted(spec: &Value, path: &str) -> String {
    spec.pointer(path).map(Value::to_string).unwrap_or_default()
}
