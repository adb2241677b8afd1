//! `completion`: a shell's script.

use clap::{Args, CommandFactory as _, ValueEnum};
use clap_complete::Shell as Script;

use crate::args::Cli;
use crate::failure::Failure;
use crate::output;

/// Arguments of `completion`.
#[derive(Debug, Args)]
#[command(
    after_help = "The script completes kubectl-atelier. To complete `kubectl atelier` as well, put an \
    executable\nfile named kubectl_complete-atelier into a folder of your PATH, with this content:\n\n  \
    #!/bin/sh\n  \
    exec kubectl-atelier __complete \"$@\"\n\n\
    Examples:\n  \
    # In this bash, now\n  \
    source <(kubectl atelier completion bash)"
)]
pub struct CompletionArgs {
    /// The shell.
    #[arg(value_enum)]
    pub shell: Shell,
}

/// A shell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[allow(missing_docs)]
pub enum Shell {
    Bash,
    Zsh,
    Fish,
    Powershell,
}

/// Does what the arguments say.
pub fn run(args: CompletionArgs) -> Result<(), Failure> {
    let script = match args.shell {
        Shell::Bash => Script::Bash,
        Shell::Zsh => Script::Zsh,
        Shell::Fish => Script::Fish,
        Shell::Powershell => Script::PowerShell,
    };
    let mut command = Cli::command();
    // Into memory first: the generator panics when its writer fails.
    let mut text = Vec::new();
    clap_complete::generate(script, &mut command, "kubectl-atelier", &mut text);
    output::bytes(&text)
}
