//! The pods of a service.
//!
//! The model is the native sidecar and the gateway the main container, so that at the end the gateway finishes what it
//! has while the model still answers. The kubelet asks after the model through the gateway, since the model listens on
//! loopback only. A startup probe on the model would wait for a gateway that waits for it: there is none.

use atelier_api::report::AUDIENCE;
use atelier_api::{WebService, labels};
use k8s_openapi::api::apps::v1::{
    Deployment, DeploymentSpec, DeploymentStrategy, RollingUpdateDeployment,
};
use k8s_openapi::api::core::v1::{
    ConfigMapProjection, Container, ContainerPort, DownwardAPIProjection, DownwardAPIVolumeFile,
    EnvVar, EnvVarSource, HTTPGetAction, KeyToPath, ObjectFieldSelector, PodTemplateSpec, Probe,
    ProjectedVolumeSource, ResourceRequirements, SecretVolumeSource, ServiceAccountTokenProjection,
    Volume, VolumeMount, VolumeProjection,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::{
    ADMIN_PORT, GATEWAY_PORT, INTERNAL_PORT, Transport, certificate_secret_name,
    gateway_secret_name, public,
};
use crate::ctx::Settings;
use crate::kit::Error;
use crate::kit::child::{ChildKind, Desired};
use crate::kit::meta::Parent;
use crate::kit::pods;

/// Name of the gateway's container.
pub const GATEWAY: &str = "gateway";
/// Name of the model server's container.
pub const MODEL: &str = "model";

/// The label of a node that tells its region, by the convention of Kubernetes.
const REGION: &str = "topology.kubernetes.io/region";
const TOKEN_DIR: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
const POLICY_DIR: &str = "/etc/atelier/gateway";
const TLS_DIR: &str = "/etc/atelier/tls";
/// How long a gateway goes on accepting after it was told to end, until endpoints have forgotten it.
const DRAIN_DELAY_MS: i64 = 3_000;
/// The longest time that requests in flight get to finish at the end.
const LONGEST_DRAIN_MS: i64 = 600_000;

/// How many replicas there are to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replicas {
    /// So many.
    Fixed(i32),
    /// As many as there are, which is the autoscaler's to change; so many, where there is no Deployment yet.
    Scaled(i32),
}

/// The Deployment. `account_uid` is the uid of the gateway's ServiceAccount: its tokens die with it, so a remade one
/// has to roll the pods.
pub fn deployment(
    service: &WebService,
    parent: &Parent,
    transport: Transport,
    settings: &Settings,
    account_uid: &str,
    replicas: Replicas,
) -> Result<Desired, Error> {
    let name = gateway_secret_name(&parent.name);
    let limits = &service.spec.limits;
    let drain_ms = i64::from(limits.timeout_ms).min(LONGEST_DRAIN_MS);
    let grace_seconds = (DRAIN_DELAY_MS + drain_ms) / 1000 + 5;

    let mut pod = pods::spec(
        name.clone(),
        vec![gateway(service, parent, transport, settings, drain_ms)],
        grace_seconds,
    );
    pod.init_containers = Some(vec![model(service, settings)]);
    let certificate = match transport {
        Transport::Plain => None,
        Transport::Generated => Some(certificate_volume(&certificate_secret_name(&parent.name))),
        Transport::Secret(name) => Some(certificate_volume(name)),
    };
    let reports = settings.intake.is_some();
    let volumes = [token_volume(reports), policy_volume(&name)];
    pod.volumes = Some(volumes.into_iter().chain(certificate).collect());
    let region = service.spec.location.clone();
    pod.node_selector = region.map(|region| [(REGION.to_owned(), region)].into());
    let template = PodTemplateSpec {
        metadata: Some(ObjectMeta {
            labels: Some(parent.labels()),
            annotations: Some(
                [(
                    labels::SERVICE_ACCOUNT_UID.to_owned(),
                    account_uid.to_owned(),
                )]
                .into(),
            ),
            ..ObjectMeta::default()
        }),
        spec: Some(pod),
    };
    let mut metadata = parent.child(&parent.name);
    let replicas = match replicas {
        Replicas::Fixed(replicas) => replicas,
        Replicas::Scaled(replicas) => {
            let annotations = metadata.annotations.get_or_insert_default();
            annotations.insert(labels::AUTOSCALED.to_owned(), "true".to_owned());
            replicas
        }
    };
    let deployment = Deployment {
        metadata,
        spec: Some(DeploymentSpec {
            replicas: Some(replicas),
            selector: LabelSelector {
                match_labels: Some(parent.selector()),
                match_expressions: None,
            },
            // A new version takes over only when it answers: until then the old one serves.
            strategy: Some(DeploymentStrategy {
                type_: Some("RollingUpdate".into()),
                rolling_update: Some(RollingUpdateDeployment {
                    max_surge: Some(IntOrString::Int(1)),
                    max_unavailable: Some(IntOrString::Int(0)),
                }),
            }),
            progress_deadline_seconds: Some(600),
            revision_history_limit: Some(3),
            template,
            ..DeploymentSpec::default()
        }),
        status: None,
    };
    Desired::new(ChildKind::Deployment, &deployment)
}

