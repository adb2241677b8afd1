//! The children of a service that are not its pods.

mod deployment;

use std::collections::BTreeMap;

use atelier_api::gateway_policy::{GatewayPolicy, POLICY_KEY, TokenRules};
use atelier_api::labels;
use atelier_api::v1alpha1::AuthMode;
use atelier_pki::Leaf;
use k8s_openapi::api::core::v1::{Service, ServiceAccount, ServicePort, ServiceSpec};
use k8s_openapi::api::rbac::v1::{PolicyRule, Role, RoleBinding, RoleRef, Subject};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use sha2::{Digest as _, Sha256};

use super::keys::{KeysShape, PublicKeys};
use super::telemetry::Telling;
use super::transport::Transport;
use crate::kit::Error;
use crate::kit::child::{ChildKind, Desired};
use crate::kit::children::SecretView;
use crate::kit::content::ContentHash;
use crate::kit::meta::Parent;
use crate::kit::secrets;

pub use deployment::{GATEWAY, MODEL, Replicas, deployment};

/// The public port: how it is called in the pods and in the Service, where it is there, and the scheme of its URL.
struct Public {
    name: &'static str,
    port: i32,
}

const HTTP: Public = Public {
    name: "http",
    port: 80,
};
const HTTPS: Public = Public {
    name: "https",
    port: 443,
};

/// A pod's port has the name of what is spoken there: while the spec changes from one to the other, each Service port
/// leads to the pods that speak it.
fn public(transport: Transport) -> Public {
    match transport {
        Transport::Plain => HTTP,
        Transport::Generated | Transport::Secret(_) => HTTPS,
    }
}

/// The port of the Service where requests come in.
pub fn public_port(transport: Transport) -> i32 {
    public(transport).port
}

/// Where a service is reached: scheme and host, without a path. Ports are those that URLs imply.
pub fn origin(parent: &Parent, transport: Transport, hostname: Option<&str>) -> String {
    let scheme = public(transport).name;
    match hostname {
        Some(hostname) => format!("{scheme}://{hostname}"),
        None => format!("{scheme}://{}", host(parent)),
    }
}

/// A service's name in the cluster.
pub fn host(parent: &Parent) -> String {
    format!("{}.{}.svc", parent.name, parent.namespace)
}

/// Port on which the gateway takes requests.
const GATEWAY_PORT: i32 = 8080;
/// Port on which the gateway answers the kubelet and scrapers.
const ADMIN_PORT: i32 = 8081;
/// Port on which gateway and Service take requests of the operator.
pub const INTERNAL_PORT: i32 = 8443;

/// Name of the Secret that holds the keys.
pub fn keys_secret_name(service: &str) -> String {
    format!("{service}-keys")
}

/// Name of the Secret with the keys that sign tokens.
pub fn tokens_secret_name(service: &str) -> String {
    format!("{service}-tokens")
}

/// Name of the gateway's ServiceAccount, Role, RoleBinding, and of the one Secret it may read.
pub fn gateway_secret_name(service: &str) -> String {
    format!("{service}-gateway")
}

/// Name of the Secret with the gateway's certificate. Not `<service>-tls`, which is what people call the certificate of
/// an Ingress.
pub fn certificate_secret_name(service: &str) -> String {
    format!("{}-tls", gateway_secret_name(service))
}

/// The gateways' certificate, by which the operator knows them and they know the operator.
pub fn certificate(parent: &Parent) -> Leaf {
    let secret = certificate_secret_name(&parent.name);
    Leaf::of_service(secret, &parent.name, &parent.namespace)
}

/// The gateway's identity.
pub fn service_account(parent: &Parent) -> Result<Desired, Error> {
    let account = ServiceAccount {
        metadata: parent.child(gateway_secret_name(&parent.name)),
        automount_service_account_token: Some(false),
        ..ServiceAccount::default()
    };
    Desired::new(ChildKind::ServiceAccount, &account)
}

/// The gateway's only right: to read and watch its one Secret by name, and if it has a certificate, that one's.
pub fn rights(parent: &Parent, certificate: bool) -> Result<[Desired; 2], Error> {
    let name = gateway_secret_name(&parent.name);
    let certificate = certificate.then(|| certificate_secret_name(&parent.name));
    let role = Role {
        metadata: parent.child(&name),
        rules: Some(vec![PolicyRule {
            api_groups: Some(vec![String::new()]),
            resources: Some(vec!["secrets".into()]),
            resource_names: Some([name.clone()].into_iter().chain(certificate).collect()),
            // A client lists before it watches; by name, that shows the one Secret.
            verbs: vec!["get".into(), "list".into(), "watch".into()],
            non_resource_urls: None,
        }]),
    };
    let binding = RoleBinding {
        metadata: parent.child(&name),
        role_ref: RoleRef {
            api_group: "rbac.authorization.k8s.io".into(),
            kind: "Role".into(),
            name: name.clone(),
        },
        subjects: Some(vec![Subject {
            kind: "ServiceAccount".into(),
            name: name.clone(),
            namespace: Some(parent.namespace.clone()),
            api_group: None,
        }]),
    };
    Ok([
        Desired::new(ChildKind::Role, &role)?,
        Desired::new(ChildKind::RoleBinding, &binding)?,
    ])
}

