//! Whether the cluster has the Gateway API. It may come and go while we run, and its absence must slow nothing down:
//! nobody watches what is not there.

use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt as _, stream};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::PartialObjectMeta;
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, Client};
use tokio_util::sync::CancellationToken;

use crate::ctx::Ctx;
use crate::kit::backoff::WatchBackoff;
use crate::kit::child::{ChildKind, GATEWAY_API};

/// The first wait for what was just defined to be served, and the longest.
const FIRST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(60);
/// The kinds that have a definition of their own.
const KINDS: [ChildKind; 2] = [ChildKind::HttpRoute, ChildKind::BackendTlsPolicy];

/// Follows the definitions of its kinds, by their names, until `stop`.
pub async fn follow(ctx: Arc<Ctx>, stop: CancellationToken) {
    let watches = KINDS.map(|kind| {
        let (plural, (group, _)) = (kind.api_resource().plural, GATEWAY_API);
        let config = watcher::Config::default().fields(&format!("metadata.name={plural}.{group}"));
        let api: Api<PartialObjectMeta<CustomResourceDefinition>> = Api::all(ctx.client.clone());
        watcher(api, config)
            .backoff(WatchBackoff::default())
            .boxed()
    });
    let mut changes = stream::select_all(watches);
    // Which of them there are is asked of discovery, once whatever has changed: a definition says neither whether it is
    // served yet, nor in which version.
    let mut pause = FIRST;
    loop {
        let served = is_served(&ctx.client).await;
        if let Some(served) = served
            && ctx.watches.set_gateway_api(served)
        {
            tracing::info!(served, "the cluster's Gateway API");
            let exposed = |service: &atelier_api::WebService| service.spec.expose.is_some();
            ctx.triggers.fire_all(&ctx.stores.web_services, exposed);
        }
        tokio::select! {
            () = stop.cancelled() => return,
            change = changes.next() => match change {
                Some(Ok(_)) => pause = FIRST,
                Some(Err(error)) => tracing::debug!(%error, "the definitions of the Gateway API cannot be watched; trying again"),
                None => return,
            },
            // What was just defined is served a moment later, of which no watch tells.
            () = tokio::time::sleep(pause), if pause < LONGEST => pause *= 2,
        }
    }
}

/// Whether all its kinds are served in the version that we speak; `None` if that cannot be told.
async fn is_served(client: &Client) -> Option<bool> {
    let (group, version) = GATEWAY_API;
    let asked = format!("{group}/{version}");
    match client.list_api_group_resources(&asked).await {
        Ok(served) => {
            let is_there =
                |kind: ChildKind| served.resources.iter().any(|one| one.kind == kind.as_str());
            Some(KINDS.into_iter().all(is_there))
        }
        Err(kube::Error::Api(status)) if status.code == 404 => Some(false),
        Err(error) => {
            tracing::debug!(%error, "whether there is a Gateway API cannot be asked; trying again");
            None
        }
    }
}
