//! The way to a service from outside the cluster: a route that Gateways lead by, and by what they know the service.

mod build;
pub mod gateway_api;
mod verdict;

use atelier_api::WebService;

use super::transport::Transport;
use crate::ctx::Ctx;
use crate::kit::Error;
use crate::kit::apply::Applier;
use crate::kit::child::{ChildKey, ChildKind};
use crate::kit::meta::Parent;
pub use verdict::Exposure;

/// Sees that what the spec asks for is there, and nothing else of the sort. Returns how far it is, where something is
/// asked for.
pub async fn ensure(
    service: &WebService,
    parent: &Parent,
    transport: Transport<'_>,
    ctx: &Ctx,
    applier: &Applier<'_>,
) -> Result<Option<Exposure>, Error> {
    let asked = service.spec.expose.as_ref();
    if !ctx.watches.has_gateway_api() {
        return Ok(asked.map(|_| verdict::missing()));
    }
    let is_listed = |kind: &ChildKind| ctx.children.is_listed(*kind, &parent.namespace);
    if !ChildKind::OF_GATEWAY_API.iter().all(is_listed) {
        // We are asked again as soon as they are.
        return Ok(asked.map(|_| verdict::pending(None)));
    }
    let bundle = ctx.issuer.as_ref().and_then(|issuer| issuer.bundle());
    let bundle = match (transport, bundle) {
        // What is there stays. We are asked again as soon as there is one.
        (Transport::Generated, None) if asked.is_some() => return Ok(Some(verdict::untrusted())),
        (_, bundle) => bundle.unwrap_or_default(),
    };
    let wanted = match asked {
        Some(expose) => build::all(service, expose, parent, transport, &bundle)?,
        None => vec![],
    };
    for desired in &wanted {
        applier.apply(desired).await?;
    }
    for key in build::keys(parent) {
        let is_wanted = wanted.iter().any(|desired| desired.key == key);
        let seen = ctx.children.get(&key).filter(|seen| !seen.deleting);
        let ours = seen.filter(|seen| {
            let owner = seen.owner.as_ref();
            owner.is_some_and(|owner| owner.uid == parent.uid())
        });
        if let Some(seen) = ours.filter(|_| !is_wanted) {
            applier.delete(&key, &seen).await?;
        }
    }
    let route = ChildKey::new(ChildKind::HttpRoute, &parent.namespace, &parent.name);
    let route = ctx.children.get(&route);
    let told = route.as_ref().and_then(|seen| seen.route());
    Ok(asked.map(|expose| verdict::verdict(expose, &parent.namespace, told)))
}