fn gateway(
    service: &WebService,
    parent: &Parent,
    transport: Transport,
    settings: &Settings,
    drain_ms: i64,
) -> Container {
    let (spec, limits) = (&service.spec, &service.spec.limits);
    let mut container = pods::container(
        GATEWAY,
        &settings.gateway_image,
        Some(&settings.pull_policy),
    );
    let mut args = vec![
        format!("--listen=0.0.0.0:{GATEWAY_PORT}"),
        format!("--admin-listen=0.0.0.0:{ADMIN_PORT}"),
        format!("--model=127.0.0.1:{}", spec.port),
        format!("--score-path={}", spec.score_path),
        format!("--service={}", parent.name),
        format!("--workspace={}", parent.workspace),
        format!("--compute-type={}", spec.class.as_str()),
        format!("--secret={}", gateway_secret_name(&parent.name)),
        format!("--secret-dir={POLICY_DIR}"),
        format!(
            "--concurrent-requests={}",
            limits.concurrent_requests_per_replica
        ),
        format!("--queue-wait-ms={}", limits.queue_wait_ms),
        format!("--timeout-ms={}", limits.timeout_ms),
        format!("--max-body-bytes={}", limits.max_body_bytes),
        format!("--drain-delay-ms={DRAIN_DELAY_MS}"),
        format!("--drain-timeout-ms={drain_ms}"),
    ];
    let mut mounts = vec![mount("token", TOKEN_DIR), mount("policy", POLICY_DIR)];
    if transport.is_tls() {
        args.push(format!("--tls-dir={TLS_DIR}"));
        mounts.push(mount("tls", TLS_DIR));
    }
    if transport == Transport::Generated {
        // That one it may watch. One that was brought it has no right to, beyond what is mounted.
        args.push(format!(
            "--tls-secret={}",
            certificate_secret_name(&parent.name)
        ));
    }
    args.extend(
        spec.cors
            .iter()
            .map(|origin| format!("--cors-origin={origin}")),
    );
    let mut ports = vec![
        port(public(transport).name, GATEWAY_PORT),
        port("admin", ADMIN_PORT),
    ];
    if let Some(client) = &settings.gateway_client {
        args.extend([
            format!("--internal-listen=0.0.0.0:{INTERNAL_PORT}"),
            format!(
                "--internal-secret={}",
                certificate_secret_name(&parent.name)
            ),
            format!("--internal-client={client}"),
        ]);
        ports.push(port("internal", INTERNAL_PORT));
        let intake = settings.intake.iter();
        args.extend(intake.map(|intake| format!("--report-to={intake}")));
    }
    container.args = Some(args);
    container.env = Some(vec![
        from_field("POD_NAME", "metadata.name"),
        from_field("POD_NAMESPACE", "metadata.namespace"),
    ]);
    container.ports = Some(ports);
    container.resources = Some(resources(("20m", "16Mi"), "64Mi"));
    container.security_context = Some(pods::container_security(true));
    container.readiness_probe = Some(probe("/readyz", 0, 1, 3));
    container.liveness_probe = Some(probe("/livez", 5, 10, 3));
    container.volume_mounts = Some(mounts);
    container
}

fn model(service: &WebService, settings: &Settings) -> Container {
    let spec = &service.spec;
    let mut container = pods::container(MODEL, &spec.image, Some(&settings.pull_policy));
    container.command.clone_from(&spec.command);
    container.restart_policy = Some("Always".into());
    container.resources = Some(resources(
        (&spec.resources.cpu.0, &spec.resources.memory.0),
        &spec.resources.memory.0,
    ));
    container.security_context = Some(pods::container_security(false));
    // The original's numbers: a model may take its time to load.
    container.liveness_probe = Some(probe("/probe/model/live", 310, 10, 3));
    container
}

