//! The command line. Everything the gateway can be told, checked before anything starts.

use std::{
    ffi::OsString,
    net::SocketAddr,
    num::{NonZeroU32, NonZeroUsize},
    path::PathBuf,
    process::ExitCode,
    time::Duration,
};

use clap::{Parser, ValueEnum};
use serde::Serialize;
use tracing_subscriber::filter::Targets;

use crate::{cors::Origin, route::ScorePath};

/// Exit code for a bad argument (`EX_USAGE`).
pub const EXIT_USAGE: u8 = 64;

/// The way in to a model: authenticates, limits, forwards and records every scoring request.
#[derive(Clone, Debug, Parser)]
#[command(name = "atelier-gateway", version)]
pub struct Args {
    /// Where requests come in.
    #[arg(long, env = "ATELIER_LISTEN", default_value = "0.0.0.0:8080")]
    pub listen: SocketAddr,
    /// Where the cluster asks for health and metrics.
    #[arg(long, env = "ATELIER_ADMIN_LISTEN", default_value = "0.0.0.0:8081")]
    pub admin_listen: SocketAddr,
    /// The model server. A loopback address: the gateway must be the only way to it.
    #[arg(long, env = "ATELIER_MODEL", default_value = "127.0.0.1:5001", value_parser = loopback)]
    pub model: SocketAddr,
    /// The path that scores.
    #[arg(long, env = "ATELIER_SCORE_PATH", default_value = "/score")]
    pub score_path: ScorePath,

