//! Makes an embedded storage, and says whether its server runs.

use std::collections::BTreeMap;
use std::time::Duration;

use atelier_api::Workspace;
use k8s_openapi::api::core::v1::Secret;
use kube::Api;

use super::build;
use crate::ctx::Ctx;
use crate::kit::apply::Applier;
use crate::kit::child::{ChildKey, ChildKind};
use crate::kit::children::{SecretView, View};
use crate::kit::meta::Parent;
use crate::kit::{Error, certificate, random};
use crate::workspace::{MANAGER, volume};

/// Shortest secret of an access key that is taken for one: ours have 64 characters.
const SHORTEST: usize = 32;

/// How far the server is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Server {
    /// It answers.
    Runs,
    /// It does not, because of this.
    Starts(String),
    /// Nobody signs its certificate.
    NoAuthority,
}

/// Makes it. Says, too, when to look at its certificate again.
pub async fn make(
    workspace: &Workspace,
    parent: &Parent,
    ctx: &Ctx,
) -> Result<(Server, Option<Duration>), Error> {
    let Some(issuer) = &ctx.issuer else {
        return Ok((Server::NoAuthority, None));
    };
    let parent = &parent.part(build::COMPONENT);
    let applier = ctx.applier(MANAGER);
    if !volume::ensure(&build::volume(workspace, parent)?, parent, &applier).await? {
        return Ok((Server::Starts(volume::GOING.into()), None));
    }
    key(parent, &applier).await?;
    let leaf = build::certificate(parent);
    let Some(next) = certificate::ensure(parent, &leaf, issuer, &applier).await? else {
        let why = "waits for the certificate authority".to_owned();
        return Ok((Server::Starts(why), None));
    };
    applier.apply(&build::service(parent)?).await?;
    let deployment = build::deployment(parent, &ctx.settings)?;
    applier.apply(&deployment).await?;
    Ok((observe(&deployment.key, ctx), Some(next)))
}

/// Sees that there is an access key. One that is there is left as it is; the Secret is read only to put back what else
/// somebody changed on it.
async fn key(parent: &Parent, applier: &Applier<'_>) -> Result<(), Error> {
    let name = build::name(&parent.name);
    let key = ChildKey::new(ChildKind::Secret, &parent.namespace, &name);
    let seen = applier.children.get(&key);
    let seen = seen.filter(|seen| !seen.deleting);
    if let Some(seen) = &seen
        && let Some(view) = seen.secret().filter(|view| has_key(view))
        && seen.hash == build::key_secret_hash(parent, view.digests())?
    {
        return Ok(());
    }
    let api: Api<Secret> = Api::namespaced(applier.client.clone(), &parent.namespace);
    let live = match seen {
        Some(_) => api.get_opt(&name).await,
        None => Ok(None),
    };
    let live = live.map_err(Error::api(format!("get {key}")))?;
    let data = live.and_then(|secret| secret.data).unwrap_or_default();
    let mut data: BTreeMap<_, _> = data
        .into_iter()
        .map(|(id, secret)| (id, secret.0))
        .filter(|(id, secret)| is_key(id, secret.len()))
        .collect();
    if data.is_empty() {
        data.extend([new_key()?]);
    }
    let desired = build::key_secret(parent, data)?;
    applier.apply(&desired).await.map(drop)
}

/// A new access key: its id, and the secret.
pub fn new_key() -> Result<(String, Vec<u8>), Error> {
    let id = format!("ATL{}", hex(&random::bytes::<8>()?).to_uppercase());
    Ok((id, hex(&random::bytes::<32>()?).into_bytes()))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn has_key(view: &SecretView) -> bool {
    let mut entries = view.entries().peekable();
    entries.peek().is_some() && entries.all(|(id, entry)| is_key(id, entry.length))
}

/// What the server takes for one.
pub fn is_key(id: &str, length: usize) -> bool {
    let alphanumeric = id.chars().all(|c| c.is_ascii_alphanumeric());
    alphanumeric && (3..=128).contains(&id.len()) && length >= SHORTEST
}

/// Whether the server answers, and if not, why: by what is known of its pods.
fn observe(deployment: &ChildKey, ctx: &Ctx) -> Server {
    let seen = ctx.children.get(deployment);
    let (available, refused) = match seen.map(|seen| seen.view) {
        Some(View::Deployment(view)) => (view.available > 0, view.refused),
        _ => (false, None),
    };
    if available {
        return Server::Runs;
    }
    let pods = ctx.children.select(&deployment.namespace, |key, seen| {
        let pod = seen.pod();
        key.kind == ChildKind::Pod
            && !seen.deleting
            && pod.is_some_and(|pod| pod.component.as_deref() == Some(build::COMPONENT))
    });
    let pods = pods.iter().filter_map(|(_, seen)| seen.pod());
    let cause = |pod: &crate::kit::pod::PodView| {
        let unusable = pod.cannot_start();
        let unusable = unusable.map(|(reason, message)| format!("{reason}: {message}"));
        pod.unschedulable.clone().or(unusable)
    };
    let cause = refused.or_else(|| pods.into_iter().find_map(cause));
    Server::Starts(cause.unwrap_or_else(|| "its pod is starting".into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_server_would_not_take_is_no_key() {
        assert!(is_key("ATL0123", 64));
        assert!(!is_key("ATL0123", 31));
        assert!(!is_key("a.b", 64) && !is_key("ab", 64));
    }
}
