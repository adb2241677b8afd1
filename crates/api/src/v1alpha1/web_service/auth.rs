//! Who may call a service, and what may be known of the keys.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::v1alpha1::SecretRef;

/// Who may call a service.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Auth {
    /// `Key`: a request must carry one of the two keys. `Token`: it must carry a token, which the action `token` gives
    /// to whoever may read the service; for class Cluster only. `None`: anybody may call. Absent: the class's default,
    /// which is `Key` for Cluster and `None` for Instance. Keys survive being turned off and on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<AuthMode>,
    /// A Secret with two keys of your own, under `primary` and `secondary`: each 32 to 512 visible ASCII characters, as
    /// random as a key has to be. Change one there, and within a second the old one is refused. While it is named,
    /// nobody is shown the keys by way of the service, none is made, and `keyGeneration` does nothing. What cannot be
    /// two keys is refused, and those from before go on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keys_secret_ref: Option<SecretRef>,
    /// Raise a slot's number to make its key anew. The old key stops working within a second; the other slot is
    /// untouched. Lowering a number does nothing.
    #[serde(default)]
    pub key_generation: KeyGeneration,
    /// How long tokens are good, and the keys that sign them.
    #[serde(default)]
    pub tokens: Tokens,
    /// Tokens that are good no more, within a second. Names may be taken off again once the tokens' time is over.
    #[serde(default)]
    pub revoked: Revoked,
}

/// How long tokens are good, and the keys that sign them.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Tokens {
    /// Seconds that a token is good. Its bearer is told to ask for another at half time.
    #[serde(default = "token_lifetime")]
    #[schemars(range(min = 60, max = 2_592_000))]
    pub lifetime_seconds: i64,
    /// Seconds after which another key signs. The one before goes on being accepted until the last token that it has
    /// signed is over, so nobody notices. At least a quarter of the tokens' lifetime.
    #[serde(default = "rotation")]
    #[schemars(range(min = 15, max = 31_536_000))]
    pub rotation_seconds: i64,
    /// Raise it to forget all signing keys at once: every token that was given out before is refused within a second.
    /// Lowering it does nothing.
    #[serde(default = "first_generation")]
    #[schemars(range(min = 1))]
    pub generation: i64,
}

fn token_lifetime() -> i64 {
    86_400
}

fn rotation() -> i64 {
    2_592_000
}

impl Default for Tokens {
    fn default() -> Self {
        Self {
            lifetime_seconds: token_lifetime(),
            rotation_seconds: rotation(),
            generation: first_generation(),
        }
    }
}

/// Tokens that are good no more.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Revoked {
    /// Names of callers: all tokens that they were given, and will be given.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256), inner(length(min = 1, max = 256)))]
    #[schemars(extend("x-kubernetes-list-type" = "set"))]
    pub subjects: Vec<String>,
    /// Names of tokens, as they stand in their claim `jti`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256), inner(length(min = 1, max = 64)))]
    #[schemars(extend("x-kubernetes-list-type" = "set"))]
    pub tokens: Vec<String>,
}

/// How callers prove who they are.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
#[allow(missing_docs)]
pub enum AuthMode {
    Key,
    Token,
    None,
}

/// The generation asked for of each key.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct KeyGeneration {
    /// Generation of the primary key.
    #[serde(default = "first_generation")]
    #[schemars(range(min = 1))]
    pub primary: i64,
    /// Generation of the secondary key.
    #[serde(default = "first_generation")]
    #[schemars(range(min = 1))]
    pub secondary: i64,
}

fn first_generation() -> i64 {
    1
}

impl Default for KeyGeneration {
    fn default() -> Self {
        Self {
            primary: first_generation(),
            secondary: first_generation(),
        }
    }
}

/// The two keys, without their values.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct KeysStatus {
    /// The primary key.
    pub primary: KeyStatus,
    /// The secondary key.
    pub secondary: KeyStatus,
}

/// What may be known of a key by anybody who may read the service.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct KeyStatus {
    /// How often the key was asked to be made anew, from 1.
    pub generation: i64,
    /// When it was made; of a key of your own, when it was first seen.
    pub created_at: Time,
    /// The first 8 hexadecimal digits of the key's SHA-256 digest.
    #[schemars(length(max = 8))]
    pub fingerprint: String,
}

/// A key that signs tokens, or has signed some that are still good.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TokenKeyStatus {
    /// Its name, which tokens give as `kid`.
    #[schemars(length(max = 16))]
    pub id: String,
    /// From when on it signs.
    pub signs_from: Time,
    /// Until when tokens of it are accepted, if another has taken over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accepted_until: Option<Time>,
}
