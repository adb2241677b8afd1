//! The children of an embedded storage: a volume, and a server on it (images/README.md).

use std::collections::BTreeMap;

use atelier_api::Workspace;
use atelier_api::v1alpha1::{AccessMode, EmbeddedStorage};
use atelier_pki::Leaf;
use k8s_openapi::api::apps::v1::{Deployment, DeploymentSpec, DeploymentStrategy};
use k8s_openapi::api::core::v1::{
    Container, ContainerPort, HTTPGetAction, PersistentVolumeClaimVolumeSource, PodTemplateSpec,
    Probe, ResourceRequirements, SecretVolumeSource, Service, ServicePort, ServiceSpec, Volume,
    VolumeMount,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use crate::ctx::Settings;
use crate::kit::Error;
use crate::kit::child::{ChildKind, Desired};
use crate::kit::content::ContentHash;
use crate::kit::meta::Parent;
use crate::kit::{pods, secrets};
use crate::workspace::{run_identity_name, volume};

/// `app.kubernetes.io/component` of all of it.
pub const COMPONENT: &str = "storage";
/// The bucket that the server makes.
pub const BUCKET: &str = "workspace";
const PORT: i32 = 9000;
const DATA_DIR: &str = "/data";
const KEYS_DIR: &str = "/etc/storage/keys";
const TLS_DIR: &str = "/etc/storage/tls";
/// The image's user, and the group that may read what is mounted.
const USER: i64 = 65532;
/// The server ends at once; what it is writing is not there until it is whole.
const GRACE_SECONDS: i64 = 10;

/// Name of the volume, the server's Deployment and Service, and of the Secret with its key.
pub fn name(workspace: &str) -> String {
    format!("{workspace}-storage")
}

/// Name of the Secret with the server's certificate.
pub fn certificate_secret_name(workspace: &str) -> String {
    format!("{}-tls", name(workspace))
}

/// URL of the server.
pub fn endpoint(workspace: &str, namespace: &str) -> String {
    format!("https://{}.{namespace}.svc:{PORT}", name(workspace))
}

/// The server's certificate.
pub fn certificate(parent: &Parent) -> Leaf {
    let secret = certificate_secret_name(&parent.name);
    Leaf::of_service(secret, &name(&parent.name), &parent.namespace)
}

/// The volume.
pub fn volume(workspace: &Workspace, parent: &Parent) -> Result<Desired, Error> {
    let wish = workspace.spec.storage.embedded.clone();
    let EmbeddedStorage {
        size,
        storage_class_name,
    } = wish.unwrap_or_default();
    let shape = volume::Shape {
        name: name(&parent.name),
        size,
        class: storage_class_name,
        // The server is one process.
        access_mode: AccessMode::ReadWriteOnce,
    };
    volume::claim(workspace, parent, shape)
}

/// The Secret with the server's access key: its id is the name of the entry.
pub fn key_secret(parent: &Parent, data: BTreeMap<String, Vec<u8>>) -> Result<Desired, Error> {
    secrets::desired(parent.child(name(&parent.name)), secrets::OPAQUE, data)
}

/// The hash of that, by digests of what is in it.
pub fn key_secret_hash<'a>(
    parent: &Parent,
    digests: impl IntoIterator<Item = (&'a str, &'a [u8; 32])>,
) -> Result<ContentHash, Error> {
    secrets::hash(parent.child(name(&parent.name)), secrets::OPAQUE, digests)
}

/// The Service in front of the server.
pub fn service(parent: &Parent) -> Result<Desired, Error> {
    let service = Service {
        metadata: parent.child(name(&parent.name)),
        spec: Some(ServiceSpec {
            type_: Some("ClusterIP".into()),
            selector: Some(parent.selector()),
            ports: Some(vec![ServicePort {
                name: Some("s3".into()),
                port: PORT,
                protocol: Some("TCP".into()),
                target_port: Some(IntOrString::String("s3".into())),
                ..ServicePort::default()
            }]),
            session_affinity: Some("None".into()),
            internal_traffic_policy: Some("Cluster".into()),
            ..ServiceSpec::default()
        }),
        status: None,
    };
    Desired::new(ChildKind::Service, &service)
}