    /// The namespace of the web service.
    #[arg(long, env = "POD_NAMESPACE", value_parser = dns_name)]
    pub namespace: String,
    /// The name of the web service.
    #[arg(long, env = "ATELIER_SERVICE", value_parser = dns_name)]
    pub service: String,
    /// The name of the workspace.
    #[arg(long, env = "ATELIER_WORKSPACE", value_parser = dns_name)]
    pub workspace: String,
    /// The name of this pod.
    #[arg(long, env = "POD_NAME", value_parser = dns_name)]
    pub replica: String,
    /// The class of the web service, for the record.
    #[arg(
        long,
        env = "ATELIER_COMPUTE_TYPE",
        value_enum,
        ignore_case = true,
        default_value = "cluster"
    )]
    pub compute_type: ComputeType,

    /// The Secret with the policy, which is watched. Without it only the mounted file is read.
    #[arg(long, env = "ATELIER_SECRET", value_parser = dns_name)]
    pub secret: Option<String>,
    /// Where the same Secret is mounted, for a start while no API server answers.
    #[arg(
        long,
        env = "ATELIER_SECRET_DIR",
        default_value = "/etc/atelier/gateway"
    )]
    pub secret_dir: PathBuf,

    /// Where the certificate for `--listen` is mounted: `tls.crt` and `tls.key`. With it that listener speaks TLS, and
    /// without it plain HTTP.
    #[arg(long, env = "ATELIER_TLS_DIR")]
    pub tls_dir: Option<PathBuf>,
    /// The Secret that is mounted there, if it may be watched too.
    #[arg(long, env = "ATELIER_TLS_SECRET", value_parser = dns_name, requires = "tls_dir")]
    pub tls_secret: Option<String>,
    /// The name for which the certificate has to be, where somebody else keeps it.
    #[arg(long, env = "ATELIER_TLS_HOSTNAME", value_parser = dns_name, requires = "tls_dir", conflicts_with = "tls_secret")]
    pub tls_hostname: Option<String>,
    /// An origin whose pages may call from a browser, as `https://app.example.com`; `*` for all. May be given again.
    #[arg(
        long = "cors-origin",
        env = "ATELIER_CORS_ORIGIN",
        value_delimiter = ','
    )]
    pub cors_origins: Vec<Origin>,

    /// Where the operator comes in, over TLS, with requests of callers that the cluster's API server has let in.
    /// Without it there is no such way in.
    #[arg(long, env = "ATELIER_INTERNAL_LISTEN", requires_all = ["internal_secret", "internal_client"])]
    pub internal_listen: Option<SocketAddr>,
    /// The Secret with the certificate for it, which is watched.
    #[arg(long, env = "ATELIER_INTERNAL_SECRET", value_parser = dns_name)]
    pub internal_secret: Option<String>,
    /// The DNS name in the operator's certificate. Nobody else may come in there.
    #[arg(long, env = "ATELIER_INTERNAL_CLIENT", value_parser = dns_name)]
    pub internal_client: Option<String>,

    /// Where the operator's replicas take reports, over TLS, as `host:port`: all of them are found under that name, and
    /// have the DNS name of `--internal-client` in their certificate. Nothing is sent until the Secret asks for it.
    #[arg(long, env = "ATELIER_REPORT_TO", value_parser = host_and_port, requires_all = ["internal_secret", "internal_client"])]
    pub report_to: Option<String>,
    /// The token of this pod's ServiceAccount for the audience `atelier`.
    #[arg(
        long,
        env = "ATELIER_REPORT_TOKEN",
        default_value = "/var/run/secrets/kubernetes.io/serviceaccount/atelier"
    )]
    pub report_token: PathBuf,

    /// How many requests the model is given at once.
    #[arg(long, env = "ATELIER_CONCURRENT_REQUESTS", default_value = "1")]
    pub concurrent_requests: NonZeroU32,
    /// How long a request waits for its turn, in milliseconds.
    #[arg(long, env = "ATELIER_QUEUE_WAIT_MS", default_value = "500", value_parser = millis)]
    pub queue_wait_ms: Duration,
    /// How long a request may take in all, in milliseconds, from its header to the answer's end.
    #[arg(long, env = "ATELIER_TIMEOUT_MS", default_value = "60000", value_parser = positive_millis)]
    pub timeout_ms: Duration,
    /// The largest request body, in bytes.
    #[arg(long, env = "ATELIER_MAX_BODY_BYTES", default_value = "10485760")]
    pub max_body_bytes: u64,
    /// The largest request header with its request line, in bytes.
    #[arg(long, env = "ATELIER_MAX_HEADER_BYTES", default_value = "32768", value_parser = clap::value_parser!(u32).range(1024..=1_048_576))]
    pub max_header_bytes: u32,
    /// How many client connections are open at once; more wait in the kernel's backlog.
    #[arg(long, env = "ATELIER_MAX_CONNECTIONS", default_value = "10000")]
    pub max_connections: NonZeroUsize,
    /// How long a connection may take to bring the next complete request header, in milliseconds:
    /// bounds both idle connections and slow senders.
    #[arg(long, env = "ATELIER_HEADER_TIMEOUT_MS", default_value = "75000", value_parser = positive_millis)]
    pub header_timeout_ms: Duration,

    /// After SIGTERM: how long to go on accepting while endpoints forget this pod, in milliseconds.
    #[arg(long, env = "ATELIER_DRAIN_DELAY_MS", default_value = "2000", value_parser = millis)]
    pub drain_delay_ms: Duration,
    /// After the delay: how long requests in flight may take, in milliseconds.
    #[arg(long, env = "ATELIER_DRAIN_TIMEOUT_MS", default_value = "25000", value_parser = millis)]
    pub drain_timeout_ms: Duration,

    /// The file the kubelet reads the reason of an exit from.
    #[arg(
        long,
        env = "ATELIER_TERMINATION_LOG",
        default_value = "/dev/termination-log"
    )]
    pub termination_log: PathBuf,
    /// The threads that serve.
    #[arg(long, env = "ATELIER_WORKERS", default_value = "2")]
    pub workers: NonZeroUsize,
    /// How the gateway's own log, on stderr, is written. Records, on stdout, are always JSON.
    #[arg(long, env = "ATELIER_LOG_FORMAT", value_enum, default_value = "json")]
    pub log_format: LogFormat,
    /// What the gateway's own log holds: levels, by module if wanted (`info,kube_runtime=debug`).
    /// The Kubernetes client is silent by default: what it has to say is said by the watch.
    #[arg(
        long,
        env = "ATELIER_LOG",
        default_value = "info,kube_client=off,kube_runtime=off"
    )]
    pub log: Targets,
}

/// The classes of a web service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
pub enum ComputeType {
    /// Many replicas, autoscaled if wanted.
    Cluster,
    /// One replica.
    Instance,
}

/// How the gateway's own log is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// For people.
    Text,
}

