//! `resync`: a workspace's keys and grants, made current without waiting for the next change.

use clap::Args;
use serde_json::Value;

use super::workspace;
use crate::args::GlobalArgs;
use crate::client::{Cluster, WORKSPACES};
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
    output::answer(args.output.format, &answer, &name, |_| {
        people(&name, &answer)
    })
}

/// What the server says beside what every object says.
fn people(name: &str, answer: &Value) -> Result<String, Failure> {
    let mut said = answer.clone();
    if let Some(fields) = said.as_object_mut() {
        for known in ["apiVersion", "kind", "metadata"] {
            fields.remove(known);
        }
        if fields.is_empty() {
            return Ok(format!("{name} resynced\n"));
        }
    }
    Ok(format!("{name} resynced\n{}", output::yaml(&said)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_server_says_is_printed() {
        let name = "workspace.atelier.dev/vision";
        let bare = serde_json::json!({"kind": "Any", "metadata": {"name": "vision"}});
        assert_eq!(
            people(name, &bare).unwrap(),
            "workspace.atelier.dev/vision resynced\n"
        );
        let more = serde_json::json!({"kind": "Any", "grants": ["a"]});
        let text = people(name, &more).unwrap();
        assert!(text.contains("\ngrants:\n"), "{text}");
        assert!(!text.contains("Any"), "{text}");
    }
}
