//! `atelier-chaos`: see the library.

use std::process::ExitCode;

use atelier_chaos::args::{Cli, Command};
use atelier_chaos::{canary, leaders, rights, scale, session, stomp};
use clap::Parser as _;
use tokio::signal::unix::{SignalKind, signal};

#[tokio::main]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(&cli).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(cli: &Cli) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let work = async {
        match &cli.command {
            Some(Command::Golden) => session::undisturbed(&cli.run).await,
            Some(Command::Transitions(args)) => {
                atelier_chaos::transitions::run(&cli.run, args).await
            }
            Some(Command::Leaders(args)) => leaders::run(&cli.run, args).await,
            Some(Command::Stomp(args)) => stomp::run(&cli.run, args).await,
            Some(Command::Rights) => rights::run(&cli.run).await,
            Some(Command::Canary) => canary::run(&cli.run).await,
            Some(Command::Scale(args)) => scale::run(&cli.run, args).await,
            None => session::disturb(&cli.run).await,
        }
    };
    // Whichever ends first drops the other, and with it the lab, its processes and its cluster.
    tokio::select! {
        done = work => done,
        _ = terminate.recv() => anyhow::bail!("ended by SIGTERM"),
        _ = tokio::signal::ctrl_c() => anyhow::bail!("interrupted"),
    }
}