/// The server. One at a time: the volume is for one process.
pub fn deployment(parent: &Parent, settings: &Settings) -> Result<Desired, Error> {
    let mut pod = pods::spec(
        run_identity_name(&parent.workspace),
        vec![server(settings)],
        GRACE_SECONDS,
    );
    if let Some(security) = &mut pod.security_context {
        security.fs_group = Some(USER);
        // A large volume is not gone through at each start.
        security.fs_group_change_policy = Some("OnRootMismatch".into());
    }
    let claim = name(&parent.name);
    pod.volumes = Some(vec![
        Volume {
            name: "data".into(),
            persistent_volume_claim: Some(PersistentVolumeClaimVolumeSource {
                claim_name: claim.clone(),
                read_only: None,
            }),
            ..Volume::default()
        },
        secret_volume("keys", &claim),
        secret_volume("tls", &certificate_secret_name(&parent.name)),
    ]);
    let deployment = Deployment {
        metadata: parent.child(claim),
        spec: Some(DeploymentSpec {
            replicas: Some(1),
            selector: LabelSelector {
                match_labels: Some(parent.selector()),
                match_expressions: None,
            },
            strategy: Some(DeploymentStrategy {
                type_: Some("Recreate".into()),
                rolling_update: None,
            }),
            progress_deadline_seconds: Some(600),
            revision_history_limit: Some(3),
            template: PodTemplateSpec {
                metadata: Some(ObjectMeta {
                    labels: Some(parent.labels()),
                    ..ObjectMeta::default()
                }),
                spec: Some(pod),
            },
            ..DeploymentSpec::default()
        }),
        status: None,
    };
    Desired::new(ChildKind::Deployment, &deployment)
}

fn server(settings: &Settings) -> Container {
    let mut container = pods::container(
        "storage",
        &settings.storage_image,
        Some(&settings.pull_policy),
    );
    container.args = Some(vec![
        format!("-listen=:{PORT}"),
        format!("-data={DATA_DIR}"),
        format!("-bucket={BUCKET}"),
        format!("-keys={KEYS_DIR}"),
        format!("-tls-cert={TLS_DIR}/tls.crt"),
        format!("-tls-key={TLS_DIR}/tls.key"),
    ]);
    container.ports = Some(vec![ContainerPort {
        name: Some("s3".into()),
        container_port: PORT,
        protocol: Some("TCP".into()),
        ..ContainerPort::default()
    }]);
    container.resources = Some(resources());
    container.security_context = Some(pods::container_security(true));
    container.readiness_probe = Some(probe(2, 3));
    container.liveness_probe = Some(probe(10, 6));
    container.volume_mounts = Some(vec![
        mount("data", DATA_DIR, false),
        mount("keys", KEYS_DIR, true),
        mount("tls", TLS_DIR, true),
    ]);
    container
}

/// Idle it needs 20 MiB, and its heap is told to stay below 128 MiB.
fn resources() -> ResourceRequirements {
    let quantity = |value: &str| Quantity(value.to_owned());
    ResourceRequirements {
        requests: Some(
            [
                ("cpu".into(), quantity("10m")),
                ("memory".into(), quantity("32Mi")),
            ]
            .into(),
        ),
        limits: Some([("memory".into(), quantity("192Mi"))].into()),
        claims: None,
    }
}

fn probe(period: i32, failures: i32) -> Probe {
    Probe {
        http_get: Some(HTTPGetAction {
            path: Some("/healthz".into()),
            port: IntOrString::String("s3".into()),
            scheme: Some("HTTPS".into()),
            ..HTTPGetAction::default()
        }),
        period_seconds: Some(period),
        timeout_seconds: Some(2),
        success_threshold: Some(1),
        failure_threshold: Some(failures),
        ..Probe::default()
    }
}

fn mount(name: &str, path: &str, read_only: bool) -> VolumeMount {
    VolumeMount {
        name: name.into(),
        mount_path: path.into(),
        // The API server drops a no.
        read_only: read_only.then_some(true),
        ..VolumeMount::default()
    }
}

/// For the server's group only.
fn secret_volume(name: &str, secret: &str) -> Volume {
    Volume {
        name: name.into(),
        secret: Some(SecretVolumeSource {
            secret_name: Some(secret.into()),
            default_mode: Some(0o440),
            ..SecretVolumeSource::default()
        }),
        ..Volume::default()
    }
}
