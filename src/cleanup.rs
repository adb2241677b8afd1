//! `atelier cleanup`: run by the chart before it is removed.
//!
//! Stops the operator, then removes its own bindings in workspaces' namespaces. Custom resources and what was made
//! for them stay: models go on answering, and a new installation takes over where the old one ended. There is no
//! finalizer to take off, since none is ever set.

use std::fmt::Debug;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use atelier_api::{actions, labels};
use k8s_openapi::api::admissionregistration::v1::MutatingWebhookConfiguration;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Pod, ServiceAccount};
use k8s_openapi::api::rbac::v1::RoleBinding;
use k8s_openapi::kube_aggregator::pkg::apis::apiregistration::v1::APIService;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, Preconditions};
use kube::{Api, Client, Resource, ResourceExt as _};
use serde::de::DeserializeOwned;
use tracing::info;

use crate::args::CleanupArgs;
use crate::kit::error::status_code;
use crate::region;
use crate::serving::WEBHOOKS;
use crate::workspace::manager_binding_name;

const PATIENCE: Duration = Duration::from_secs(60);

/// Gives up what the operator holds in the cluster.
pub async fn run(args: CleanupArgs) -> anyhow::Result<()> {
    let client = Client::try_default()
        .await
        .context("no way to the API server")?;
    if args.actions {
        withdraw(&client).await?;
    }
    stop_operator(&client, &args).await?;
    let everywhere: Api<RoleBinding> = Api::all(client.clone());
    let ours = ListParams::default().labels(&format!("{}={}", labels::MANAGED_BY, labels::MANAGER));
    for binding in everywhere.list(&ours).await.context("list RoleBindings")? {
        if binding.name_any() != manager_binding_name() {
            continue;
        }
        let namespace = binding.namespace().unwrap_or_default();
        let api: Api<RoleBinding> = Api::namespaced(client.clone(), &namespace);
        let exactly = Preconditions {
            uid: binding.uid(),
            resource_version: None,
        };
        let params = DeleteParams {
            preconditions: Some(exactly),
            ..DeleteParams::default()
        };
        if gone(&api, manager_binding_name(), &params).await? {
            info!(namespace, "rights given up");
        }
    }
    dismiss_regions(&client, &args.namespace, &args.places.locations).await
}

/// The regional identities have nobody left to act as them.
async fn dismiss_regions(
    client: &Client,
    namespace: &str,
    locations: &[String],
) -> anyhow::Result<()> {
    let api: Api<ServiceAccount> = Api::namespaced(client.clone(), namespace);
    for location in locations {
        let name = region::identity_name(location);
        if gone(&api, &name, &DeleteParams::default()).await? {
            info!(name, "the regional identity is gone");
        }
    }
    Ok(())
}

/// Without an operator behind them, the API group would keep every namespace of the cluster from being deleted, and the
/// webhook every run from being made.
async fn withdraw(client: &Client) -> anyhow::Result<()> {
    let services: Api<APIService> = Api::all(client.clone());
    let group = format!("{}.{}", actions::VERSION, actions::GROUP);
    let params = DeleteParams::default();
    gone(&services, &group, &params).await?;
    let webhooks: Api<MutatingWebhookConfiguration> = Api::all(client.clone());
    gone(&webhooks, WEBHOOKS, &params).await?;
    info!("the actions and the webhook are withdrawn");
    Ok(())
}

/// Deletes an object. Says whether there was one.
async fn gone<K>(api: &Api<K>, name: &str, params: &DeleteParams) -> anyhow::Result<bool>
where
    K: Resource + Clone + Debug + DeserializeOwned,
{
    match api.delete(name, params).await {
        Ok(_) => Ok(true),
        Err(error) if status_code(&error) == Some(404) => Ok(false),
        Err(error) => Err(error).with_context(|| format!("delete {}/{name}", api.resource_url())),
    }
}

/// An operator that still ran would make its bindings again.
async fn stop_operator(client: &Client, args: &CleanupArgs) -> anyhow::Result<()> {
    let api: Api<Deployment> = Api::namespaced(client.clone(), &args.namespace);
    let nothing = serde_json::json!({"spec": {"replicas": 0}});
    match api
        .patch_scale(
            &args.deployment,
            &PatchParams::default(),
            &Patch::Merge(nothing),
        )
        .await
    {
        Ok(_) => {}
        Err(error) if status_code(&error) == Some(404) => return Ok(()),
        Err(error) => return Err(error).context("scale the operator to nothing"),
    }
    let pods: Api<Pod> = Api::namespaced(client.clone(), &args.namespace);
    let of_operator = ListParams::default().labels(&format!(
        "{}=operator,{}=atelier",
        labels::COMPONENT,
        labels::NAME
    ));
    let begun = Instant::now();
    while !pods
        .list(&of_operator)
        .await
        .context("list the operator's pods")?
        .items
        .is_empty()
    {
        if begun.elapsed() > PATIENCE {
            bail!(
                "the operator's pods do not end; look at: kubectl -n {} get pods",
                args.namespace
            );
        }
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    info!("the operator has ended");
    Ok(())
}
