//! Keeps the regional identities: looks at the workspaces there are and at our own namespace, and writes what differs.

use std::collections::BTreeSet;
use std::future::ready;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::api::{DeleteParams, PostParams, Preconditions};
use kube::runtime::watcher::{self, watcher};
use kube::runtime::{WatchStreamExt as _, reflector};
use kube::{Api, ResourceExt as _};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::decide::{Step, decide};
use crate::ctx::Ctx;
use crate::kit::Error;
use crate::kit::backoff::WatchBackoff;
use crate::workspace::gate::{Gate, gate};

/// `fieldManager` of the writes.
const MANAGER: &str = "atelier-region";
/// How often the views are looked through. Costs no API call.
const EVERY: Duration = Duration::from_secs(1);

/// Keeps them until `stop`.
pub async fn run(ctx: Arc<Ctx>, stop: CancellationToken) {
    let api: Api<ServiceAccount> = Api::namespaced(ctx.client.clone(), &ctx.settings.namespace);
    let (store, writer) = reflector::store();
    let changes = watcher(api.clone(), watcher::Config::default().any_semantic())
        .backoff(WatchBackoff::default())
        .modify(|account| account.metadata.managed_fields = None)
        .reflect(writer)
        .filter_map(|event| ready(event.map_err(report).ok()));
    let mut changes = pin!(changes);
    let mut filled = false;
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            Some(event) = changes.next() => filled |= matches!(event, watcher::Event::InitDone),
            () = tokio::time::sleep(EVERY) => {}
        }
        if !filled || ctx.claim.check().is_err() {
            continue;
        }
        let accounts: Vec<_> = store.state().iter().map(|a| a.as_ref().clone()).collect();
        for step in decide(&ctx.settings.namespace, &locations(&ctx), &accounts) {
            match act(&ctx, &api, &step).await {
                Ok(()) => {}
                Err(error) if error.is_ordinary() => {}
                Err(error) => warn!(%error, "regional identities; trying again"),
            }
        }
    }
}

fn report(error: watcher::Error) {
    warn!(%error, "watch of the regional identities; trying again");
}

/// The locations that have a workspace.
fn locations(ctx: &Ctx) -> BTreeSet<String> {
    let workspaces = ctx.stores.workspaces.state();
    let namespaces: BTreeSet<_> = workspaces.iter().filter_map(|w| w.namespace()).collect();
    let opened = namespaces.iter().filter_map(|n| match gate(ctx, n) {
        Gate::Open(workspace) | Gate::Opening(workspace) => Some(workspace.spec.location.clone()),
        Gate::Closed(_) | Gate::NotEnabled(_) | Gate::Terminating => None,
    });
    opened.collect()
}

async fn act(ctx: &Ctx, api: &Api<ServiceAccount>, step: &Step) -> Result<(), Error> {
    ctx.claim.check()?;
    let params = PostParams {
        field_manager: Some(MANAGER.into()),
        ..PostParams::default()
    };
    let (Step::Make(account) | Step::Mend(account) | Step::Remove(account)) = step;
    let name = account.name_any();
    let written = match step {
        Step::Make(account) => {
            info!(name, "there is a workspace in this location: its identity");
            api.create(&params, account).await.map(drop)
        }
        Step::Mend(account) => api.replace(&name, &params, account).await.map(drop),
        Step::Remove(account) => {
            let exactly = Preconditions {
                uid: account.metadata.uid.clone(),
                resource_version: account.metadata.resource_version.clone(),
            };
            let params = DeleteParams {
                preconditions: Some(exactly),
                ..DeleteParams::background()
            };
            info!(name, "there is no workspace in this location any more");
            api.delete(&name, &params).await.map(drop)
        }
    };
    // Somebody was first, or our view is a moment behind: the watch will tell.
    written.map_err(Error::write(&name, format!("write ServiceAccount {name}")))
}
