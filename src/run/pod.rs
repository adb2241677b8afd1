//! The pod of one attempt of a run. Its name says which: made by POST, it exists once, whatever crashes.

use std::collections::BTreeMap;

use atelier_api::{ComputeTarget, Run, labels};
use k8s_openapi::api::core::v1::{EnvVar, Pod};
use kube::ResourceExt as _;

use super::outcome::MAIN;
use crate::compute_target::{place, run_priority, slot_labels};
use crate::ctx::Settings;
use crate::kit::Error;
use crate::kit::child::{ChildKind, Desired};
use crate::kit::meta::Parent;
use crate::kit::pods;
use crate::workspace::run_identity_name;

/// Rank of the only pod of an attempt: a run has one node.
const RANK: u32 = 0;

/// Name of the pod of an attempt: `<run>-<attempt>-<rank>`.
pub fn name(run: &str, attempt: i32) -> String {
    format!("{run}-{attempt}-{RANK}")
}

/// The pod of an attempt, in a slot of its target.
pub fn build(
    run: &Run,
    target: &ComputeTarget,
    workspace: &str,
    attempt: i32,
    slot: u32,
    settings: &Settings,
) -> Result<Desired, Error> {
    let parent = Parent::of(run, workspace).ok_or(Error::Unnamed(ChildKind::Pod))?;
    let mut metadata = parent.child(name(&parent.name, attempt));
    let all = metadata.labels.get_or_insert_default();
    all.extend(slot_labels(&target.name_any(), slot));
    all.insert(labels::ATTEMPT.into(), attempt.to_string());
    metadata
        .annotations
        .get_or_insert_default()
        .extend(do_not_disrupt());

    let managed = &target.spec.managed;
    let mut container = pods::container(MAIN, &run.spec.image, Some(&settings.pull_policy));
    container.command = Some(run.spec.command.clone());
    container.args.clone_from(&run.spec.args);
    container.env = Some(environment(run, workspace));
    container.resources = Some(pods::guaranteed(&managed.resources));
    container.security_context = Some(pods::container_security(false));
    let mut spec = pods::spec(
        run_identity_name(workspace),
        vec![container],
        run.spec.grace_period_seconds,
    );
    spec.restart_policy = Some("Never".into());
    spec.active_deadline_seconds = run.spec.max_duration_seconds;
    spec.priority_class_name = Some(run_priority(managed.priority).into());
    place(&mut spec, managed);
    Desired::new(
        ChildKind::Pod,
        &Pod {
            metadata,
            spec: Some(spec),
            status: None,
        },
    )
}

/// The user's variables, then ours.
fn environment(run: &Run, workspace: &str) -> Vec<EnvVar> {
    let variable = |name: &str, value: &str| EnvVar {
        name: name.into(),
        value: Some(value.into()),
        value_from: None,
    };
    let users = run
        .spec
        .env
        .iter()
        .flatten()
        .map(|e| variable(&e.name, &e.value));
    let name = run.name_any();
    let ours = [
        ("ATELIER_RUN_ID", name.as_str()),
        ("ATELIER_EXPERIMENT", run.spec.experiment.as_str()),
        ("ATELIER_WORKSPACE", workspace),
    ];
    users
        .chain(ours.map(|(name, value)| variable(name, value)))
        .collect()
}

/// What cluster-autoscaler and Karpenter are asked not to take a run's machine away by.
fn do_not_disrupt() -> BTreeMap<String, String> {
    [
        ("cluster-autoscaler.kubernetes.io/safe-to-evict", "false"),
        ("karpenter.sh/do-not-disrupt", "true"),
    ]
    .map(|(k, v)| (k.to_owned(), v.to_owned()))
    .into()
}
