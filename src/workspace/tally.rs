//! How many workspaces there are in each state: counted when it is asked for, out of what is known anyway.

use std::collections::BTreeMap;
use std::fmt;

use atelier_api::Workspace;
use atelier_api::conditions::{
    FILE_SHARE_READY, IDENTITY_ACCESS, READY, STORAGE_READY, VOLUME_ENCRYPTED,
};
use kube::runtime::reflector::Store;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{
    DescriptorEncoder, EncodeLabelSet, EncodeMetric as _, MetricEncoder,
};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;

/// The conditions that are told of.
const TOLD: [&str; 5] = [
    READY,
    IDENTITY_ACCESS,
    STORAGE_READY,
    FILE_SHARE_READY,
    VOLUME_ENCRYPTED,
];

/// A condition as a workspace has it. All three are closed sets.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, EncodeLabelSet)]
struct Labels {
    condition: &'static str,
    status: String,
    reason: String,
}

/// Tells of all workspaces.
#[derive(Debug)]
pub struct Tally(pub Store<Workspace>);

impl Collector for Tally {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), fmt::Error> {
        let counts = count(self.0.state().iter().map(AsRef::as_ref));
        let help = "Workspaces by what a condition of theirs says";
        let mut encoder = encoder.encode_descriptor("workspaces", help, None, MetricType::Gauge)?;
        for (labels, count) in counts {
            let one: MetricEncoder = encoder.encode_family(&labels)?;
            ConstGauge::new(count).encode(one)?;
        }
        Ok(())
    }
}

fn count<'a>(workspaces: impl Iterator<Item = &'a Workspace>) -> BTreeMap<Labels, i64> {
    let mut counts = BTreeMap::new();
    let conditions = workspaces.flat_map(|w| w.status.iter().flat_map(|s| &s.conditions));
    for condition in conditions {
        let told = TOLD.into_iter().find(|told| *told == condition.type_);
        let Some(type_) = told else { continue };
        let labels = Labels {
            condition: type_,
            status: condition.status.clone(),
            reason: condition.reason.clone(),
        };
        *counts.entry(labels).or_default() += 1;
    }
    counts
}

#[cfg(test)]
mod tests {
    use prometheus_client::encoding::text::encode;
    use prometheus_client::registry::Registry;
    use serde_json::json;

    use super::*;

    #[test]
    fn workspaces_are_counted_by_what_their_conditions_say() {
        let (store, mut writer) = kube::runtime::reflector::store();
        for (name, reason) in [("a", "Probed"), ("b", "Probed"), ("c", "GrantMissing")] {
            let status = if reason == "Probed" { "True" } else { "False" };
            let condition = |type_: &str| {
                json!({"type": type_, "status": status, "reason": reason, "message": "",
                    "lastTransitionTime": "2026-01-01T00:00:00Z"})
            };
            let workspace = json!({"apiVersion": "atelier.dev/v1alpha1", "kind": "Workspace",
                "metadata": {"name": name, "namespace": name}, "spec": {},
                "status": {"conditions": [condition("StorageReady"), condition("DriftContested")]}});
            let workspace: Workspace = serde_json::from_value(workspace).expect("a workspace");
            writer.apply_watcher_event(&kube::runtime::watcher::Event::Apply(workspace));
        }
        let mut registry = Registry::with_prefix("atelier");
        registry.register_collector(Box::new(Tally(store)));
        let mut text = String::new();
        encode(&mut text, &registry).expect("text");
        let said: Vec<_> = text.lines().filter(|line| !line.starts_with('#')).collect();
        assert_eq!(
            said,
            [
                r#"atelier_workspaces{condition="StorageReady",status="False",reason="GrantMissing"} 1"#,
                r#"atelier_workspaces{condition="StorageReady",status="True",reason="Probed"} 2"#,
            ]
        );
    }
}
