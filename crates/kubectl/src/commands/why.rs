//! `why`: the reasons for a run's state.

use atelier_api::actions::RunExplanation;
use clap::Args;

use crate::args::GlobalArgs;
use crate::client::{Cluster, RUNS, typed};
use crate::failure::Failure;
use crate::names::Name;
use crate::output::{self, FormatArgs};
use crate::table::plain;

/// Arguments of `why`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    # What the run first waits for, the nearest cause first\n  \
    kubectl atelier why first")]
pub struct WhyArgs {
    /// The run.
    pub run: Name,
    /// Form of the output.
    #[command(flatten)]
    pub output: FormatArgs,
}

/// Does what the arguments say.
pub async fn run(args: WhyArgs, global: &GlobalArgs) -> Result<(), Failure> {
    let cluster = Cluster::open(global).await?;
    let answer = cluster.show(RUNS, &args.run, "why").await?;
    let explanation: RunExplanation = typed(&answer)?;
    let name = format!("run.atelier.dev/{}", args.run);
    output::answer(args.output.format, &answer, &name, |_| {
        Ok(people(&args.run, &explanation))
    })
}

fn people(name: &Name, explanation: &RunExplanation) -> String {
    let mut text = format!("Name:    {name}\nState:   {:?}\n", explanation.state);
    if let Some(place) = &explanation.queue {
        text.push_str(&format!(
            "Queue:   {} of {} for compute target {}\n",
            place.position,
            place.length,
            plain(&place.compute_target),
        ));
    }
    if explanation.reasons.is_empty() {
        return text;
    }
    text.push_str("Reasons:\n");
    for reason in &explanation.reasons {
        text.push_str(&format!("  {}\n", plain(reason)));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn explained(more: serde_json::Value) -> String {
        let mut answer = serde_json::json!({
            "apiVersion": "actions.atelier.dev/v1alpha1",
            "kind": "RunExplanation",
            "metadata": {"name": "first"},
            "state": "Queued",
            "reasons": [],
        });
        let fields = answer.as_object_mut().unwrap();
        fields.extend(more.as_object().unwrap().clone());
        let explanation = serde_json::from_value(answer).unwrap();
        people(&"first".parse().unwrap(), &explanation)
    }

    #[test]
    fn the_nearest_reason_comes_first() {
        let text = explained(serde_json::json!({
            "queue": {"position": 2, "length": 5, "computeTarget": "cpu"},
            "reasons": ["One run is ahead.", "All nodes are taken.\nReally."],
        }));
        assert_eq!(
            text,
            "Name:    first\n\
             State:   Queued\n\
             Queue:   2 of 5 for compute target cpu\n\
             Reasons:\n  One run is ahead.\n  All nodes are taken. Really.\n"
        );
    }

    #[test]
    fn a_run_in_no_queue_has_no_place() {
        let text = explained(serde_json::json!({"state": "Running"}));
        assert_eq!(text, "Name:    first\nState:   Running\n");
    }
}
