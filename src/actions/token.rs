//! `webservices/token`: a token that opens the service for a while, in the caller's name.

use std::time::Duration;

use atelier_api::WebService;
use atelier_api::actions::{AccessToken, Kinded as _};
use atelier_api::gateway_policy::{GatewayPolicy, POLICY_KEY};
use atelier_api::subject;
use atelier_api::v1alpha1::AuthMode;
use atelier_apiserver::{Call, Reason, Refusal};
use atelier_token::{Claims, SigningKey};
use jiff::SignedDuration;
use k8s_openapi::api::core::v1::Secret;
use kube::{Api, ResourceExt as _};
use uuid::Builder;

use super::Deps;
use super::object::{get, named};
use crate::kit::random;
use crate::web_service::keystore::plain;
use crate::web_service::tokens::{audience, signing_key};
use crate::web_service::{effective_mode, gateway_secret_name, tokens_secret_name};

const SOON: Duration = Duration::from_secs(1);

/// Signs a token. No token is given out that a gateway could not know yet.
pub async fn give(deps: Deps, call: Call) -> Result<AccessToken, Refusal> {
    let service: WebService = get(&deps.client, &call).await?;
    if effective_mode(&service) != AuthMode::Token {
        return Err(Refusal::conflict(
            "this service takes no tokens: set spec.auth.mode to Token",
        ));
    }
    let caller = &call.caller.user;
    if subject::encoded(caller).len() > subject::LONGEST {
        let why = "your name is too long for a token";
        return Err(Refusal::new(Reason::Invalid, why));
    }
    if service.spec.auth.revoked.subjects.contains(caller) {
        let why = "tokens of yours are revoked for this service (spec.auth.revoked.subjects)";
        return Err(Refusal::new(Reason::Forbidden, why));
    }
    let now = (deps.clock)();
    let key = key(&deps, &call, &service).await?;
    let random = random::bytes().map_err(|error| Refusal::internal(error.to_string()))?;
    let id = Builder::from_random_bytes(random).into_uuid().to_string();
    let uid = service.uid().unwrap_or_default();
    let audience = audience(&call.object.namespace, &call.object.name, &uid);
    let lifetime = SignedDuration::from_secs(service.spec.auth.tokens.lifetime_seconds);
    let claims = Claims::new(caller, audience, id, now, lifetime);
    let signed = key.sign(&claims);
    Ok(AccessToken {
        types: AccessToken::types(),
        metadata: named(&call),
        access_token: signed.map_err(|error| Refusal::internal(error.to_string()))?,
        token_type: "Bearer".into(),
        refresh_after: claims.refresh_after(),
        expiry_on: claims.exp,
    })
}

/// The key that signs at this moment, once gateways are told of it.
async fn key(deps: &Deps, call: &Call, service: &WebService) -> Result<SigningKey, Refusal> {
    let name = &call.object.name;
    let secret = read(deps, call, service, &tokens_secret_name(name)).await?;
    let key = signing_key(&plain(&secret), (deps.clock)()).ok_or_else(unready)?;
    let gateway = read(deps, call, service, &gateway_secret_name(name)).await?;
    let document = gateway.data.as_ref().and_then(|data| data.get(POLICY_KEY));
    let policy = document.and_then(|bytes| GatewayPolicy::from_json(&bytes.0).ok());
    match policy {
        Some(GatewayPolicy::Token { tokens, .. }) if tokens.keys.contains(key.public()) => Ok(key),
        _ => Err(unready()),
    }
}

/// One of the service's Secrets. It has to be this very service's: what is left of one of the same name signs nothing.
async fn read(
    deps: &Deps,
    call: &Call,
    service: &WebService,
    name: &str,
) -> Result<Secret, Refusal> {
    let api: Api<Secret> = Api::namespaced(deps.client.clone(), &call.object.namespace);
    let secret = api.get_opt(name).await;
    let secret = secret.map_err(|error| Refusal::from_api("read the keys of tokens", &error))?;
    let uid = service.uid().unwrap_or_default();
    let is_ours = |secret: &Secret| secret.owner_references().iter().any(|o| o.uid == uid);
    secret.filter(is_ours).ok_or_else(unready)
}

fn unready() -> Refusal {
    let message = "the keys that sign tokens are not made yet, or the gateways are not told yet";
    Refusal::unavailable(message, SOON)
}