/// The Secret with the keys.
pub fn keys_secret(parent: &Parent, data: BTreeMap<String, Vec<u8>>) -> Result<Desired, Error> {
    let metadata = parent.child(keys_secret_name(&parent.name));
    secrets::desired(metadata, secrets::OPAQUE, data)
}

/// The hash of the Secret with the keys, by what may be known of them.
pub fn keys_secret_hash(parent: &Parent, keys: &KeysShape) -> Result<ContentHash, Error> {
    let metadata = parent.child(keys_secret_name(&parent.name));
    secrets::hash(metadata, secrets::OPAQUE, keys.digests())
}

/// The Secret with the keys that sign tokens.
pub fn tokens_secret(parent: &Parent, data: BTreeMap<String, Vec<u8>>) -> Result<Desired, Error> {
    let metadata = parent.child(tokens_secret_name(&parent.name));
    secrets::desired(metadata, secrets::OPAQUE, data)
}

/// The hash of that, by digests of what is in it.
pub fn tokens_secret_hash(
    parent: &Parent,
    secret: Option<&SecretView>,
) -> Result<ContentHash, Error> {
    let metadata = parent.child(tokens_secret_name(&parent.name));
    let digests = secret.into_iter().flat_map(SecretView::digests);
    secrets::hash(metadata, secrets::OPAQUE, digests)
}

/// What gateways go by: the mode, and what it takes to judge a request in it.
pub fn policy(
    mode: AuthMode,
    public: Option<&PublicKeys>,
    tokens: Option<&TokenRules>,
) -> Result<GatewayPolicy, Error> {
    let keys = public.map(|public| public.slots.clone());
    Ok(match (mode, keys, tokens) {
        (AuthMode::Key, Some(keys), _) => GatewayPolicy::Key { keys },
        (AuthMode::Key, None, _) => return Err(Error::Stale("keys".into())),
        (AuthMode::Token, keys, Some(tokens)) => GatewayPolicy::Token {
            keys,
            tokens: tokens.clone(),
        },
        (AuthMode::Token, _, None) => return Err(Error::Stale("keys of tokens".into())),
        (AuthMode::None, keys, _) => GatewayPolicy::None { keys },
    })
}

/// The Secret that gateways go by. The policy is one document, so that a switch is one moment. What else they are told
/// stands beside it: neither needs the other, and a gateway that knows only the policy goes by that.
pub fn gateway_secret(
    parent: &Parent,
    policy: &GatewayPolicy,
    public: Option<&PublicKeys>,
    beside: BTreeMap<String, Vec<u8>>,
) -> Result<Desired, Error> {
    let mut data = beside;
    data.insert(POLICY_KEY.to_owned(), policy.to_json()?.into_bytes());
    secrets::desired(gateway_metadata(parent, public), secrets::OPAQUE, data)
}

/// The hash of that, by digests of what is told beside the policy.
pub fn gateway_secret_hash(
    parent: &Parent,
    policy: &GatewayPolicy,
    public: Option<&PublicKeys>,
    telling: &Telling,
) -> Result<ContentHash, Error> {
    let policy = Sha256::digest(policy.to_json()?).into();
    let entries: Vec<_> = telling.digests().chain([(POLICY_KEY, policy)]).collect();
    let digests = entries.iter().map(|(name, digest)| (*name, digest));
    secrets::hash(gateway_metadata(parent, public), secrets::OPAQUE, digests)
}

fn gateway_metadata(parent: &Parent, public: Option<&PublicKeys>) -> ObjectMeta {
    let made_from = public.map(|public| (labels::KEYS_UID.to_owned(), public.secret_uid.clone()));
    let brought = public.and_then(|public| public.brought.clone());
    let brought = brought.map(|name| (labels::KEYS_SECRET.to_owned(), name));
    let mut metadata = parent.child(gateway_secret_name(&parent.name));
    let all = metadata.annotations.get_or_insert_default();
    all.extend(made_from.into_iter().chain(brought));
    metadata
}

/// The Service in front of the gateways. `internal` says whether they have a listener for the operator.
pub fn service(parent: &Parent, transport: Transport, internal: bool) -> Result<Desired, Error> {
    let port = |name: &str, port| ServicePort {
        name: Some(name.into()),
        port,
        protocol: Some("TCP".into()),
        target_port: Some(IntOrString::String(name.into())),
        ..ServicePort::default()
    };
    let internal = internal.then(|| port("internal", INTERNAL_PORT));
    let public = public(transport);
    let public = [port(public.name, public.port)];
    let service = Service {
        metadata: parent.child(&parent.name),
        spec: Some(ServiceSpec {
            type_: Some("ClusterIP".into()),
            selector: Some(parent.selector()),
            ports: Some(public.into_iter().chain(internal).collect()),
            session_affinity: Some("None".into()),
            internal_traffic_policy: Some("Cluster".into()),
            ..ServiceSpec::default()
        }),
        status: None,
    };
    Desired::new(ChildKind::Service, &service)
}
