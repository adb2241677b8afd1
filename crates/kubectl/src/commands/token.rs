//! `token`: one that opens a web service for a while, in the caller's name.

use atelier_api::actions::AccessToken;
use clap::Args;

use crate::args::GlobalArgs;
use crate::client::{Cluster, SERVICES, typed};
use crate::failure::Failure;
use crate::names::Name;
use crate::output::{self, PlainFormatArgs};
use crate::table::plain;

/// Arguments of `token`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    # Call digits with a token\n  \
    curl -H \"Authorization: Bearer $(kubectl atelier token digits)\" --data @body.json http://digits.vision.svc/score\n\n  \
    # When it has to be refreshed, and when it ends\n  \
    kubectl atelier token digits -o json")]
pub struct TokenArgs {
    /// The web service.
    pub service: Name,
    /// Form of the output.
    #[command(flatten)]
    pub output: PlainFormatArgs,
}

/// Does what the arguments say.
pub async fn run(args: TokenArgs, global: &GlobalArgs) -> Result<(), Failure> {
    let cluster = Cluster::open(global).await?;
    let answer = cluster
        .act(SERVICES, &args.service, "token", None::<&()>)
        .await?;
    let token: AccessToken = typed(&answer)?;
    output::answer(args.output.format.into(), &answer, "", |_| {
        Ok(format!("{}\n", plain(&token.access_token)))
    })
}
