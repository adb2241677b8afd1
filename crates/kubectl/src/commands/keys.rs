//! `keys`: the two keys of a web service.

use atelier_api::actions::KeyType;
use clap::{Args, Subcommand, ValueEnum};

use super::{keys_list, keys_regenerate, keys_show};
use crate::args::GlobalArgs;
use crate::failure::Failure;

/// Arguments of `keys`.
#[derive(Debug, Args)]
pub struct KeysArgs {
    /// What to do with them.
    #[command(subcommand)]
    pub command: KeysCommand,
}

/// What to do with keys.
#[derive(Debug, Subcommand)]
pub enum KeysCommand {
    /// List the keys of a web service, without their values.
    List(keys_list::ListArgs),
    /// Print the keys of a web service.
    Show(keys_show::ShowArgs),
    /// Make one key of a web service anew; the old one is refused from then on.
    Regenerate(keys_regenerate::RegenerateArgs),
}

/// Which of the two keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Slot {
    /// The primary key.
    Primary,
    /// The secondary key.
    Secondary,
}

impl Slot {
    /// As it is printed.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Primary => "primary",
            Self::Secondary => "secondary",
        }
    }
}

impl From<Slot> for KeyType {
    fn from(slot: Slot) -> Self {
        match slot {
            Slot::Primary => Self::Primary,
            Slot::Secondary => Self::Secondary,
        }
    }
}

/// Does what the arguments say.
pub async fn run(args: KeysArgs, global: &GlobalArgs) -> Result<(), Failure> {
    match args.command {
        KeysCommand::List(args) => keys_list::run(args, global).await,
        KeysCommand::Show(args) => keys_show::run(args, global).await,
        KeysCommand::Regenerate(args) => keys_regenerate::run(args, global).await,
    }
}
