//! The command line.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

use crate::commands::{
    cancel, completion, credential, data, keys, logs, requests, resync, score, token, version, why,
};
use crate::durations;
use crate::names::Name;

/// Keys, scoring, logs and explanations for Atelier's runs and web services.
#[derive(Debug, Parser)]
#[command(
    name = "kubectl-atelier",
    bin_name = "kubectl atelier",
    version,
    after_help = "Every command asks the cluster of the current context, as you.\n\
                  `kubectl atelier COMMAND --help` has examples."
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// Which cluster, which namespace, as whom.
    #[command(flatten)]
    pub global: GlobalArgs,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// List, show and regenerate the keys of a web service.
    Keys(keys::KeysArgs),
    /// Get a token that opens a web service for a while.
    Token(token::TokenArgs),
    /// Send a scoring request to a web service.
    Score(score::ScoreArgs),
    /// Print the log of a web service or a run.
    Logs(logs::LogsArgs),
    /// Show the requests of a web service, as its gateways recorded them.
    Requests(requests::RequestsArgs),
    /// Print inputs and predictions of a web service, where they are collected.
    Data(data::DataArgs),
    /// Say why a run is not running, or how it ended.
    Why(why::WhyArgs),
    /// Cancel a run.
    Cancel(cancel::CancelArgs),
    /// Store credentials that resources can name and nobody can read.
    Credential(credential::CredentialArgs),
    /// Make a workspace's keys and grants current, now.
    Resync(resync::ResyncArgs),
    /// Print a shell's completion script.
    Completion(completion::CompletionArgs),
    /// Print the version of this plugin.
    Version(version::VersionArgs),
}

/// Which cluster, which namespace, as whom: the same flags as kubectl's.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Global options")]
pub struct GlobalArgs {
    /// The namespace; without it, the context's.
    #[arg(short, long, global = true, value_name = "NAMESPACE")]
    pub namespace: Option<Name>,
    /// The context of the kubeconfig to use.
    #[arg(long, global = true, value_name = "NAME")]
    pub context: Option<String>,
    /// The cluster of the kubeconfig to use.
    #[arg(long, global = true, value_name = "NAME")]
    pub cluster: Option<String>,
    /// The user of the kubeconfig to use.
    #[arg(long, global = true, value_name = "NAME")]
    pub user: Option<String>,
    /// The kubeconfig, instead of those in $KUBECONFIG or ~/.kube/config.
    #[arg(long, global = true, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub kubeconfig: Option<PathBuf>,
    /// Act as this user or service account.
    #[arg(long = "as", global = true, value_name = "USER")]
    pub impersonate: Option<String>,
    /// Act as a member of this group; may be repeated.
    #[arg(long = "as-group", global = true, value_name = "GROUP")]
    pub impersonate_groups: Vec<String>,
    /// How long a request may take, with its answer (10s, 2m); 0 is no limit.
    #[arg(long, global = true, value_name = "TIME", default_value = "0", hide_default_value = true, value_parser = durations::timeout)]
    pub request_timeout: Duration,
}

/// `$KUBECONFIG`: a list of files, unlike `--kubeconfig`.
pub fn kubeconfig_variable() -> Option<OsString> {
    std::env::var_os("KUBECONFIG").filter(|files| !files.is_empty())
}
