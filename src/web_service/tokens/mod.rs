//! The keys that sign a service's tokens (docs/design/tokens.md): a Secret of the operator's, which nobody but the
//! operator has to read. That it is right is told by digests; it is read only when there is something to do about it.

pub mod decide;

use std::collections::BTreeMap;
use std::time::Duration;

use atelier_api::WebService;
use atelier_api::gateway_policy::{Revoked, TokenRules};
use atelier_api::v1alpha1::AuthMode;
use atelier_token::SigningKey;
use jiff::Timestamp;

use super::keystore::{live, plain};
use super::{build, effective_mode};
use crate::ctx::Ctx;
use crate::kit::Error;
use crate::kit::child::{ChildKey, ChildKind};
use crate::kit::meta::Parent;
use decide::{State, decide};

/// How often to look at the keys at least: clocks can be set.
const LOOK_AGAIN: Duration = Duration::from_secs(3600);
/// The shortest wait.
const SOON: Duration = Duration::from_millis(100);

/// Sees that there are keys where tokens are asked for. Returns what is noted of them, and when to look again.
pub async fn ensure(
    service: &WebService,
    parent: &Parent,
    ctx: &Ctx,
) -> Result<Option<(State, Duration)>, Error> {
    if effective_mode(service) != AuthMode::Token {
        return Ok(None);
    }
    let (wanted, now) = (&service.spec.auth.tokens, (ctx.clock)());
    let name = build::tokens_secret_name(&parent.name);
    let key = ChildKey::new(ChildKind::Secret, &parent.namespace, &name);
    let seen = ctx.children.get(&key).filter(|seen| !seen.deleting);
    if let Some(seen) = &seen
        && let Some(state) = seen.secret().and_then(State::of)
    {
        let decision = decide(Some(&state), wanted, now);
        let untouched = seen.hash == build::tokens_secret_hash(parent, seen.secret())?;
        if decision.keeps(&state) && untouched {
            return Ok(Some((state, until(decision.again, now))));
        }
    }
    let stored = live(ctx, &key, parent).await?;
    let data = stored.as_ref().map(plain).unwrap_or_default();
    let before = State::of_data(&data);
    let decision = decide(before.as_ref(), wanted, now);
    let fresh = decision.make.map(|_| SigningKey::generate()).transpose();
    let fresh = fresh.map_err(|error| Error::Random(error.to_string()))?;
    let state = match (&fresh, decision.make) {
        (Some(fresh), Some(signs_from)) => decision.state.with(fresh, signs_from),
        _ => decision.state,
    };
    let desired = build::tokens_secret(parent, state.data(&data, fresh.as_ref())?)?;
    let applied = ctx.applier(super::MANAGER).apply(&desired).await?;
    if applied.written && fresh.is_some() {
        tell(service, ctx, state.keys().len() > 1).await;
    }
    Ok(Some((state, until(decision.again, now))))
}

/// What gateways are told of tokens.
pub fn rules(service: &WebService, parent: &Parent, state: &State) -> TokenRules {
    let revoked = &service.spec.auth.revoked;
    TokenRules {
        audience: audience(&parent.namespace, &parent.name, parent.uid()),
        keys: state.keys().iter().map(decide::Noted::public).collect(),
        revoked: Revoked {
            subjects: revoked.subjects.clone(),
            tokens: revoked.tokens.clone(),
        },
    }
}

/// What a service's tokens are for.
pub fn audience(namespace: &str, name: &str, uid: &str) -> [String; 2] {
    [format!("{namespace}/{name}"), uid.to_owned()]
}

/// The key that signs at this moment, out of the Secret's data.
pub fn signing_key(data: &BTreeMap<String, Vec<u8>>, now: Timestamp) -> Option<SigningKey> {
    let state = State::of_data(data)?;
    let signs = state.signs(now)?;
    SigningKey::from_pkcs8(data.get(&signs.entry())?).ok()
}

async fn tell(service: &WebService, ctx: &Ctx, overlaps: bool) {
    let note = match overlaps {
        true => "another key is about to sign tokens; those of the one before stay good",
        false => "a key was made that signs tokens; no earlier token is good",
    };
    ctx.events
        .normal(service, "MakeKey", "TokenKeyMade", note)
        .await;
}

fn until(at: Timestamp, now: Timestamp) -> Duration {
    let left = Duration::try_from(at.duration_since(now)).unwrap_or_default();
    left.clamp(SOON, LOOK_AGAIN)
}
