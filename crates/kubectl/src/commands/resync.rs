//! `resync`: a workspace's keys and grants, made current without waiting for the next change.

use atelier_api::actions::KeyResync;
use atelier_api::v1alpha1::Grant;
use clap::Args;

use super::workspace;
use crate::args::GlobalArgs;
use crate::client::{Cluster, WORKSPACES, typed};
use crate::failure::Failure;
use crate::names::Name;
use crate::output::{self, FormatArgs};

/// Arguments of `resync`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    # The only workspace of the namespace vision\n  \
    kubectl atelier resync -n vision")]
pub struct ResyncArgs {
    /// The workspace; without it, the only one of the namespace.
    pub workspace: Option<Name>,
    /// Form of the output.
    #[command(flatten)]
    pub output: FormatArgs,
}

/// Does what the arguments say.
pub async fn run(args: ResyncArgs, global: &GlobalArgs) -> Result<(), Failure> {
    let cluster = Cluster::open(global).await?;
    let workspace = workspace::named_or_only(&cluster, args.workspace).await?;
    let answer = cluster
        .act(WORKSPACES, &workspace, "resynckeys", None::<&()>)
        .await?;
    let name = format!("workspace.atelier.dev/{workspace}");
    let resynced: KeyResync = typed(&answer)?;
    output::answer(args.output.format, &answer, &name, |_| {
        Ok(people(&name, &resynced))
    })
}

fn people(name: &str, answer: &KeyResync) -> String {
    let grant = |grant: &Grant| {
        let (resource, role) = (grant.resource.as_str(), &grant.role);
        format!("  {resource}: {role}: {:?}\n", grant.state)
    };
    let grants: String = answer.grants.iter().map(grant).collect();
    match answer.done {
        true => format!("{name} resynced\n{grants}"),
        false => format!("{name} resync noted; it is done as soon as an operator leads\n{grants}"),
    }
}
