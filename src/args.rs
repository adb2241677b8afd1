//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;

use atelier_storage::Place;
use clap::{Args, Parser, Subcommand, ValueEnum};
use jiff::SignedDuration;

/// Workspaces, roles, compute, runs and model endpoints on plain Kubernetes.
#[derive(Debug, Parser)]
#[command(name = "atelier", version)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the operator.
    Operator(Box<OperatorArgs>),
    /// Write the CustomResourceDefinitions, one file each.
    Crd {
        /// The folder to write to.
        dir: PathBuf,
    },
    /// Give up what the operator holds in the cluster, before the chart is removed.
    Cleanup(CleanupArgs),
    /// Do nothing until told to end: what a placeholder runs.
    Pause,
}

/// Options of `operator`.
#[derive(Clone, Debug, Args)]
pub struct OperatorArgs {
    /// The operator's own namespace.
    #[arg(long, env = "POD_NAMESPACE", default_value = "atelier-system")]
    pub namespace: String,
    /// The operator's own ServiceAccount.
    #[arg(long, env = "SERVICE_ACCOUNT", default_value = "atelier-operator")]
    pub service_account: String,
    /// A name that no other replica has: the pod's. Without it one is made up.
    #[arg(long, env = "POD_NAME")]
    pub replica: Option<String>,
    /// Where the cluster asks for health and metrics.
    #[arg(long, env = "ATELIER_ADMIN_LISTEN", default_value = "0.0.0.0:8081")]
    pub admin_listen: SocketAddr,
    /// The locations.
    #[command(flatten)]
    pub places: Places,
    /// Image of the gateway.
    #[arg(long, env = "ATELIER_GATEWAY_IMAGE")]
    pub gateway_image: String,
    /// Image of the server of an embedded storage.
    #[arg(long, env = "ATELIER_STORAGE_IMAGE")]
    pub storage_image: String,
    /// The service's own storage.
    #[command(flatten)]
    pub service_storage: ServiceStorageArgs,
    /// How often it is tried whether the storage of a workspace works, or the service's own.
    #[arg(long, env = "ATELIER_STORAGE_PROBE", default_value = "5m")]
    pub storage_probe: SignedDuration,
    /// For how long fewer replicas of a web service with autoscale have to do before there are fewer.
    #[arg(long, env = "ATELIER_SCALE_DOWN_WINDOW", default_value = "60s", value_parser = window)]
    pub scale_down_window: SignedDuration,
    /// Image of placeholders: the operator's own.
    #[arg(long, env = "ATELIER_OPERATOR_IMAGE")]
    pub operator_image: String,
    /// Whether the images of pods are pulled.
    #[arg(
        long,
        env = "ATELIER_PULL_POLICY",
        value_enum,
        default_value = "if-not-present",
        ignore_case = true
    )]
    pub pull_policy: PullPolicy,
    /// The actions and the admission webhook.
    #[command(flatten)]
    pub serving: ServingArgs,
    /// Logging.
    #[command(flatten)]
    pub log: LogArgs,
}

/// Where the service itself keeps objects.
#[derive(Clone, Debug, Args)]
pub struct ServiceStorageArgs {
    /// Where it is: JSON, as `{"type":"S3","region":"us-east-1","bucket":"atelier"}`. Without it there is none.
    #[arg(long, env = "ATELIER_SERVICE_STORAGE", value_parser = place, requires = "service_storage_secret")]
    pub service_storage: Option<Place>,
    /// The Secret, in the operator's own namespace, with its credential.
    #[arg(long, env = "ATELIER_SERVICE_STORAGE_SECRET")]
    pub service_storage_secret: Option<String>,
    /// Who signs its certificate, where it is a store that is brought and not one of the public authorities: PEM.
    #[arg(long, env = "ATELIER_SERVICE_STORAGE_CA")]
    pub service_storage_ca: Option<String>,
}

fn place(text: &str) -> Result<Place, String> {
    serde_json::from_str(text).map_err(|error| error.to_string())
}

/// Where an installation is.
#[derive(Clone, Debug, Args)]
pub struct Places {
    /// The locations that exist, separated by commas.
    #[arg(
        long,
        env = "ATELIER_LOCATIONS",
        value_delimiter = ',',
        default_value = "local"
    )]
    pub locations: Vec<String>,
}

