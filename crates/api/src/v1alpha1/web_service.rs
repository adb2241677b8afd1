//! WebService: a model behind a key.

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Resources, SecretRef};

/// A model that answers scoring requests. The gateway in each of its pods is the only way to it.
#[derive(CustomResource, Serialize, Deserialize, Clone, Debug, PartialEq, KubeSchema)]
#[kube(
    group = "atelier.dev",
    version = "v1alpha1",
    kind = "WebService",
    namespaced,
    status = "WebServiceStatus",
    shortname = "atsvc",
    category = "atelier",
    derive = "PartialEq",
    scale(
        spec_replicas_path = ".spec.replicas",
        status_replicas_path = ".status.replicas",
        label_selector_path = ".status.selector"
    ),
    printcolumn(name = "State", type_ = "string", json_path = ".status.state"),
    printcolumn(name = "Auth", type_ = "string", json_path = ".status.auth"),
    printcolumn(name = "Replicas", type_ = "integer", json_path = ".status.readyReplicas"),
    printcolumn(name = "URL", type_ = "string", json_path = ".status.scoringUri"),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type=='Ready')].status"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(name = "Class", type_ = "string", json_path = ".spec.class", priority = 1),
    printcolumn(name = "Key-age", type_ = "date", json_path = ".status.keys.primary.createdAt", priority = 1),
    printcolumn(name = "TLS", type_ = "string", json_path = ".status.tls.mode", priority = 1),
    printcolumn(name = "TLS-expires", type_ = "string", json_path = ".status.tls.expiresAt", priority = 1),
    validation = Rule::new("self.metadata.name.size() >= 3 && self.metadata.name.size() <= 32 && self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')")
        .message("a web service's name has 3 to 32 characters, begins with a letter and holds only a-z, 0-9 and -")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("self.class == oldSelf.class").message("class is fixed when the service is created; make another service"))]
#[x_kube(validation = Rule::new("self.class == 'Cluster' || !has(self.auth.mode) || self.auth.mode != 'Token'").message("a service of class Instance takes no tokens; use class Cluster, or auth.mode Key"))]
#[x_kube(validation = Rule::new("self.auth.tokens.rotationSeconds * 4 >= self.auth.tokens.lifetimeSeconds").message("auth.tokens.rotationSeconds is at least a quarter of lifetimeSeconds"))]
#[x_kube(validation = Rule::new("self.class == 'Cluster' || self.replicas <= 1").message("a service of class Instance has one replica; use class Cluster for more"))]
pub struct WebServiceSpec {
    /// `Cluster`: keys on unless `auth.mode` says otherwise, any number of replicas. `Instance`: the light class,
    /// one replica, keys off unless asked for.
    #[serde(default)]
    pub class: Class,
    /// Image of the model server. It must listen on the pod's loopback address only, and its user must not be root.
    #[schemars(length(min = 1, max = 512))]
    pub image: String,
    /// Program and arguments, instead of the image's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64), inner(length(max = 4096)))]
    pub command: Option<Vec<String>>,
    /// Port on which the model server listens, on 127.0.0.1.
    #[serde(default = "model_port")]
    #[schemars(range(min = 1024, max = 65535))]
    #[x_kube(validation = Rule::new("self != 8080 && self != 8081").message("ports 8080 and 8081 belong to the gateway; let the model server listen on another"))]
    pub port: i32,
    /// Path of scoring requests. The model server gets them under the same path.
    #[serde(default = "score_path")]
    #[schemars(length(min = 2, max = 256), regex(pattern = r"^/[A-Za-z0-9._~/-]*$"))]
    #[x_kube(validation = Rule::new("self != '/swagger.json'").message("/swagger.json is taken by the service's description"))]
    pub score_path: String,
    /// Number of replicas.
    #[serde(default = "one")]
    #[schemars(range(min = 0, max = 1000))]
    pub replicas: i32,
    /// Size of one replica's model server.
    #[serde(default = "resources")]
    pub resources: Resources,
    /// Who may call.
    #[serde(default)]
    pub auth: Auth,
    /// How connections to it are encrypted.
    #[serde(default)]
    pub tls: Tls,
    /// What a replica takes on.
    #[serde(default)]
    pub limits: Limits,
    /// Origins whose pages may call from a browser, as `https://app.example.com`; `*` for all. Without any, browsers let
    /// no page read an answer, unless the model itself allows it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 64),
        inner(
            length(min = 1, max = 256),
            regex(pattern = r"^(\*|https?://([a-z0-9.-]+|\[[0-9a-f:.]+\])(:[0-9]{1,5})?)$")
        )
    )]
    #[schemars(extend("x-kubernetes-list-type" = "set"))]
    pub cors: Vec<String>,
}

fn model_port() -> i32 {
    5001
}

fn score_path() -> String {
    "/score".into()
}

fn one() -> i32 {
    1
}

fn resources() -> Resources {
    Resources {
        cpu: Quantity("100m".into()),
        memory: Quantity("512Mi".into()),
    }
}

/// The class of a service.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema)]
#[allow(missing_docs)]
pub enum Class {
    #[default]
    Cluster,
    Instance,
}

