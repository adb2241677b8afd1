//! Reads and writes the Secret that holds a service's keys.
//!
//! The Secret is read only when there is something to do about it. That it is right is told by the digests which the
//! watches leave of it and of the gateways' Secret: nothing is read after a start, and no key is in memory.

use std::collections::BTreeMap;

use atelier_api::gateway_policy::{GatewayPolicy, POLICY_KEY, TokenRules};
use atelier_api::v1alpha1::AuthMode;
use atelier_api::{WebService, labels};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::api::DynamicObject;
use kube::{Api, ResourceExt as _};

use super::keys::{self, Cause, PublicKeys};
use super::telemetry::Telling;
use super::{build, effective_mode};
use crate::ctx::Ctx;
use crate::kit::Error;
use crate::kit::child::{ChildKey, ChildKind};
use crate::kit::children::Seen;
use crate::kit::meta::Parent;
use crate::kit::random;

/// Sees that the keys are there and right, by what gateways are told of them beside `tokens` and `telemetry`. Returns
/// what may be known of them; `None` while keys are off and were never on.
pub async fn ensure(
    service: &WebService,
    parent: &Parent,
    tokens: Option<&TokenRules>,
    telemetry: &Telling,
    ctx: &Ctx,
) -> Result<Option<PublicKeys>, Error> {
    let key = ChildKey::new(
        ChildKind::Secret,
        &parent.namespace,
        &build::keys_secret_name(&parent.name),
    );
    let wanted = service.spec.auth.key_generation;
    let seen = ctx.children.get(&key);
    if let Some(public) = settled(service, parent, tokens, telemetry, ctx)? {
        return Ok(Some(public));
    }
    if seen.is_none() && effective_mode(service) != AuthMode::Key {
        return Ok(None);
    }

    let stored = live(ctx, &key, parent).await?;
    let api: Api<Secret> = Api::namespaced(ctx.client.clone(), &parent.namespace);
    let gateway_name = build::gateway_secret_name(&parent.name);
    let gateway = api
        .get_opt(&gateway_name)
        .await
        .map_err(Error::api(format!("get Secret {gateway_name}")))?;
    let policy = stored
        .as_ref()
        .zip(gateway)
        .and_then(|(keys, gateway)| policy_of(keys, &gateway));

    let decision = keys::decide(
        wanted,
        stored.as_ref().map(pair_of).unwrap_or_default(),
        policy.as_ref(),
        (ctx.clock)(),
        random::bytes,
    )?;
    let desired = build::keys_secret(parent, decision.keys.data()?)?;
    let applied = ctx.applier(super::MANAGER).apply(&desired).await?;
    tell(service, ctx, &decision.remade).await;
    Ok(Some(decision.keys.public(applied.uid)))
}

/// Reads a Secret of the service's to decide by it. What is decided on is what will be replaced: the view agrees with
/// it afterwards.
pub async fn live(ctx: &Ctx, key: &ChildKey, parent: &Parent) -> Result<Option<Secret>, Error> {
    let seen = ctx.children.get(key);
    let api: Api<Secret> = Api::namespaced(ctx.client.clone(), &parent.namespace);
    let stored = api
        .get_opt(&key.name)
        .await
        .map_err(Error::api(format!("get {key}")))?;
    // The keys of a service of the same name that is gone open nothing of this one. They are about to be removed.
    let of_namesake = |seen: &Seen| seen.is_of_namesake(parent.owner());
    if seen.as_ref().is_some_and(of_namesake) {
        return Err(Error::Stale(key.to_string()));
    }
    if stored.as_ref().map(version) != seen.as_ref().map(|seen| seen.version) {
        observe(ctx, key, stored.as_ref(), parent)?;
    }
    Ok(stored)
}

/// What may be known of the keys, if both Secrets are as they should be by what was last seen of them. `tokens` and
/// `telemetry` are the other things that gateways are told.
fn settled(
    service: &WebService,
    parent: &Parent,
    tokens: Option<&TokenRules>,
    telemetry: &Telling,
    ctx: &Ctx,
) -> Result<Option<PublicKeys>, Error> {
    let get = |name: String| {
        let key = ChildKey::new(ChildKind::Secret, &parent.namespace, &name);
        ctx.children.get(&key).filter(|seen| !seen.deleting)
    };
    let keys = get(build::keys_secret_name(&parent.name));
    let gateway = get(build::gateway_secret_name(&parent.name));
    let (Some(keys), Some(gateway)) = (keys, gateway) else {
        return Ok(None);
    };
    let wanted = service.spec.auth.key_generation;
    let Some(shape) = keys.secret().and_then(|view| keys::shape(view, wanted)) else {
        return Ok(None);
    };
    let public = shape.public(keys.uid);
    let policy = build::policy(effective_mode(service), Some(&public), tokens)?;
    let settled = keys.hash == build::keys_secret_hash(parent, &shape)?
        && gateway.hash == build::gateway_secret_hash(parent, &policy, Some(&public), telemetry)?;
    Ok(settled.then_some(public))
}

