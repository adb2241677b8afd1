//! `why`, `cancel` and `resync`.

use serde_json::{Value, json};

use crate::cluster::Cluster;
use crate::kit::run;

const ACTIONS: &str = "/apis/actions.atelier.dev/v1alpha1/namespaces/vision";

#[test]
fn a_run_says_why_it_waits() {
    let cluster = Cluster::json(json!({
        "apiVersion": "actions.atelier.dev/v1alpha1",
        "kind": "RunExplanation",
        "metadata": {"name": "first", "namespace": "vision"},
        "state": "Queued",
        "queue": {"position": 1, "length": 3, "computeTarget": "cpu"},
        "reasons": ["All 4 nodes are taken.", "The target has no more than 4."],
    }));
    assert_eq!(
        run(&cluster, &["why", "first"]).fine(),
        "Name:    first\nState:   Queued\nQueue:   1 of 3 for compute target cpu\n\
         Reasons:\n  All 4 nodes are taken.\n  The target has no more than 4.\n"
    );
    let asked = cluster.only();
    assert_eq!(asked.line, format!("GET {ACTIONS}/runs/first/why"));
    let json = run(&cluster, &["why", "first", "-o", "json"]).fine();
    assert!(json.contains("\n    \"state\": \"Queued\"\n"), "{json}");
    assert_eq!(
        run(&cluster, &["why", "first", "-o", "name"]).fine(),
        "run.atelier.dev/first\n"
    );
}

fn cancellation(state: &str, accepted: bool) -> Cluster {
    Cluster::json(json!({
        "apiVersion": "actions.atelier.dev/v1alpha1",
        "kind": "RunCancellation",
        "metadata": {"name": "first"},
        "state": state,
        "accepted": accepted,
    }))
}

#[test]
fn a_run_is_canceled() {
    let cluster = cancellation("Running", true);
    assert_eq!(
        run(&cluster, &["cancel", "first"]).fine(),
        "run.atelier.dev/first cancellation requested\n"
    );
    let asked = cluster.only();
    assert_eq!(asked.line, format!("POST {ACTIONS}/runs/first/cancel"));
    assert_eq!(asked.body, b"");
}

#[test]
fn a_run_that_has_ended_stays_as_it_is() {
    assert_eq!(
        run(&cancellation("Completed", false), &["cancel", "first"]).fine(),
        "run.atelier.dev/first had ended before: Completed\n"
    );
}

#[test]
fn the_only_workspace_is_resynced() {
    let mut answer = resync(true);
    answer["items"] = json!([{"metadata": {"name": "studio"}}]);
    let cluster = Cluster::json(answer);
    assert_eq!(
        run(&cluster, &["resync"]).fine(),
        "workspace.atelier.dev/studio resynced\n  Workspace: Contributor: Granted\n"
    );
    let lines: Vec<_> = cluster
        .asked()
        .into_iter()
        .map(|asked| asked.line)
        .collect();
    assert_eq!(
        lines,
        [
            "GET /apis/atelier.dev/v1alpha1/namespaces/vision/workspaces".to_owned(),
            format!("POST {ACTIONS}/workspaces/studio/resynckeys"),
        ]
    );
}

#[test]
fn a_workspace_that_is_named_is_not_looked_for() {
    let cluster = Cluster::json(resync(false));
    let out = run(&cluster, &["resync", "studio"]).fine();
    assert!(out.contains("as soon as an operator leads"), "{out}");
    cluster.only();
}

fn resync(done: bool) -> Value {
    json!({"apiVersion": "actions.atelier.dev/v1alpha1", "kind": "KeyResync", "metadata": {"name": "studio"},
        "done": done, "grants": [{"resource": "Workspace", "role": "Contributor", "state": "Granted"}]})
}
