//! WebService: a model behind the gateway, and the keys that open it.
//!
//! The order of writing is the order of need: the gateway's identity and its right to its one Secret, the keys, the
//! gateway's Secret, the certificate by which the operator and callers know them, the Service, and the Deployment, whose
//! pods need all of it.

mod build;
pub mod expose;
pub mod keeping;
pub mod keys;
pub mod keystore;
pub mod own_keys;
mod region;
pub mod scale;
mod status;
pub mod telemetry;
pub mod tokens;
pub mod transport;

use std::sync::Arc;
use std::time::Duration;

use atelier_api::archive::Kind;
use atelier_api::gateway_policy::GatewayPolicy;
use atelier_api::v1alpha1::{AuthMode, Class};
use atelier_api::{WebService, Workspace};
use kube::runtime::controller::Action;
use kube::runtime::reflector::ObjectRef;
use kube::{Resource as _, ResourceExt as _};
use tokio_util::sync::CancellationToken;

use crate::ctx::Ctx;
use crate::kit::child::{ChildKey, ChildKind};
use crate::kit::children::View as ChildView;
use crate::kit::contest::look_again;
use crate::kit::meta::Parent;
use crate::kit::pod::PodView;
use crate::kit::{self, Error, certificate};
use crate::workspace::gate::{Admission, admit};
use build::Replicas;
pub use build::{
    GATEWAY, INTERNAL_PORT, MODEL, certificate_secret_name, gateway_secret_name, keys_secret_name,
    tokens_secret_name,
};
use keys::PublicKeys;
use scale::Scaling;
use status::{Known, Progress, Seen};
use telemetry::Telling;
use transport::{Standing, Transport, transport};

const MANAGER: &str = "atelier-webservice";
/// How often a foreign object in the way is looked at: no watch tells of it.
const RARELY: Duration = Duration::from_secs(30);
/// How long to trust what only time changes.
const LOOK_AGAIN: Duration = Duration::from_secs(3600);

/// Makes what a service consists of, and says in its status how it is.
pub async fn reconcile(service: Arc<WebService>, ctx: Arc<Ctx>) -> Result<Action, Error> {
    let service = service.as_ref();
    let namespace = service.namespace().unwrap_or_default();
    if service.meta().deletion_timestamp.is_some() {
        ctx.scaler.forget(&namespace, &service.name_any());
        return Ok(Action::await_change());
    }
    let transport = transport(&service.spec.tls, ctx.issuer.is_some());
    let (progress, next) = match admit(&ctx, &namespace, service.uid().as_deref(), MANAGER).await? {
        Admission::Hold => return Ok(Action::await_change()),
        Admission::Shut(shut) => (Progress::Shut(shut), None),
        Admission::Admitted(workspace) => match make(service, &workspace, transport, &ctx).await {
            Ok((known, next)) => (Progress::Made(Box::new(known)), next),
            Err(error) if error.needs_help() => (Progress::Blocked(error), Some(RARELY)),
            Err(error) => return Err(error),
        },
    };
    let now = (ctx.clock)();
    let uid = service.metadata.uid.as_deref().unwrap_or_default();
    let contested = ctx.contests.of(uid, now);
    let seen = observe(service, &ctx);
    let contested_now = contested.as_ref();
    let after = status::status(service, transport, &progress, &seen, contested_now, now);
    let written = kit::status::write(
        &ctx.client,
        &ctx.claim,
        service,
        service.status.as_ref(),
        &after,
    )
    .await?;
    if written {
        for (warning, reason, note) in status::transitions(service.status.as_ref(), &after) {
            match warning {
                true => {
                    ctx.events
                        .warning(service, "Reconcile", reason, &note)
                        .await
                }
                false => ctx.events.normal(service, "Reconcile", reason, &note).await,
            }
        }
    }
    Ok(look_again(next, contested.as_ref(), now))
}

/// The mode in force: what the spec says, else the class's default.
pub fn effective_mode(service: &WebService) -> AuthMode {
    let by_class = match service.spec.class {
        Class::Cluster => AuthMode::Key,
        Class::Instance => AuthMode::None,
    };
    service.spec.auth.mode.unwrap_or(by_class)
}

