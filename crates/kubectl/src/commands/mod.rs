//! One file a command: its arguments, what it asks, and what it prints.

pub mod cancel;
pub mod completion;
pub mod credential;
pub mod data;
mod kept;
pub mod keys;
mod keys_list;
mod keys_regenerate;
mod keys_show;
pub mod logs;
pub mod requests;
pub mod resync;
pub mod score;
pub mod token;
pub mod version;
pub mod why;
mod workspace;

use crate::args::{Cli, Command};
use crate::failure::Failure;

/// Does what the command line says.
pub async fn run(cli: Cli) -> Result<(), Failure> {
    let global = &cli.global;
    match cli.command {
        Command::Keys(args) => keys::run(args, global).await,
        Command::Token(args) => token::run(args, global).await,
        Command::Score(args) => score::run(args, global).await,
        Command::Logs(args) => logs::run(args, global).await,
        Command::Requests(args) => requests::run(args, global).await,
        Command::Data(args) => data::run(args, global).await,
        Command::Why(args) => why::run(args, global).await,
        Command::Cancel(args) => cancel::run(args, global).await,
        Command::Credential(args) => credential::run(args, global).await,
        Command::Resync(args) => resync::run(args, global).await,
        Command::Completion(args) => completion::run(args),
        Command::Version(args) => version::run(args),
    }
}
