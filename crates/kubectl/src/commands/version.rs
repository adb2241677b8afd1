//! `version`: of this plugin.

use clap::Args;

use crate::failure::Failure;
use crate::output::{self, PlainFormatArgs};

/// Arguments of `version`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    kubectl atelier version\n  \
    kubectl atelier version -o json")]
pub struct VersionArgs {
    /// Form of the output.
    #[command(flatten)]
    pub output: PlainFormatArgs,
}

/// Does what the arguments say.
pub fn run(args: VersionArgs) -> Result<(), Failure> {
    let version = concat!("v", env!("CARGO_PKG_VERSION"));
    let answer = serde_json::json!({"clientVersion": {"version": version}});
    output::answer(args.output.format.into(), &answer, "", |_| {
        Ok(format!("Client Version: {version}\n"))
    })
}
