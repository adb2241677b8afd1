//! `keys regenerate`: one key anew.

use atelier_api::actions::{KeyRegeneration, Kinded as _, RegeneratedKey};
use clap::Args;

use super::keys::Slot;
use crate::args::GlobalArgs;
use crate::client::{Cluster, SERVICES, typed};
use crate::failure::Failure;
use crate::names::Name;
use crate::output::{self, FormatArgs};
use crate::table::plain;

/// Arguments of `keys regenerate`.
#[derive(Debug, Args)]
#[command(
    after_help = "The other key goes on working. When the command returns, no gateway takes the old \
    key any more.\n\n\
    Examples:\n  \
    # Make the primary key of digits anew, and print it\n  \
    kubectl atelier keys regenerate digits primary\n  \
    kubectl atelier keys show digits primary"
)]
pub struct RegenerateArgs {
    /// The web service.
    pub service: Name,
    /// primary or secondary.
    #[arg(value_enum, ignore_case = true, hide_possible_values = true)]
    pub key: Slot,
    /// Form of the output.
    #[command(flatten)]
    pub output: FormatArgs,
}

/// Does what the arguments say.
pub async fn run(args: RegenerateArgs, global: &GlobalArgs) -> Result<(), Failure> {
    let cluster = Cluster::open(global).await?;
    let body = KeyRegeneration {
        types: Some(KeyRegeneration::types()),
        key_type: args.key.into(),
    };
    let answer = cluster
        .act(SERVICES, &args.service, "regeneratekey", Some(&body))
        .await?;
    let made: RegeneratedKey = typed(&answer)?;
    let name = format!("webservice.atelier.dev/{}", args.service);
    output::answer(args.output.format, &answer, &name, |_| {
        Ok(format!(
            "{name} {} key regenerated: fingerprint {}, created {}\n",
            args.key.as_str(),
            plain(&made.fingerprint),
            made.created_at,
        ))
    })
}
