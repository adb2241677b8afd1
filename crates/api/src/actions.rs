//! The actions on our resources: what is asked of `actions.atelier.dev/v1alpha1` and what it answers.
//!
//! An action is a subresource, so that Kubernetes' own authentication, roles and audit apply to it. Those that change or
//! disclose something are POST (`create`), those that show something are GET (`get`).

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::core::TypeMeta;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::v1alpha1::{Grant, RunState};

/// API group of the actions.
pub const GROUP: &str = "actions.atelier.dev";
/// Version of the actions.
pub const VERSION: &str = "v1alpha1";
/// What the name of a Secret begins with that `storecredential` makes. Nobody else may make such names.
pub const CREDENTIAL_PREFIX: &str = "atelier-credential-";

/// The header by which an answer of `webservices/data` (GET: gzip, of a line of JSON for each call) says that there is
/// more: its value is the parameter `continue` of the next request.
pub const CONTINUE: &str = "x-atelier-continue";

/// An answer or a request body, which names its kind like every object of Kubernetes.
pub trait Kinded {
    /// Its kind.
    const KIND: &'static str;

    /// `apiVersion` and `kind`.
    #[must_use]
    fn types() -> TypeMeta {
        TypeMeta {
            api_version: format!("{GROUP}/{VERSION}"),
            kind: Self::KIND.into(),
        }
    }
}

macro_rules! kinded {
    ($($kind:ident),*) => {$(
        impl Kinded for $kind {
            const KIND: &'static str = stringify!($kind);
        }
    )*};
}

kinded!(
    ServiceKeys,
    KeyRegeneration,
    RegeneratedKey,
    AccessToken,
    CredentialStorage,
    StoredCredential,
    KeyResync,
    RunCancellation,
    RunExplanation
);

/// One of a service's two keys.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
#[allow(missing_docs)]
pub enum KeyType {
    Primary,
    Secondary,
}

/// Answer of `webservices/listkeys` (POST, no body): both keys of a service.
#[derive(Serialize, Deserialize, Clone, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ServiceKeys {
    /// `apiVersion` and `kind`.
    #[serde(flatten)]
    pub types: TypeMeta,
    /// Name and namespace of the service.
    pub metadata: ObjectMeta,
    /// The primary key.
    pub primary_key: String,
    /// The secondary key.
    pub secondary_key: String,
}

// Keys never reach a log through Debug.
impl std::fmt::Debug for ServiceKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ServiceKeys").finish_non_exhaustive()
    }
}

/// Body of `webservices/regeneratekey` (POST).
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct KeyRegeneration {
    /// `apiVersion` and `kind`; may be left out.
    #[serde(flatten, default, skip_serializing_if = "Option::is_none")]
    pub types: Option<TypeMeta>,
    /// Which key. The other is not touched.
    pub key_type: KeyType,
}

/// Answer of `webservices/regeneratekey`, once every gateway has been told: the old key opens nothing from then on.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct RegeneratedKey {
    /// `apiVersion` and `kind`.
    #[serde(flatten)]
    pub types: TypeMeta,
    /// Name and namespace of the service.
    pub metadata: ObjectMeta,
    /// Which key.
    pub key_type: KeyType,
    /// The first 8 hexadecimal digits of the new key's SHA-256.
    pub fingerprint: String,
    /// When the new key was made.
    pub created_at: Timestamp,
}

/// Answer of `webservices/token` (POST, no body): a token that opens the service, in the name of whoever asked.
#[derive(Serialize, Deserialize, Clone, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct AccessToken {
    /// `apiVersion` and `kind`.
    #[serde(flatten)]
    pub types: TypeMeta,
    /// Name and namespace of the service.
    pub metadata: ObjectMeta,
    /// The token.
    pub access_token: String,
    /// How it is presented: always `Bearer`.
    pub token_type: String,
    /// When to ask for another, in seconds since 1970.
    pub refresh_after: i64,
    /// From when on it opens nothing, in seconds since 1970.
    pub expiry_on: i64,
}

// A token never reaches a log through Debug.
impl std::fmt::Debug for AccessToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AccessToken").finish_non_exhaustive()
    }
}

/// Body of `workspaces/storecredential` (POST): makes a Secret in the workspace's namespace, or gives it new values. It
/// can be named in resources, and read by nobody through our roles.
#[derive(Serialize, Deserialize, Clone, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct CredentialStorage {
    /// `apiVersion` and `kind`; may be left out.
    #[serde(flatten, default, skip_serializing_if = "Option::is_none")]
    pub types: Option<TypeMeta>,
    /// Name of the credential. The Secret's name is this, after [`CREDENTIAL_PREFIX`].
    pub name: String,
    /// The values, as text.
    pub data: std::collections::BTreeMap<String, String>,
}

// Values never reach a log through Debug.
impl std::fmt::Debug for CredentialStorage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CredentialStorage")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// Answer of `workspaces/storecredential`.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct StoredCredential {
    /// `apiVersion` and `kind`.
    #[serde(flatten)]
    pub types: TypeMeta,
    /// Name and namespace of the workspace.
    pub metadata: ObjectMeta,
    /// Name of the Secret, to be named in resources.
    pub secret_name: String,
    /// Names of its values.
    pub keys: Vec<String>,
    /// Whether there was one of this name before.
    pub replaced: bool,
}

/// Answer of `workspaces/resynckeys` (POST, no body): the grants of the managed identity are given back.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct KeyResync {
    /// `apiVersion` and `kind`.
    #[serde(flatten)]
    pub types: TypeMeta,
    /// Name and namespace of the workspace.
    pub metadata: ObjectMeta,
    /// Whether it is done. If not, it is noted, and is done as soon as an operator leads.
    pub done: bool,
    /// What the managed identity may do by now.
    pub grants: Vec<Grant>,
}

/// Answer of `runs/cancel` (POST, no body).
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct RunCancellation {
    /// `apiVersion` and `kind`.
    #[serde(flatten)]
    pub types: TypeMeta,
    /// Name and namespace of the run.
    pub metadata: ObjectMeta,
    /// The state the run had. One that had ended stays as it is.
    pub state: RunState,
    /// Whether the run is going to be canceled, or is already.
    pub accepted: bool,
}

/// Answer of `runs/why` (GET): why a run is not running, or how it ended, as things stand at this moment.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct RunExplanation {
    /// `apiVersion` and `kind`.
    #[serde(flatten)]
    pub types: TypeMeta,
    /// Name and namespace of the run.
    pub metadata: ObjectMeta,
    /// The state the run has.
    pub state: RunState,
    /// Place in the queue, from 1, and how many wait in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue: Option<QueuePlace>,
    /// Sentences: the nearest cause first.
    pub reasons: Vec<String>,
}

/// A place in a queue.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct QueuePlace {
    /// From 1.
    pub position: usize,
    /// How many wait.
    pub length: usize,
    /// The compute target whose queue it is.
    pub compute_target: String,
}