impl Class {
    /// The name used in manifests.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Cluster => "Cluster",
            Self::Instance => "Instance",
        }
    }
}

/// Who may call a service.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Auth {
    /// `Key`: a request must carry one of the two keys. `Token`: it must carry a token, which the action `token` gives
    /// to whoever may read the service; for class Cluster only. `None`: anybody may call. Absent: the class's default,
    /// which is `Key` for Cluster and `None` for Instance. Keys survive being turned off and on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<AuthMode>,
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

/// How connections to a service are encrypted: TLS 1.2 and 1.3, HTTP/1.1 and HTTP/2.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.secretRef) == (has(self.mode) && self.mode == 'Secret')")
        .message("tls.secretRef and tls.mode Secret go together: the one names the certificate that the other asks for"),
    validation = Rule::new("!has(self.hostname) || has(self.secretRef)")
        .message("tls.hostname goes with a certificate for it, in tls.secretRef: the installation's own authority vouches for names of the cluster only")
)]
pub struct Tls {
    /// `Generated`: by a certificate of the installation's own authority, which is renewed by itself. `Secret`: by one
    /// that you bring, or cert-manager makes. `Disabled`: not at all; keys and tokens then cross the network in the
    /// clear. Absent: `Generated`, where the installation signs certificates, and else `Disabled`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<TlsMode>,
    /// The Secret, of type `kubernetes.io/tls`, with `tls.crt` and `tls.key`. A new certificate in it is taken over
    /// without a restart; one that cannot be served is refused, and the one before is served on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<SecretRef>,
    /// The name by which clients outside call the service. The certificate has to be for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(min = 1, max = 253),
        regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$")
    )]
    pub hostname: Option<String>,
}

/// By what connections are encrypted.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
#[allow(missing_docs)]
pub enum TlsMode {
    Generated,
    Secret,
    Disabled,
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

/// What a replica takes on.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Limits {
    /// Requests that the model server of one replica works on at a time.
    #[serde(default = "concurrency")]
    #[schemars(range(min = 1, max = 10_000))]
    pub concurrent_requests_per_replica: i32,
    /// Milliseconds a request waits for its turn before it is refused with 503.
    #[serde(default = "queue_wait")]
    #[schemars(range(min = 0, max = 600_000))]
    pub queue_wait_ms: i32,
    /// Milliseconds a request may take before it is ended with 504.
    #[serde(default = "timeout")]
    #[schemars(range(min = 1, max = 3_600_000))]
    pub timeout_ms: i32,
    /// Bytes that a request's body may have; more is refused with 413.
    #[serde(default = "max_body")]
    #[schemars(range(min = 0, max = 4_294_967_296_i64))]
    pub max_body_bytes: i64,
}

fn concurrency() -> i32 {
    1
}

fn queue_wait() -> i32 {
    500
}

fn timeout() -> i32 {
    60_000
}

fn max_body() -> i64 {
    10 * 1024 * 1024
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            concurrent_requests_per_replica: concurrency(),
            queue_wait_ms: queue_wait(),
            timeout_ms: timeout(),
            max_body_bytes: max_body(),
        }
    }
}

/// What is known of a service.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WebServiceStatus {
    /// The generation of the spec that this status describes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// How the service is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<ServiceState>,
    /// Where scoring requests go.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    pub scoring_uri: Option<String>,
    /// Where its description is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    pub swagger_uri: Option<String>,
    /// The mode in force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth: Option<AuthMode>,
    /// How connections are encrypted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<TlsStatus>,
    /// The two keys, without their values.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keys: Option<KeysStatus>,
    /// The keys that sign tokens, without their private halves.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 12))]
    pub token_keys: Vec<TokenKeyStatus>,
    /// Replicas there are.
    #[serde(default)]
    pub replicas: i32,
    /// Replicas that answer.
    #[serde(default)]
    pub ready_replicas: i32,
    /// Replicas of the current version.
    #[serde(default)]
    pub updated_replicas: i32,
    /// Selects the service's pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    pub selector: Option<String>,
    /// `Ready`, `Available`, `TransportEncrypted`, and `Reconciling` or `Stalled` while true.
    #[serde(default)]
    #[schemars(schema_with = "crate::schema::conditions")]
    pub conditions: Vec<Condition>,
}

/// How a service is.
///
/// `Transitioning`: a rollout is under way. `Healthy`: all replicas answer. `Unhealthy`: some do not. `Failed`: the
/// version asked for cannot run; an older one may still answer. `Unschedulable`: a replica fits on no node.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
#[allow(missing_docs)]
pub enum ServiceState {
    Transitioning,
    Healthy,
    Unhealthy,
    Failed,
    Unschedulable,
}

/// How connections are encrypted.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TlsStatus {
    /// The mode in force.
    pub mode: TlsMode,
    /// Until when the certificate is good.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Time>,
    /// Whom to trust, PEM: the installation's own authorities, where one of them has signed the certificate. More than
    /// one while one follows the other; take it anew now and then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 65_536))]
    pub ca_bundle: Option<String>,
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
    /// When it was made.
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
