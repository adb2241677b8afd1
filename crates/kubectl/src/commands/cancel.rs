//! `cancel`: ends a run.

use atelier_api::actions::RunCancellation;
use clap::Args;

use crate::args::GlobalArgs;
use crate::client::{Cluster, RUNS, typed};
use crate::failure::Failure;
use crate::names::Name;
use crate::output::{self, FormatArgs};

/// Arguments of `cancel`.
#[derive(Debug, Args)]
#[command(
    after_help = "It cannot be taken back. A run that has ended stays as it is, which is no failure.\n\n\
    Examples:\n  \
    # Cancel the run first, and wait for its end\n  \
    kubectl atelier cancel first\n  \
    kubectl wait run/first --for=jsonpath='{.status.state}'=Canceled"
)]
pub struct CancelArgs {
    /// The run.
    pub run: Name,
    /// Form of the output.
    #[command(flatten)]
    pub output: FormatArgs,
}

/// Does what the arguments say.
pub async fn run(args: CancelArgs, global: &GlobalArgs) -> Result<(), Failure> {
    let cluster = Cluster::open(global).await?;
    let answer = cluster.act(RUNS, &args.run, "cancel", None::<&()>).await?;
    let canceled: RunCancellation = typed(&answer)?;
    let name = format!("run.atelier.dev/{}", args.run);
    output::answer(args.output.format, &answer, &name, |_| {
        Ok(people(&name, &canceled))
    })
}

fn people(name: &str, answer: &RunCancellation) -> String {
    if answer.accepted {
        format!("{name} cancellation requested\n")
    } else {
        format!("{name} had ended before: {:?}\n", answer.state)
    }
}
