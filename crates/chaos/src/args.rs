//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::schedule::Share;

/// Tries to knock the operator over, and says how it took it.
#[derive(Debug, Parser)]
#[command(name = "atelier-chaos", version)]
pub struct Cli {
    /// Instead of disturbing anything.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// What to disturb, and how much.
    #[command(flatten)]
    pub run: RunArgs,
}

/// Instead of disturbing anything.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Play the scenarios undisturbed, and print how long each step took.
    Golden,
    /// Set, alter and delete every leaf of every kind, and compare with fresh objects.
    Transitions(crate::transitions::TransitionsArgs),
    /// Take leadership away in every way, and see that one replica writes.
    Leaders(crate::leaders::LeadersArgs),
    /// Change children at random, and see that each change is undone.
    Stomp(crate::stomp::StompArgs),
    /// See that the operator asks only what it may, and may only what it asks.
    Rights,
    /// Look for secrets wherever they do not belong.
    Canary,
    /// Bring a thousand objects up, leave them alone, restart the operator, change children.
    Scale(crate::scale::ScaleArgs),
}

/// Where it all happens.
#[derive(Clone, Debug, Args)]
pub struct LabArgs {
    /// The operator's executable.
    #[arg(
        long,
        global = true,
        env = "ATELIER_CHAOS_OPERATOR",
        default_value = "target/x86_64-unknown-linux-gnu/debug/atelier"
    )]
    pub operator: PathBuf,
    /// Use this cluster, made if it is not there, and leave it standing.
    #[arg(long, global = true, value_name = "NAME")]
    pub reuse: Option<String>,
    /// Leave the cluster standing.
    #[arg(long, global = true)]
    pub keep: bool,
    /// What the operator logs.
    #[arg(
        long,
        global = true,
        default_value = "info,atelier=trace,kube_runtime=debug,kube_client=debug"
    )]
    pub log: String,
}

/// What to disturb, and how much.
#[derive(Clone, Debug, Args)]
pub struct RunArgs {
    /// Where it all happens.
    #[command(flatten)]
    pub lab: LabArgs,
    /// Decides the order of the plans and the samples. One is made up, and printed, if none is given.
    #[arg(long, global = true)]
    pub seed: Option<u64>,
    /// Only plans of this sort.
    #[arg(long, value_enum)]
    pub only: Option<Sort>,
    /// Only this scenario.
    #[arg(long, global = true, value_name = "NAME")]
    pub scenario: Option<String>,
    /// Exactly this plan. Can be given several times.
    #[arg(long, value_name = "TEXT")]
    pub plan: Vec<String>,
    /// Stop after so many minutes, with a fair share of each sort of plan.
    #[arg(long, value_name = "M")]
    pub minutes: Option<f64>,
    /// Keep what undisturbed plays lead to, in crates/chaos/golden.
    #[arg(long, global = true)]
    pub bless: bool,
    /// Only so large a part of the plans: `2/3` is the second of three parts, which together are all of them, whatever the
    /// seeds.
    #[arg(long, value_name = "K/N")]
    pub share: Option<Share>,
    /// Print the plans and do nothing.
    #[arg(long)]
    pub list: bool,
    /// Write the outcome as JSON.
    #[arg(long, global = true, value_name = "FILE")]
    pub report: Option<PathBuf>,
}

/// Sorts of plans.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Sort {
    /// The operator is killed at a write.
    Crash,
    /// A write goes wrong on its way, or seems to.
    Write,
    /// What the operator sees lags behind or has gaps.
    View,
}
