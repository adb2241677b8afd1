//! WebService: a model behind a key.

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Resources;

mod auth;
mod autoscale;
mod collect;
mod expose;
mod limits;
mod status;
mod telemetry;
mod tls;

pub use auth::{
    Auth, AuthMode, KeyGeneration, KeyStatus, KeysStatus, Revoked, TokenKeyStatus, Tokens,
};
pub use autoscale::{Autoscale, AutoscaleStatus};
pub use collect::CollectData;
pub use expose::{Expose, ParentRef};
pub use limits::Limits;
pub use status::{ServiceState, WebServiceStatus};
pub use telemetry::{Archive, Otlp, OtlpCompression, Telemetry};
pub use tls::{Tls, TlsMode, TlsStatus};

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
#[x_kube(validation = Rule::new("!has(self.autoscale) || self.class == 'Cluster'").message("a service of class Instance has one replica; use class Cluster for autoscale"))]
#[x_kube(validation = Rule::new("!has(self.autoscale) || self.replicas == 1").message("with autoscale, replicas follows the load: leave it at 1 and set autoscale.min and autoscale.max, or take autoscale away"))]
pub struct WebServiceSpec {
    /// `Cluster`: keys on unless `auth.mode` says otherwise, any number of replicas. `Instance`: the light class,
    /// one replica, keys off unless asked for.
    #[serde(default)]
    pub class: Class,
    /// The region where the replicas run: on nodes whose label `topology.kubernetes.io/region` has this value. Absent:
    /// wherever there is room. The condition `RegionMatches` says whether it is where the workspace is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(min = 1, max = 63),
        regex(pattern = r"^[A-Za-z0-9]([-._A-Za-z0-9]*[A-Za-z0-9])?$")
    )]
    pub location: Option<String>,
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
    /// Number of replicas. With `autoscale` it stays at 1 and says nothing.
    #[serde(default = "one")]
    #[schemars(range(min = 0, max = 1000))]
    pub replicas: i32,
    /// Replicas that follow the load, for class Cluster. Who takes it away says in `replicas`, in the same update, how many
    /// there are to be. It needs the certificates of the installation's own authority.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub autoscale: Option<Autoscale>,
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
    /// Where it is reached from outside the cluster. Absent: nowhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expose: Option<Expose>,
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
    /// Where its records go, beside stdout.
    #[serde(default)]
    pub telemetry: Telemetry,
    /// Inputs and predictions that are kept. Absent: none. Turning it on, off or to other values restarts nothing. It
    /// needs a storage of the workspace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub collect_data: Option<CollectData>,
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
