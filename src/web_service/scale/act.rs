//! Makes a Deployment have as many replicas as was decided.
//!
//! By server-side apply on its scale, in the name of a manager of our own, on the version that was looked at. The main
//! manager writes Deployments whole and puts in what stands there: so neither ever undoes the other, and there is no
//! moment at which nobody has claimed the number.

use atelier_api::WebService;
use k8s_openapi::api::apps::v1::Deployment;
use kube::api::{Patch, PatchParams};
use kube::{Api, ResourceExt as _};
use serde_json::json;
use tokio::time::Instant;

use super::heard::Answering;
use super::{Follows, Scaling, unsigned};
use crate::ctx::Ctx;
use crate::kit::Error;
use crate::kit::child::{ChildKey, ChildKind};
use crate::kit::children::{Children, DeploymentView, Seen, View};
use crate::kit::meta::Parent;

/// The field manager of the number of replicas, and of nothing else.
const MANAGER: &str = "atelier-autoscaler";

/// How many replicas a service is to have, where they follow its load.
pub fn plan(service: &WebService, parent: &Parent, ctx: &Ctx) -> Option<Scaling> {
    let Some(scale) = &service.spec.autoscale else {
        ctx.scaler.forget(&parent.namespace, &parent.name);
        return None;
    };
    if ctx.settings.intake.is_none() {
        return Some(Scaling::NoAuthority);
    }
    let live = look(&ctx.children, parent).map(|(_, view)| view.wanted);
    let answering = answering(&ctx.children, parent);
    let follows = ctx
        .scaler
        .decide(service, scale, live, answering, Instant::now());
    Some(Scaling::Follows(follows))
}

/// How many replicas a Deployment is made with.
pub fn first(service: &WebService, scaling: &Scaling, parent: &Parent, ctx: &Ctx) -> i32 {
    let live = look(&ctx.children, parent).map(|(_, view)| view.wanted);
    let told = service.status.as_ref().and_then(|status| status.autoscale);
    let (told, min) = (
        told.map(|told| told.desired_replicas),
        service.spec.autoscale.map_or(1, |scale| scale.min),
    );
    match scaling {
        Scaling::Follows(follows) => follows.status().desired_replicas,
        Scaling::NoAuthority => live.or(told).unwrap_or(min),
    }
}

/// Sees that there are to be as many as was decided, and that this is ours to say.
pub async fn act(follows: &Follows, parent: &Parent, ctx: &Ctx) -> Result<(), Error> {
    let Some((seen, view)) = look(&ctx.children, parent) else {
        return Ok(());
    };
    let desired = follows.status().desired_replicas;
    if view.wanted != desired || view.claimed_by.as_deref() != Some(MANAGER) {
        write(&seen, &view, desired, parent, ctx).await?;
    }
    ctx.scaler.done(&parent.namespace, &parent.name);
    Ok(())
}

async fn write(
    seen: &Seen,
    view: &DeploymentView,
    desired: i32,
    parent: &Parent,
    ctx: &Ctx,
) -> Result<(), Error> {
    ctx.claim.check()?;
    let body = json!({
        "apiVersion": "autoscaling/v1",
        "kind": "Scale",
        "metadata": {
            "name": parent.name,
            "namespace": parent.namespace,
            "uid": seen.uid,
            "resourceVersion": seen.version.to_string(),
        },
        "spec": {"replicas": desired},
    });
    let api: Api<Deployment> = Api::namespaced(ctx.client.clone(), &parent.namespace);
    let params = PatchParams::apply(MANAGER).force();
    let patch = Patch::Apply(&body);
    let written = api.patch_scale(&parent.name, &params, &patch);
    let what = format!("scale Deployment {} to {desired}", parent.name);
    let written = written.await.map_err(Error::write(&parent.name, what))?;
    if view.wanted != desired {
        let (now, target) = (unsigned(view.wanted), unsigned(desired));
        ctx.metrics.scaled(if target > now { "up" } else { "down" });
    }
    // The view has it at once. What else is in it is as it was: the write was on that version.
    let version = written.resource_version().and_then(|v| v.parse().ok());
    if let Some(version) = version {
        let changed = i64::from(view.wanted != desired);
        let view = DeploymentView {
            wanted: desired,
            claimed_by: Some(MANAGER.into()),
            generation: view.generation + changed,
            ..view.clone()
        };
        let after = Seen {
            version,
            view: View::Deployment(view),
            ..seen.clone()
        };
        ctx.children.observe(&key(parent), after);
    }
    Ok(())
}

fn key(parent: &Parent) -> ChildKey {
    ChildKey::new(ChildKind::Deployment, &parent.namespace, &parent.name)
}

/// The service's Deployment, if it is this service's and there to stay.
fn look(children: &Children, parent: &Parent) -> Option<(Seen, DeploymentView)> {
    let seen = children.get(&key(parent)).filter(|seen| !seen.deleting)?;
    let owner = seen.owner.as_ref()?;
    if owner.uid != parent.uid() {
        return None;
    }
    match seen.view.clone() {
        View::Deployment(view) => Some((seen, view)),
        _ => None,
    }
}

/// The replicas that answer.
fn answering(children: &Children, parent: &Parent) -> Vec<Answering> {
    let pods = children.select(&parent.namespace, |key, seen| {
        let pod = seen.pod().filter(|_| key.kind == ChildKind::Pod);
        !seen.deleting
            && pod.is_some_and(|pod| {
                pod.ready
                    && pod.component.as_deref() == Some("webservice")
                    && pod.instance.as_deref() == Some(parent.name.as_str())
            })
    });
    let answering = |(key, seen): (ChildKey, Seen)| Answering {
        uid: seen.uid,
        name: key.name,
        since: None,
    };
    pods.into_iter().map(answering).collect()
}
