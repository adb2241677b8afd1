//! What is left in a namespace after its workspace is gone.
//!
//! Assignments, targets, runs and services stay, but what was made for them goes: their own reconciles see to that
//! while the gate is closed. When nothing of ours is left, our own binding goes, and with it our rights.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::{gate, manager_binding_name};
use crate::ctx::Ctx;
use crate::kit::Error;
use crate::kit::child::{ChildKey, ChildKind};
use crate::kit::children::Seen;

/// How often the views are looked through. Costs no API call.
const EVERY: Duration = Duration::from_secs(1);

/// Sweeps until `stop`.
pub async fn run(ctx: Arc<Ctx>, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = tokio::time::sleep(EVERY) => {}
            () = stop.cancelled() => return,
        }
        if ctx.claim.check().is_err() {
            continue;
        }
        for namespace in ctx
            .children
            .namespaces_with(ChildKind::RoleBinding, manager_binding_name())
        {
            match sweep(&ctx, &namespace).await {
                Ok(()) => {}
                Err(error) if error.is_ordinary() => {}
                Err(error) => warn!(namespace, %error, "sweeping; trying again"),
            }
        }
    }
}

async fn sweep(ctx: &Ctx, namespace: &str) -> Result<(), Error> {
    let binding = ChildKey::new(ChildKind::RoleBinding, namespace, manager_binding_name());
    match gate::gate(ctx, namespace) {
        gate::Gate::Open(_) | gate::Gate::Opening(_) | gate::Gate::Terminating => return Ok(()),
        // Not ours any more, whatever is there: only the rights go.
        gate::Gate::NotEnabled(_) => {}
        gate::Gate::Closed(_) => {
            if !ctx.children.is_complete(namespace) {
                return Ok(());
            }
            let volume = |key: &ChildKey| key.kind == ChildKind::PersistentVolumeClaim;
            let going = |_: &ChildKey, seen: &Seen| seen.goes_with().is_some();
            for (key, seen) in ctx.children.select(namespace, going) {
                if !seen.deleting {
                    ctx.applier(super::MANAGER).delete(&key, &seen).await?;
                    info!(namespace, volume = key.name, "goes with its workspace");
                }
            }
            // A volume that stays, stays without us.
            let left = |key: &ChildKey, seen: &Seen| {
                *key != binding && (!volume(key) || seen.goes_with().is_some())
            };
            if !ctx.children.select(namespace, left).is_empty() {
                return Ok(());
            }
        }
    }
    if let Some(seen) = ctx.children.get(&binding) {
        ctx.applier(super::MANAGER).delete(&binding, &seen).await?;
        info!(namespace, "our rights in the namespace are given up");
    }
    Ok(())
}
