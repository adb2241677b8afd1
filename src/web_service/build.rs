//! The children of a service that are not its pods.

mod deployment;

use std::collections::BTreeMap;

use atelier_api::gateway_policy::{GatewayPolicy, POLICY_KEY};
use atelier_api::labels;
use atelier_api::v1alpha1::AuthMode;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::{Secret, Service, ServiceAccount, ServicePort, ServiceSpec};
use k8s_openapi::api::rbac::v1::{PolicyRule, Role, RoleBinding, RoleRef, Subject};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::keys::{KeysShape, PublicKeys};
use crate::kit::Error;
use crate::kit::child::{ChildKind, Desired};
use crate::kit::content::{self, ContentHash};
use crate::kit::meta::Parent;

pub use deployment::{GATEWAY, MODEL, deployment};

/// Port of the Service.
const SERVICE_PORT: i32 = 80;
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

/// Name of the gateway's ServiceAccount, Role, RoleBinding, and of the one Secret it may read.
pub fn gateway_secret_name(service: &str) -> String {
    format!("{service}-gateway")
}

/// Name of the Secret with the gateway's certificate. Not `<service>-tls`, which is what people call the certificate of
/// an Ingress.
pub fn certificate_secret_name(service: &str) -> String {
    format!("{}-tls", gateway_secret_name(service))
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
    let name = keys_secret_name(&parent.name);
    secret(parent, name, OPAQUE, data, BTreeMap::new())
}

/// The hash of the Secret with the keys, by what may be known of them.
pub fn keys_secret_hash(parent: &Parent, keys: &KeysShape) -> Result<ContentHash, Error> {
    hash_of(
        parent,
        keys_secret_name(&parent.name),
        OPAQUE,
        keys.digests(),
    )
}

/// The Secret with the gateway's certificate.
pub fn certificate_secret(
    parent: &Parent,
    data: BTreeMap<String, Vec<u8>>,
) -> Result<Desired, Error> {
    let name = certificate_secret_name(&parent.name);
    secret(parent, name, TLS, data, BTreeMap::new())
}

/// The hash of the Secret with the gateway's certificate, by the digests of what is in it.
pub fn certificate_secret_hash<'a>(
    parent: &Parent,
    digests: impl IntoIterator<Item = (&'a str, &'a [u8; 32])>,
) -> Result<ContentHash, Error> {
    hash_of(parent, certificate_secret_name(&parent.name), TLS, digests)
}

fn hash_of<'a>(
    parent: &Parent,
    name: String,
    type_: &str,
    digests: impl IntoIterator<Item = (&'a str, &'a [u8; 32])>,
) -> Result<ContentHash, Error> {
    let secret = Secret {
        metadata: secret_metadata(parent, name, BTreeMap::new()),
        type_: Some(type_.into()),
        ..Secret::default()
    };
    let secret = serde_json::to_value(secret)?;
    Ok(content::hash_by_digests(&secret, digests))
}

/// The Secret that gateways go by: the mode, and digests of the keys. One document, so that a switch is one moment.
pub fn gateway_secret(
    parent: &Parent,
    mode: AuthMode,
    public: Option<&PublicKeys>,
) -> Result<Desired, Error> {
    let slots = public.map(|public| public.slots.clone());
    let policy = match (mode, slots) {
        (AuthMode::Key, Some(keys)) => GatewayPolicy::Key { keys },
        (AuthMode::Key, None) => return Err(Error::Stale("keys".into())),
        (AuthMode::None, keys) => GatewayPolicy::None { keys },
    };
    let data = [(POLICY_KEY.to_owned(), policy.to_json()?.into_bytes())].into();
    let annotations = public.map(|public| (labels::KEYS_UID.to_owned(), public.secret_uid.clone()));
    secret(
        parent,
        gateway_secret_name(&parent.name),
        OPAQUE,
        data,
        annotations.into_iter().collect(),
    )
}

const OPAQUE: &str = "Opaque";
const TLS: &str = "kubernetes.io/tls";

fn secret(
    parent: &Parent,
    name: String,
    type_: &str,
    data: BTreeMap<String, Vec<u8>>,
    annotations: BTreeMap<String, String>,
) -> Result<Desired, Error> {
    let data = data
        .into_iter()
        .map(|(name, value)| (name, ByteString(value)))
        .collect();
    let secret = Secret {
        metadata: secret_metadata(parent, name, annotations),
        data: Some(data),
        type_: Some(type_.into()),
        ..Secret::default()
    };
    Desired::new(ChildKind::Secret, &secret)
}

fn secret_metadata(
    parent: &Parent,
    name: String,
    annotations: BTreeMap<String, String>,
) -> ObjectMeta {
    let mut metadata = parent.child(name);
    metadata
        .annotations
        .get_or_insert_default()
        .extend(annotations);
    metadata
}

/// The Service in front of the gateways. `internal` says whether they have a listener for the operator.
pub fn service(parent: &Parent, internal: bool) -> Result<Desired, Error> {
    let port = |name: &str, port| ServicePort {
        name: Some(name.into()),
        port,
        protocol: Some("TCP".into()),
        target_port: Some(IntOrString::String(name.into())),
        ..ServicePort::default()
    };
    let internal = internal.then(|| port("internal", INTERNAL_PORT));
    let public = [port("http", SERVICE_PORT)];
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