/// Takes what was read into the view, where it is ours. What is not is left to the write, which tells of it.
fn observe(
    ctx: &Ctx,
    key: &ChildKey,
    stored: Option<&Secret>,
    parent: &Parent,
) -> Result<(), Error> {
    let Some(secret) = stored else {
        return Err(Error::Stale(key.to_string()));
    };
    let object: DynamicObject = serde_json::from_value(serde_json::to_value(secret)?)?;
    let live = Seen::of(ChildKind::Secret, &object);
    if live
        .as_ref()
        .is_some_and(|live| live.is_of_namesake(parent.owner()))
    {
        return Err(Error::Stale(key.to_string()));
    }
    let ours = live.filter(|seen| {
        seen.owner
            .as_ref()
            .is_some_and(|owner| owner.uid == parent.uid())
    });
    match ours {
        Some(seen) => {
            ctx.children.observe(key, seen);
            match ctx.children.get(key).map(|seen| seen.version) == Some(version(secret)) {
                true => Ok(()),
                false => Err(Error::Stale(key.to_string())),
            }
        }
        None => Err(Error::NameConflict(key.clone())),
    }
}

/// The digests that gateways go by, if they were made from this very Secret.
fn policy_of(keys: &Secret, gateway: &Secret) -> Option<GatewayPolicy> {
    let made_from = gateway.annotations().get(labels::KEYS_UID)?;
    if Some(made_from) != keys.metadata.uid.as_ref() {
        return None;
    }
    let document = gateway.data.as_ref()?.get(POLICY_KEY)?;
    GatewayPolicy::from_json(&document.0).ok()
}

async fn tell(service: &WebService, ctx: &Ctx, remade: &[(&'static str, Cause)]) {
    for (slot, cause) in remade {
        match cause {
            Cause::Missing => {
                ctx.events
                    .normal(
                        service,
                        "MakeKey",
                        "KeyMade",
                        &format!("the {slot} key was made"),
                    )
                    .await;
            }
            Cause::Asked => {
                let note = format!(
                    "the {slot} key was made anew, as asked for; the old one no longer works"
                );
                ctx.events
                    .normal(service, "MakeKey", "KeyRegenerated", &note)
                    .await;
            }
            Cause::Tampered => {
                let note = format!(
                    "the {slot} key in the Secret was not the one that gateways know; it was made anew"
                );
                ctx.events
                    .warning(service, "MakeKey", "KeyTampered", &note)
                    .await;
            }
        }
    }
}

/// Both keys as they stand in their Secret.
pub fn pair_of(secret: &Secret) -> [keys::Stored; 2] {
    keys::read(&plain(secret))
}

/// The entries of a Secret with this data.
pub fn entries(data: BTreeMap<String, Vec<u8>>) -> BTreeMap<String, ByteString> {
    data.into_iter()
        .map(|(name, value)| (name, ByteString(value)))
        .collect()
}

/// What is in a Secret.
pub fn plain(secret: &Secret) -> BTreeMap<String, Vec<u8>> {
    let entries = secret.data.iter().flatten();
    entries
        .map(|(name, ByteString(bytes))| (name.clone(), bytes.clone()))
        .collect()
}

fn version(secret: &Secret) -> u64 {
    secret
        .resource_version()
        .and_then(|v| v.parse().ok())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_keys_of_a_service_of_the_same_name_that_is_gone_are_not_taken_over() {
        let service = json!({"apiVersion": "atelier.dev/v1alpha1", "kind": "WebService",
            "metadata": {"name": "svc", "namespace": "n", "uid": "new"}, "spec": {"image": "i"}});
        let service: WebService = serde_json::from_value(service).expect("a service");
        let parent = Parent::of(&service, "team").expect("stored");
        let secret = |owners: serde_json::Value| -> Seen {
            let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "svc-keys",
                "namespace": "n", "uid": "s", "resourceVersion": "1", "ownerReferences": owners}});
            let object = serde_json::from_value(secret).expect("an object");
            Seen::of(ChildKind::Secret, &object).expect("uid and version")
        };
        let of = |uid: &str| {
            secret(
                json!([{"apiVersion": "atelier.dev/v1alpha1", "kind": "WebService",
                "name": "svc", "uid": uid, "controller": true}]),
            )
        };
        let is_anothers = |secret: Seen| secret.is_of_namesake(parent.owner());
        assert!(is_anothers(of("old")));
        assert!(!is_anothers(of("new")));
        // Whose owner somebody took away is known by its uid, further on.
        assert!(!is_anothers(secret(json!([]))));
    }
}