/// Makes the children. Returns what may be known of the keys of all sorts, and when to look again for time alone. A child that
/// somebody deletes again and again keeps no other from being repaired.
async fn make(
    service: &WebService,
    workspace: &Workspace,
    transport: Transport<'_>,
    ctx: &Ctx,
) -> Result<(Known, Option<Duration>), Error> {
    let parent =
        Parent::of(service, &workspace.name_any()).ok_or(Error::Unnamed(ChildKind::Deployment))?;
    let applier = ctx.applier(MANAGER);
    let internal = ctx.settings.gateway_client.is_some();
    let mut contested = None;
    let mut unless_contested = |error: Error| match error {
        Error::Contested(_) => {
            contested.get_or_insert(error);
            Ok(())
        }
        other => Err(other),
    };

    let account = build::service_account(&parent)?;
    let identity = match applier.apply(&account).await {
        Ok(applied) => applied.uid,
        Err(error) => {
            unless_contested(error)?;
            // The pods keep their identity's old uid until there is another.
            ctx.children.last_uid(&account.key).unwrap_or_default()
        }
    };
    for child in build::rights(&parent, internal)? {
        applier.apply(&child).await?;
    }
    let mut known = Known::default();
    let mut next = None;
    let heard = ctx.settings.intake.is_some();
    let wanted = keeping::wanted(service, workspace.spec.storage.type_, heard);
    let archived = wanted.records_after_seconds.is_some();
    let telling = telemetry::look(service, &parent, archived, ctx).await?;
    let telling = telling.reporting(wanted)?;
    match know(service, &parent, &telling, ctx).await {
        Ok((found, policy, after)) => {
            tell(&parent, &policy, found.keys.as_ref(), &telling, ctx)
                .await
                .or_else(&mut unless_contested)?;
            (known, next) = (found, after);
        }
        // Without keys there is nothing to tell the gateways.
        Err(error) => unless_contested(error)?,
    }
    if let Some(issuer) = &ctx.issuer {
        let leaf = build::certificate(&parent);
        match certificate::ensure(&parent, &leaf, issuer, &applier).await {
            Ok(after) => next = next.into_iter().chain(after).min(),
            Err(error) => unless_contested(error)?,
        }
    }
    let (tls, after) = encryption(service, &parent, transport, ctx);
    known.tls = tls;
    known.location = Some(workspace.spec.location.clone());
    known.telemetry = telling.standing;
    let keeping = |kind| keeping::keeping(kind, service, workspace, heard);
    known.archive = keeping(Kind::Records);
    known.data = keeping(Kind::Data);
    next = next.into_iter().chain(after).min();
    let scaling = scale::act::plan(service, &parent, ctx);
    let replicas = match &scaling {
        None => Replicas::Fixed(service.spec.replicas),
        Some(scaling) => Replicas::Scaled(scale::act::first(service, scaling, &parent, ctx)),
    };
    let settings = &ctx.settings;
    let deployment = build::deployment(service, &parent, transport, settings, &identity, replicas)?;
    let front = build::service(&parent, transport, internal)?;
    for child in [front, deployment] {
        applier
            .apply(&child)
            .await
            .map(drop)
            .or_else(&mut unless_contested)?;
    }
    match expose::ensure(service, &parent, transport, ctx, &applier).await {
        Ok(exposure) => known.exposure = exposure,
        Err(error) => unless_contested(error)?,
    }
    if let Some(Scaling::Follows(follows)) = &scaling {
        scale::act::act(follows, &parent, ctx).await?;
        next = next.into_iter().chain([follows.look_again]).min();
    }
    known.scaling = scaling;
    contested.map_or(Ok((known, next)), Err)
}

/// Sees that gateways are told what they go by.
async fn tell(
    parent: &Parent,
    policy: &GatewayPolicy,
    keys: Option<&PublicKeys>,
    telling: &Telling,
    ctx: &Ctx,
) -> Result<(), Error> {
    if telling.is_confidential() {
        // That it is right is told by digests: a credential is read when there is something to do about it.
        let name = gateway_secret_name(&parent.name);
        let seen = ctx
            .children
            .get(&ChildKey::new(ChildKind::Secret, &parent.namespace, &name));
        let wanted = build::gateway_secret_hash(parent, policy, keys, telling)?;
        if seen.is_some_and(|seen| seen.hash == wanted && !seen.deleting) {
            return Ok(());
        }
    }
    let entries = telling.entries(&parent.namespace, ctx).await?;
    let secret = build::gateway_secret(parent, policy, keys, entries)?;
    ctx.applier(MANAGER).apply(&secret).await.map(drop)
}