/// What is served over TLS, and the certificates for it.
#[derive(Clone, Debug, Args)]
pub struct ServingArgs {
    /// Where the API server reaches the actions and the webhook. Without it there are none, and no certificates.
    #[arg(long, env = "ATELIER_SERVE_LISTEN")]
    pub serve_listen: Option<SocketAddr>,
    /// The Service that leads there: what the certificate names.
    #[arg(long, env = "ATELIER_SERVICE_NAME", default_value = "atelier-operator")]
    pub service_name: String,
    /// Where gateways report how much they have to do. Without it, or without certificates of the operator's own, no web
    /// service can follow its load.
    #[arg(long, env = "ATELIER_INTAKE_LISTEN", requires = "serve_listen")]
    pub intake_listen: Option<SocketAddr>,
    /// The headless Service by which they find every replica there, at port 8444.
    #[arg(long, env = "ATELIER_INTAKE_SERVICE", default_value = "atelier-intake")]
    pub intake_service: String,
    /// Who keeps the certificates.
    #[arg(
        long,
        env = "ATELIER_CERTIFICATES",
        value_enum,
        default_value = "internal"
    )]
    pub certificates: Certificates,
    /// From one certificate authority to the next.
    #[arg(long, env = "ATELIER_CERTIFICATE_ROTATION", default_value = "2160h")]
    pub certificate_rotation: SignedDuration,
    /// How long everybody is given to learn of a new authority before anything relies on it.
    #[arg(long, env = "ATELIER_CERTIFICATE_OVERLAP", default_value = "1h")]
    pub certificate_overlap: SignedDuration,
    /// For how long a certificate is good. It is renewed after two thirds of that.
    #[arg(long, env = "ATELIER_CERTIFICATE_LIFE", default_value = "720h")]
    pub certificate_life: SignedDuration,
}

fn window(text: &str) -> Result<SignedDuration, String> {
    let (shortest, longest) = (SignedDuration::from_secs(1), SignedDuration::from_hours(24));
    match text.parse::<SignedDuration>() {
        Ok(window) if (shortest..=longest).contains(&window) => Ok(window),
        Ok(_) => Err("not between 1s and 24h".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

/// Who keeps the certificates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Certificates {
    /// The operator, by an authority of its own.
    Internal,
    /// Somebody else, cert-manager for instance, in the same Secrets.
    External,
}

/// Options of `cleanup`.
#[derive(Clone, Debug, Args)]
pub struct CleanupArgs {
    /// The operator's own namespace.
    #[arg(long, env = "POD_NAMESPACE", default_value = "atelier-system")]
    pub namespace: String,
    /// The operator's Deployment, which is scaled to nothing first.
    #[arg(long, default_value = "atelier-operator")]
    pub deployment: String,
    /// The locations: their identities go.
    #[command(flatten)]
    pub places: Places,
    /// Take the API group of the actions and the webhook out first: without an operator they would hold others up.
    #[arg(long)]
    pub actions: bool,
    /// Logging.
    #[command(flatten)]
    pub log: LogArgs,
}

/// Logging.
#[derive(Clone, Debug, Args)]
pub struct LogArgs {
    /// How the log is written.
    #[arg(
        long,
        env = "ATELIER_LOG_FORMAT",
        value_enum,
        default_value = "json",
        ignore_case = true
    )]
    pub log_format: LogFormat,
    /// What the log holds: levels, by module if wanted (`info,atelier=debug`).
    #[arg(
        long = "log",
        env = "ATELIER_LOG",
        default_value = "info,kube_runtime=error,kube_client=warn"
    )]
    pub filter: String,
}

/// How the log is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// For people.
    Text,
}

/// Whether images are pulled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[allow(missing_docs)]
pub enum PullPolicy {
    #[value(alias = "Always")]
    Always,
    #[value(alias = "IfNotPresent")]
    IfNotPresent,
    #[value(alias = "Never")]
    Never,
}

impl PullPolicy {
    /// As Kubernetes spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Always => "Always",
            Self::IfNotPresent => "IfNotPresent",
            Self::Never => "Never",
        }
    }
}