/// Parses the command line.
///
/// # Errors
/// The code to exit with: 0 after `--help` and `--version`, [`EXIT_USAGE`] after a bad argument.
/// What is to be said was printed.
pub fn parse(line: impl IntoIterator<Item = OsString>) -> Result<Args, ExitCode> {
    Args::try_parse_from(line).map_err(|error| {
        // Nobody is left to tell when the terminal is gone.
        let _ = error.print();
        if error.use_stderr() {
            ExitCode::from(EXIT_USAGE)
        } else {
            ExitCode::SUCCESS
        }
    })
}

fn loopback(text: &str) -> Result<SocketAddr, String> {
    let address: SocketAddr = text
        .parse()
        .map_err(|_| "not an address with a port".to_owned())?;
    if address.ip().to_canonical().is_loopback() && address.port() != 0 {
        Ok(address)
    } else {
        Err("the model must listen on a loopback address and a fixed port".to_owned())
    }
}

fn dns_name(text: &str) -> Result<String, String> {
    let label_ok = |label: &str| {
        let alphanumeric = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit();
        let bytes = label.as_bytes();
        bytes.first().is_some_and(alphanumeric)
            && bytes.last().is_some_and(alphanumeric)
            && bytes.iter().all(|b| alphanumeric(b) || *b == b'-')
    };
    if text.len() <= 253 && text.split('.').all(label_ok) {
        Ok(text.to_owned())
    } else {
        Err("not a name Kubernetes allows".to_owned())
    }
}

fn host_and_port(text: &str) -> Result<String, String> {
    let parts = text.rsplit_once(':');
    match parts.filter(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok()) {
        Some(_) => Ok(text.to_owned()),
        None => Err("not a host and a port, as operator.example.svc:8444".to_owned()),
    }
}

fn millis(text: &str) -> Result<Duration, String> {
    const LONGEST: u64 = 24 * 60 * 60 * 1000;
    match text.parse() {
        Ok(ms) if ms <= LONGEST => Ok(Duration::from_millis(ms)),
        _ => Err(format!("not a number of milliseconds up to {LONGEST}")),
    }
}

fn positive_millis(text: &str) -> Result<Duration, String> {
    millis(text).and_then(|duration| {
        if duration.is_zero() {
            Err("must be more than 0".to_owned())
        } else {
            Ok(duration)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn try_parse(more: &[&str]) -> Result<Args, clap::Error> {
        let line = [
            "atelier-gateway",
            "--namespace",
            "ml",
            "--service",
            "iris",
            "--workspace",
            "ws",
            "--replica",
            "iris-0",
        ];
        Args::try_parse_from(line.iter().chain(more))
    }

    #[test]
    fn the_defaults_are_those_of_the_design() {
        let args = try_parse(&[]).expect("valid");
        assert_eq!(args.score_path.as_str(), "/score");
        assert_eq!(args.queue_wait_ms, Duration::from_millis(500));
        assert_eq!(args.timeout_ms, Duration::from_secs(60));
        assert_eq!(args.max_body_bytes, 10 << 20);
    }

    #[test]
    fn a_bad_argument_is_refused_with_its_name() {
        for bad in [
            ["--model", "0.0.0.0:5001"],
            ["--model", "10.0.0.1:5001"],
            ["--model", "localhost:5001"],
            ["--model", "127.0.0.1:0"],
            ["--score-path", "score"],
            ["--score-path", "/"],
            ["--namespace", "Not_A_Name"],
            ["--secret", "a_b"],
            ["--concurrent-requests", "0"],
            ["--timeout-ms", "0"],
            ["--queue-wait-ms", "1s"],
            ["--max-header-bytes", "1"],
            ["--workers", "0"],
            ["--log-format", "xml"],
            ["--compute-type", "ACI"],
            ["--internal-client", "_"],
            ["--report-to", "no-port"],
        ] {
            let error = try_parse(&bad).expect_err(bad[1]).to_string();
            assert!(error.contains(bad[0]), "{error}");
        }
    }

    #[test]
    fn the_compute_type_is_accepted_as_the_resource_spells_it() {
        let args = try_parse(&["--compute-type", "Instance"]).expect("valid");
        assert_eq!(args.compute_type, ComputeType::Instance);
    }

    #[test]
    fn there_is_no_internal_listener_for_just_anybody() {
        let line = ["--internal-listen", "0.0.0.0:8443"];
        let error = try_parse(&line).expect_err("incomplete").to_string();
        assert!(error.contains("--internal-client") && error.contains("--internal-secret"));
    }
}
