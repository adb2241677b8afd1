//! The gateway's binary: crypto provider, arguments, logging, run.

use std::process::ExitCode;

use atelier_gateway::{args, logging, run};
use mimalloc::MiMalloc;

/// What many connections needed at once goes back to the kernel when they need it no more.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    // Before anything that may open a TLS connection. An error means one is installed already.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let args = match args::parse(std::env::args_os()) {
        Ok(args) => args,
        Err(exit) => return exit,
    };
    logging::init(args.log_format, &args.log);
    match run::run(args) {
        Ok(exit) => exit.into(),
        Err(error) => {
            tracing::error!(error = logging::chain(&error), "the gateway ends");
            ExitCode::FAILURE
        }
    }
}
