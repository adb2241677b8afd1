//! Policies and tokens.

use std::{fs, path::Path};

use atelier_api::gateway_policy::{
    GatewayPolicy, KeyDigest, KeySlot, KeySlots, Revoked, TokenRules,
};
use atelier_token::{Claims, SigningKey};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jiff::{SignedDuration, Timestamp};
use sha2::{Digest as _, Sha256};

use crate::Failure;

/// What tokens are for.
const AUDIENCE: [&str; 2] = ["ml/iris", "2f0c1a52-0000-4000-8000-000000000000"];

/// The two keys of the policies, as long as real ones.
pub fn keys() -> [String; 2] {
    ["p", "s"].map(|letter| format!("atl_{}", letter.repeat(43)))
}

/// Only a holder of one of the two keys may pass.
pub fn key_policy() -> GatewayPolicy {
    let [primary, secondary] = keys().map(|key| KeySlot {
        generation: 1,
        sha256: KeyDigest::new(Sha256::digest(key).into()),
    });
    GatewayPolicy::Key {
        keys: KeySlots { primary, secondary },
    }
}

/// Only a holder of a token by this key may pass.
pub fn token_policy(key: &SigningKey) -> GatewayPolicy {
    GatewayPolicy::Token {
        keys: None,
        tokens: TokenRules {
            audience: AUDIENCE.map(str::to_owned),
            keys: vec![key.public().clone()],
            revoked: Revoked::default(),
        },
    }
}

/// A token for the n-th caller, good for a day from now.
pub fn token(key: &SigningKey, n: usize) -> Result<String, Failure> {
    let claims = Claims::new(
        &format!("system:serviceaccount:ml:caller-{n}"),
        AUDIENCE.map(str::to_owned),
        format!("{n:032x}"),
        Timestamp::now(),
        SignedDuration::from_hours(24),
    );
    Ok(key.sign(&claims)?)
}

/// Writes `none.json`, `key.json`, `token.json`, `tokens` and `jwks.json`.
pub fn write(dir: &Path, count: usize) -> Result<(), Failure> {
    let key = SigningKey::generate()?;
    for (name, policy) in [
        ("none.json", GatewayPolicy::None { keys: None }),
        ("key.json", key_policy()),
        ("token.json", token_policy(&key)),
    ] {
        fs::write(dir.join(name), policy.to_json()?)?;
    }
    let tokens: Result<Vec<String>, Failure> = (0..count).map(|n| token(&key, n)).collect();
    fs::write(dir.join("tokens"), tokens?.join("\n") + "\n")?;

    let (x, y) = key.public().point.as_bytes()[1..].split_at(32);
    let jwk = serde_json::json!({
        "kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig",
        "kid": key.public().id,
        "x": URL_SAFE_NO_PAD.encode(x), "y": URL_SAFE_NO_PAD.encode(y),
    });
    fs::write(
        dir.join("jwks.json"),
        serde_json::json!({"keys": [jwk]}).to_string(),
    )?;
    Ok(())
}
