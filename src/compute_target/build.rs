//! The placeholder that keeps an idle slot warm.

use std::collections::BTreeMap;

use atelier_api::v1alpha1::{Managed, Priority, TolerationOperator};
use atelier_api::{ComputeTarget, labels};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Pod, PodSpec, Toleration};
use kube::ResourceExt as _;

use crate::ctx::Settings;
use crate::kit::Error;
use crate::kit::child::{ChildKey, ChildKind, Desired};
use crate::kit::meta::Parent;
use crate::kit::pods;
use crate::workspace::run_identity_name;

/// PriorityClasses shipped with the chart. A placeholder gives way to every run.
const PLACEHOLDER_PRIORITY: &str = "atelier-placeholder";

/// Names the placeholder of a slot.
pub fn placeholder_key(namespace: &str, target: &str, slot: u32) -> ChildKey {
    ChildKey::new(ChildKind::Pod, namespace, &format!("{target}-slot-{slot}"))
}

/// The placeholder of a slot that has been idle since then.
pub fn placeholder(
    target: &ComputeTarget,
    workspace: &str,
    settings: &Settings,
    slot: u32,
    since: Timestamp,
) -> Result<Desired, Error> {
    let parent = Parent::of(target, workspace).ok_or(Error::Unnamed(ChildKind::Pod))?;
    let name = target.name_any();
    let mut metadata = parent.child(placeholder_key(&parent.namespace, &name, slot).name);
    metadata
        .labels
        .get_or_insert_default()
        .extend(slot_labels(&name, slot));
    metadata
        .annotations
        .get_or_insert_default()
        .insert(labels::IDLE_SINCE.into(), since.to_string());
    let mut container = pods::container(
        "placeholder",
        &settings.placeholder_image,
        Some(&settings.pull_policy),
    );
    container.args = Some(vec!["pause".into()]);
    container.resources = Some(pods::guaranteed(&target.spec.managed.resources));
    container.security_context = Some(pods::container_security(true));
    let mut spec = pods::spec(run_identity_name(workspace), vec![container], 0);
    spec.priority_class_name = Some(PLACEHOLDER_PRIORITY.into());
    place(&mut spec, &target.spec.managed);
    Desired::new(
        ChildKind::Pod,
        &Pod {
            metadata,
            spec: Some(spec),
            status: None,
        },
    )
}

/// Labels of every pod that holds a slot.
pub fn slot_labels(target: &str, slot: u32) -> BTreeMap<String, String> {
    [
        (labels::COMPUTE_TARGET.to_owned(), target.to_owned()),
        (labels::SLOT.to_owned(), slot.to_string()),
    ]
    .into()
}

/// Puts a pod where the target's nodes are.
pub fn place(spec: &mut PodSpec, managed: &Managed) {
    spec.node_selector.clone_from(&managed.node_selector);
    spec.tolerations = managed.tolerations.as_ref().map(|tolerations| {
        let one = |t: &atelier_api::v1alpha1::Toleration| Toleration {
            key: t.key.clone(),
            operator: Some(match t.operator {
                TolerationOperator::Equal => "Equal".into(),
                TolerationOperator::Exists => "Exists".into(),
            }),
            value: t.value.clone(),
            effect: t.effect.clone(),
            toleration_seconds: None,
        };
        tolerations.iter().map(one).collect()
    });
}

/// The PriorityClass of the runs of a target.
pub fn run_priority(priority: Priority) -> &'static str {
    match priority {
        Priority::Dedicated => "atelier-dedicated",
        Priority::LowPriority => "atelier-low-priority",
    }
}