fn resources((cpu, memory): (&str, &str), memory_limit: &str) -> ResourceRequirements {
    let quantity = |value: &str| Quantity(value.to_owned());
    ResourceRequirements {
        requests: Some(
            [
                ("cpu".into(), quantity(cpu)),
                ("memory".into(), quantity(memory)),
            ]
            .into(),
        ),
        limits: Some([("memory".into(), quantity(memory_limit))].into()),
        claims: None,
    }
}

fn probe(path: &str, initial_delay: i32, period: i32, failures: i32) -> Probe {
    Probe {
        http_get: Some(HTTPGetAction {
            path: Some(path.into()),
            port: IntOrString::Int(ADMIN_PORT),
            scheme: Some("HTTP".into()),
            ..HTTPGetAction::default()
        }),
        // The API server drops a zero.
        initial_delay_seconds: (initial_delay > 0).then_some(initial_delay),
        period_seconds: Some(period),
        timeout_seconds: Some(2),
        success_threshold: Some(1),
        failure_threshold: Some(failures),
        ..Probe::default()
    }
}

fn port(name: &str, number: i32) -> ContainerPort {
    ContainerPort {
        name: Some(name.into()),
        container_port: number,
        protocol: Some("TCP".into()),
        ..ContainerPort::default()
    }
}

fn mount(name: &str, path: &str) -> VolumeMount {
    VolumeMount {
        name: name.into(),
        mount_path: path.into(),
        read_only: Some(true),
        ..VolumeMount::default()
    }
}

fn from_field(name: &str, path: &str) -> EnvVar {
    EnvVar {
        name: name.into(),
        value: None,
        value_from: Some(EnvVarSource {
            field_ref: Some(field(path)),
            ..EnvVarSource::default()
        }),
    }
}

fn field(path: &str) -> ObjectFieldSelector {
    ObjectFieldSelector {
        api_version: Some("v1".into()),
        field_path: path.into(),
    }
}

/// The token of the gateway's ServiceAccount, for the gateway's container only: the pod mounts none by itself. With
/// `reports`, another beside it that is good for nothing but to say to the operator which pod it is.
fn token_volume(reports: bool) -> Volume {
    let token = ServiceAccountTokenProjection {
        path: "token".into(),
        expiration_seconds: Some(3607),
        ..ServiceAccountTokenProjection::default()
    };
    let authority = ConfigMapProjection {
        name: "kube-root-ca.crt".into(),
        items: Some(vec![KeyToPath {
            key: "ca.crt".into(),
            path: "ca.crt".into(),
            mode: None,
        }]),
        optional: None,
    };
    let namespace = DownwardAPIProjection {
        items: Some(vec![DownwardAPIVolumeFile {
            path: "namespace".into(),
            field_ref: Some(field("metadata.namespace")),
            ..DownwardAPIVolumeFile::default()
        }]),
    };
    let to_operator = ServiceAccountTokenProjection {
        audience: Some(AUDIENCE.into()),
        path: "atelier".into(),
        expiration_seconds: Some(3600),
    };
    let to_operator = reports.then(|| VolumeProjection {
        service_account_token: Some(to_operator),
        ..VolumeProjection::default()
    });
    let mut sources = vec![
        VolumeProjection {
            service_account_token: Some(token),
            ..VolumeProjection::default()
        },
        VolumeProjection {
            config_map: Some(authority),
            ..VolumeProjection::default()
        },
        VolumeProjection {
            downward_api: Some(namespace),
            ..VolumeProjection::default()
        },
    ];
    sources.extend(to_operator);
    Volume {
        name: "token".into(),
        projected: Some(ProjectedVolumeSource {
            default_mode: Some(0o644),
            sources: Some(sources),
        }),
        ..Volume::default()
    }
}

/// The gateway's Secret, for a start while no API server answers.
fn policy_volume(secret: &str) -> Volume {
    Volume {
        name: "policy".into(),
        secret: Some(SecretVolumeSource {
            secret_name: Some(secret.into()),
            default_mode: Some(0o644),
            ..SecretVolumeSource::default()
        }),
        ..Volume::default()
    }
}

/// The certificate of the public port. It may come later, or be replaced: a gateway is not ready without one, and takes
/// over a new one as it comes.
fn certificate_volume(secret: &str) -> Volume {
    Volume {
        name: "tls".into(),
        secret: Some(SecretVolumeSource {
            secret_name: Some(secret.into()),
            default_mode: Some(0o644),
            optional: Some(true),
            ..SecretVolumeSource::default()
        }),
        ..Volume::default()
    }
}
