//! `webservices/listkeys` and `webservices/regeneratekey`.

use std::time::Duration;

use atelier_api::WebService;
use atelier_api::actions::{KeyRegeneration, KeyType, Kinded as _, RegeneratedKey, ServiceKeys};
use atelier_api::gateway_policy::{GatewayPolicy, KeyDigest, POLICY_KEY};
use atelier_api::v1alpha1::AuthMode;
use atelier_apiserver::{Call, Reason, Refusal};
use k8s_openapi::api::core::v1::Secret;
use kube::api::PostParams;
use kube::runtime::wait::await_condition;
use kube::{Api, ResourceExt as _};

use super::Deps;
use super::object::{MANAGER, get, named};
use crate::kit::{Error, random};
use crate::web_service::keys::{Key, Keys, Stored, fingerprint, regenerate as anew};
use crate::web_service::keystore::{entries, pair_of};
use crate::web_service::{effective_mode, gateway_secret_name, keys_secret_name, own_keys};

/// How long the leading replica may take to tell the gateways.
const TOLD: Duration = Duration::from_secs(20);
const SOON: Duration = Duration::from_secs(1);
/// How often to try when somebody else writes the keys at the same time.
const TRIES: usize = 5;

/// Both keys.
pub async fn list(deps: Deps, call: Call) -> Result<ServiceKeys, Refusal> {
    let service: WebService = get(&deps.client, &call).await?;
    of_the_service(&service)?;
    let (_, stored) = read(&deps, &call, &service).await?;
    let keys = both(stored)?;
    Ok(ServiceKeys {
        types: ServiceKeys::types(),
        metadata: named(&call),
        primary_key: keys.primary.reveal().to_owned(),
        secondary_key: keys.secondary.reveal().to_owned(),
    })
}

/// Keys that the team keeps itself are neither shown nor made here: who may name a Secret need not be one who may read it.
fn of_the_service(service: &WebService) -> Result<(), Refusal> {
    let Some(secret) = own_keys::wanted(service) else {
        return Ok(());
    };
    Err(Refusal::conflict(format!(
        "the keys of this service stand in Secret {secret}, which its team keeps (spec.auth.keysSecretRef): read or \
         change them there"
    )))
}

/// One key made anew. Answers once the gateways' Secret has the new digest and no longer the old one.
pub async fn regenerate(
    deps: Deps,
    call: Call,
    asked: KeyRegeneration,
) -> Result<RegeneratedKey, Refusal> {
    let service: WebService = get(&deps.client, &call).await?;
    of_the_service(&service)?;
    let which = asked.key_type;
    // Decided once: a try that went unanswered and had been done is found to be done.
    let fresh = random::bytes().map_err(|error| Refusal::internal(error.to_string()))?;
    let key = write(&deps, &call, &service, which, fresh).await?;
    let digest = key.digest();
    let told = tokio::time::timeout(TOLD, told(&deps, &call, which, digest.clone())).await;
    match told {
        Ok(told) => told?,
        Err(_) => {
            let message = format!(
                "the {which:?} key was made anew, but the gateways have not been told within {TOLD:?}: until the \
                 operator leads again the old key opens the service"
            );
            return Err(Refusal::new(Reason::Timeout, message));
        }
    }
    Ok(RegeneratedKey {
        types: RegeneratedKey::types(),
        metadata: named(&call),
        key_type: which,
        fingerprint: fingerprint(&digest),
        created_at: key.created_at(),
    })
}

/// Writes the new key into the Secret as it was read: who wrote meanwhile is not undone.
async fn write(
    deps: &Deps,
    call: &Call,
    service: &WebService,
    which: KeyType,
    fresh: [u8; 32],
) -> Result<Key, Refusal> {
    let api: Api<Secret> = Api::namespaced(deps.client.clone(), &call.object.namespace);
    let params = PostParams {
        field_manager: Some(MANAGER.into()),
        ..PostParams::default()
    };
    for _ in 0..TRIES {
        let (mut secret, stored) = read(deps, call, service).await?;
        let keys = anew(stored, which, (deps.clock)(), fresh).ok_or_else(unready)?;
        let data = keys
            .data()
            .map_err(|error| Refusal::internal(error.to_string()))?;
        secret.data = Some(entries(data));
        let name = secret.name_any();
        match api.replace(&name, &params, &secret).await {
            Ok(_) => return Ok(slot(keys, which)),
            Err(kube::Error::Api(status)) if status.code == 409 => {}
            Err(error) => return Err(Refusal::from_api("write the keys", &error)),
        }
    }
    Err(
        Refusal::conflict("somebody else writes the keys all the time; ask again")
            .retry_after(SOON),
    )
}

fn slot(keys: Keys, which: KeyType) -> Key {
    match which {
        KeyType::Primary => keys.primary,
        KeyType::Secondary => keys.secondary,
    }
}

/// Waits until the gateways' Secret has the digest.
async fn told(deps: &Deps, call: &Call, which: KeyType, digest: KeyDigest) -> Result<(), Refusal> {
    let api: Api<Secret> = Api::namespaced(deps.client.clone(), &call.object.namespace);
    let name = gateway_secret_name(&call.object.name);
    let has = move |secret: Option<&Secret>| {
        let document = secret.and_then(|secret| secret.data.as_ref()?.get(POLICY_KEY));
        let policy = document.and_then(|bytes| GatewayPolicy::from_json(&bytes.0).ok());
        let keys = policy.as_ref().and_then(GatewayPolicy::keys);
        keys.is_some_and(|keys| match which {
            KeyType::Primary => keys.primary.sha256 == digest,
            KeyType::Secondary => keys.secondary.sha256 == digest,
        })
    };
    let waited = await_condition(api, &name, has).await;
    waited.map(drop).map_err(|_| {
        Refusal::unavailable(
            "the key was made anew; whether the gateways know cannot be told",
            SOON,
        )
    })
}

/// The Secret with the keys, and the keys in it. It has to be this very service's: what is left of one of the same
/// name opens nothing.
async fn read(
    deps: &Deps,
    call: &Call,
    service: &WebService,
) -> Result<(Secret, [Stored; 2]), Refusal> {
    let api: Api<Secret> = Api::namespaced(deps.client.clone(), &call.object.namespace);
    let secret = api.get_opt(&keys_secret_name(&call.object.name)).await;
    let secret = secret.map_err(|error| Refusal::from_api("read the keys", &error))?;
    let uid = service.uid().unwrap_or_default();
    let is_ours = |secret: &Secret| secret.owner_references().iter().any(|o| o.uid == uid);
    match secret.filter(is_ours) {
        Some(secret) => {
            let stored = pair_of(&secret);
            Ok((secret, stored))
        }
        None if effective_mode(service) != AuthMode::Key => Err(Refusal::conflict(
            "keys are off for this service: set spec.auth.mode to Key to have some made",
        )),
        None => Err(unready()),
    }
}

fn both([primary, secondary]: [Stored; 2]) -> Result<Keys, Refusal> {
    let (Some(primary), Some(secondary)) = (primary, secondary) else {
        return Err(unready());
    };
    Ok(Keys { primary, secondary })
}

fn unready() -> Refusal {
    let message =
        "the keys are not made yet, or somebody damaged them and they are being made anew";
    Refusal::unavailable(message, SOON)
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Refusal::internal(error.to_string())
    }
}