/// How the connections to a service are encrypted, and when time alone changes that. Nothing while it is not known.
fn encryption(
    service: &WebService,
    parent: &Parent,
    transport: Transport,
    ctx: &Ctx,
) -> (Option<Standing>, Option<Duration>) {
    let (tls, now) = (&service.spec.tls, (ctx.clock)());
    let Transport::Secret(name) = transport else {
        ctx.certificates.let_go(&parent.namespace, &parent.name);
        let standing = match transport {
            Transport::Plain => transport::plain(tls),
            _ => {
                let leaf = build::certificate(parent);
                let expires = certificate::expires(parent, &leaf, &ctx.children);
                let bundle = ctx.issuer.as_ref().and_then(|issuer| issuer.bundle());
                transport::generated(ctx.issuer.is_some(), expires, bundle)
            }
        };
        return (Some(standing), None);
    };
    let secret = ctx.certificates.look(&parent.namespace, &parent.name, name);
    let standing = transport::brought(name, tls.hostname.as_deref(), &secret, now);
    let next = transport::changes_at(&secret, now).map(|at| {
        let left = Duration::try_from(at.duration_since(now)).unwrap_or_default();
        // A second later it is so; and nobody waits for more than clocks can be trusted.
        (left + Duration::from_secs(1)).min(LOOK_AGAIN)
    });
    (standing, next)
}

/// A service is gone: Secrets that only it has named are let go, and what is known of its load.
pub fn deleted(ctx: &Ctx, namespace: &str, name: &str) {
    ctx.certificates.let_go(namespace, name);
    ctx.own_keys.let_go(namespace, name);
    ctx.credentials.let_go(namespace, name);
    ctx.scaler.forget(namespace, name);
}

/// Lets go of what a look that came too late has taken up again of services that are gone, until `stop`.
pub async fn sweep(ctx: Arc<Ctx>, stop: CancellationToken) {
    let mut ticks = tokio::time::interval(LOOK_AGAIN);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = ticks.tick() => {}
        }
        let is_there = |namespace: &str, name: &str| {
            let service = ObjectRef::new(name).within(namespace);
            ctx.stores.web_services.get(&service).is_some()
        };
        ctx.certificates.retain(is_there);
        ctx.own_keys.retain(is_there);
        ctx.credentials.retain(is_there);
    }
}

/// Sees that the keys are there which the mode needs. Returns them, what gateways are to go by, and when to look again
/// for time alone.
async fn know(
    service: &WebService,
    parent: &Parent,
    telling: &Telling,
    ctx: &Ctx,
) -> Result<(Known, GatewayPolicy, Option<Duration>), Error> {
    let (state, next) = tokens::ensure(service, parent, ctx).await?.unzip();
    let rules = state
        .as_ref()
        .map(|state| tokens::rules(service, parent, state));
    let (keys, own_keys) = match own_keys::wanted(service) {
        Some(secret) => {
            let (keys, standing) =
                own_keys::ensure(service, parent, secret, rules.as_ref(), telling, ctx).await?;
            (keys, Some(standing))
        }
        None => {
            ctx.own_keys.let_go(&parent.namespace, &parent.name);
            let keys = keystore::ensure(service, parent, rules.as_ref(), telling, ctx).await?;
            (keys, None)
        }
    };
    let policy = build::policy(effective_mode(service), keys.as_ref(), rules.as_ref())?;
    let tokens = state.map_or_else(Vec::new, |state| state.keys().to_vec());
    let known = Known {
        keys,
        own_keys,
        tokens,
        ..Known::default()
    };
    Ok((known, policy, next))
}

/// What there is of the service.
fn observe(service: &WebService, ctx: &Ctx) -> Seen {
    let (namespace, name) = (service.namespace().unwrap_or_default(), service.name_any());
    let deployment = ctx
        .children
        .get(&ChildKey::new(ChildKind::Deployment, &namespace, &name));
    let ours = |pod: &PodView| {
        pod.component.as_deref() == Some("webservice")
            && pod.instance.as_deref() == Some(name.as_str())
    };
    let pods = ctx.children.select(&namespace, |key, seen| {
        key.kind == ChildKind::Pod && !seen.deleting && seen.pod().is_some_and(ours)
    });
    Seen {
        deployment: deployment.and_then(|seen| match seen.view {
            ChildView::Deployment(view) => Some(view),
            _ => None,
        }),
        pods: pods
            .into_iter()
            .filter_map(|(_, seen)| seen.pod().cloned())
            .collect(),
    }
}
