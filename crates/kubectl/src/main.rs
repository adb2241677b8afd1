//! `kubectl atelier`: the actions on Atelier's resources, from the command line.
//!
//! A client and nothing more: it asks the cluster with the rights of whoever runs it, and keeps nothing.

mod age;
mod answer;
mod args;
mod client;
mod commands;
mod complete;
mod config;
mod durations;
mod failure;
mod input;
mod names;
mod output;
mod table;

use std::io::Write as _;
use std::process::ExitCode;

use clap::Parser as _;

use crate::args::Cli;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    if provider.install_default().is_err() {
        return failure::Failure::Provider.report();
    }
    // What kubectl asks of a plugin's completion is half a command line, which no parser would take.
    let words: Vec<_> = std::env::args_os().skip(1).collect();
    if words.first().is_some_and(|word| word == complete::COMMAND) {
        return exit(complete::run(words.get(1..).unwrap_or_default()));
    }
    match Cli::try_parse() {
        Ok(cli) => exit(commands::run(cli).await),
        Err(error) => {
            // A closed terminal is no reason to fail in another way.
            let _ = error.print();
            let _ = std::io::stdout().flush();
            ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2))
        }
    }
}

fn exit(outcome: Result<(), failure::Failure>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}
