//! `workspaces/resynckeys`: asked for in the status, done by whoever leads.

use std::time::Duration;

use atelier_api::Workspace;
use atelier_api::actions::{KeyResync, Kinded as _};
use atelier_api::v1alpha1::ResyncRequest;
use atelier_apiserver::{Call, Refusal};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde_json::json;
use tokio::time::Instant;

use super::Deps;
use super::object::{Found, ask_for, get, named};
use crate::kit::conditions::{shortened, whole_second};

/// How long the caller is kept waiting for it to be done, and how often is looked meanwhile.
const PATIENCE: Duration = Duration::from_secs(10);
const FIRST: Duration = Duration::from_millis(20);
const LONGEST: Duration = Duration::from_millis(500);

/// Notes the request, and waits a while for it to be done.
pub async fn resync(deps: Deps, call: Call) -> Result<KeyResync, Refusal> {
    let number = note(&deps, &call).await?;
    let (begun, mut pause) = (Instant::now(), FIRST);
    loop {
        let workspace: Workspace = get(&deps.client, &call).await?;
        let status = workspace.status.unwrap_or_default();
        let done = status.resynced.is_some_and(|done| done.request >= number);
        if done || begun.elapsed() >= PATIENCE {
            return Ok(KeyResync {
                types: KeyResync::types(),
                metadata: named(&call),
                done,
                grants: status.identity.map_or_else(Vec::new, |i| i.grants),
            });
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST);
    }
}

/// Notes the request. Returns its number.
async fn note(deps: &Deps, call: &Call) -> Result<i64, Refusal> {
    ask_for(&deps.client, call, "the resync", |workspace: &Workspace| {
        let before = workspace.status.as_ref();
        let before = before.and_then(|status| status.resync_requested.as_ref());
        let request = ResyncRequest {
            number: before.map_or(0, |before| before.number).saturating_add(1),
            by: shortened(&call.caller.user),
            at: Time(whole_second((deps.clock)())),
        };
        let number = request.number;
        Found::Ask(json!({"resyncRequested": request}), number)
    })
    .await
}
