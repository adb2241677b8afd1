//! The operator's binary.

use anyhow::Context as _;
use atelier::args::{Cli, Command};
use atelier::{cleanup, crd, logging, operator};
use clap::Parser as _;
use tokio::signal::unix::{SignalKind, signal};

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> anyhow::Result<()> {
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    if provider.install_default().is_err() {
        anyhow::bail!("a TLS provider was installed before main");
    }
    match Cli::parse().command {
        Command::Operator(args) => {
            logging::start(&args.log)?;
            operator::run(*args).await
        }
        Command::Crd { dir } => crd::write(&dir),
        Command::Cleanup(args) => {
            logging::start(&args.log)?;
            cleanup::run(args).await
        }
        Command::Pause => {
            signal(SignalKind::terminate())
                .context("listen to SIGTERM")?
                .recv()
                .await;
            Ok(())
        }
    }
}
