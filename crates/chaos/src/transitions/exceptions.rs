//! What may differ between an object that was changed step by step and one that was made as it is: the list, and
//! nothing beside it. Each exception is as narrow as it can be, and the report says how often it was needed.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::dump::Dump;

/// One place that differs: the walked object's value, and the fresh one's.
pub struct Line<'a> {
    path: &'a str,
    walked: &'a str,
    fresh: &'a str,
}

impl<'a> Line<'a> {
    /// Reads a line of a difference.
    pub fn of(text: &'a str) -> Option<Self> {
        let (path, values) = text.split_once(": ")?;
        let (walked, fresh) = values.split_once(" → ")?;
        Some(Self {
            path,
            walked,
            fresh,
        })
    }

    fn numbers(&self) -> Option<(i64, i64)> {
        let number = |text: &str| text.trim_matches('"').parse().ok();
        Some((number(self.walked)?, number(self.fresh)?))
    }
}

/// A difference that is meant to be.
pub struct Exception {
    /// Its name in reports.
    pub name: &'static str,
    /// Why it is meant to be.
    pub why: &'static str,
    holds: fn(&Line) -> bool,
}

/// All of them.
pub const ALL: [Exception; 5] = [
    Exception {
        name: "rollout counter",
        why: "Kubernetes numbers the versions of a Deployment by what it went through",
        holds: |line| {
            let counts = "metadata.annotations.deployment.kubernetes.io/revision";
            line.path.starts_with("Deployment/")
                && line.path.ends_with(counts)
                && line.numbers().is_some()
        },
    },
    Exception {
        name: "key counter",
        why: "what counts a key's generations and makes only grows: lowering the number in the spec makes no key anew",
        holds: |line| {
            let told = line.path.starts_with("WebService/") && line.path.contains(".status.keys.");
            let stored = line.path.starts_with("Secret/") && line.path.contains(".data.");
            let counts = line.path.contains("eneration") || line.path.ends_with(".serial");
            (told || stored)
                && counts
                && line.numbers().is_some_and(|(walked, fresh)| walked > fresh)
        },
    },
    Exception {
        name: "kept keys",
        why: "a service whose keys were turned off keeps them, and one that never had any gets none",
        holds: |line| {
            let kept = [
                "Secret/svc-keys",
                "Secret/svc-gateway.data.policy.json.keys",
                "Secret/svc-gateway.metadata.annotations",
                "WebService/svc.status.keys",
                "Secret/svc-tokens",
            ];
            kept.contains(&line.path) && matches!(line.fresh, "nothing" | "missing")
        },
    },
    Exception {
        name: "a canceled run's past",
        why: "a run that was canceled before it began never had a pod, and one that had begun did",
        holds: |line| {
            let past = ["attempts", "pod", "node", "startTime"];
            let field = line.path.strip_prefix("Run/job.status.");
            field.is_some_and(|field| past.contains(&field))
                && matches!(line.fresh, "nothing" | "0")
        },
    },
    Exception {
        name: "resync counter",
        why: "what was resynced stays so when the number in the spec is lowered; a workspace made anew has no such past",
        holds: |line| {
            let past = line.path.starts_with("Workspace/team.status.resynced");
            let one_has_none = line.fresh == "nothing" || line.walked == "nothing";
            past && (one_has_none || line.path.ends_with(".counter") && line.numbers().is_some())
        },
    },
];

/// Which exception a line of a difference falls under.
pub fn find(text: &str) -> Option<&'static Exception> {
    let line = Line::of(text)?;
    ALL.iter().find(|one| (one.holds)(&line))
}

/// The name under which renumbered slots are told of.
pub const SLOTS: &str = "slot numbers";
/// Why slots are renumbered.
pub const SLOTS_WHY: &str = "of several idle nodes the longest idle leaves, so those that stay may have any numbers below the maximum; \
     they are compared in order";

/// A dump whose slots are numbered from 0 without gaps. Says whether that changed anything.
pub fn renumbered(dump: &Dump) -> (Dump, bool) {
    let mut slots: Vec<(&str, u32)> = vec![];
    for key in dump.objects.keys() {
        let placeholder = key
            .strip_prefix("Pod/")
            .and_then(|name| name.rsplit_once("-slot-"));
        if let Some((target, slot)) = placeholder
            && let Ok(slot) = slot.parse()
        {
            slots.push((target, slot));
        }
    }
    slots.sort_unstable();
    let mut names = BTreeMap::new();
    for (nth, (target, slot)) in slots.iter().enumerate() {
        let before = slots.iter().position(|(one, _)| one == target);
        let number = nth - before.unwrap_or_default();
        names.insert(
            format!("{target}-slot-{slot}"),
            format!("{target}-slot-{number}"),
        );
    }
    let mut objects = BTreeMap::new();
    for (key, object) in &dump.objects {
        let (mut key, mut object) = (key.clone(), object.clone());
        if let Some(labels) = object.pointer_mut("/metadata/labels")
            && labels.get("atelier.dev/slot").is_some()
        {
            labels["atelier.dev/slot"] = json!("<slot>");
        }
        let name = key.strip_prefix("Pod/").and_then(|name| names.get(name));
        if let Some(name) = name {
            object["metadata"]["name"] = Value::from(name.as_str());
            key = format!("Pod/{name}");
        }
        objects.insert(key, object);
    }
    let changed = names.iter().any(|(from, to)| from != to);
    let dump = Dump {
        objects,
        ..dump.clone()
    };
    (dump, changed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counter_may_be_ahead_and_never_behind() {
        let revision = "Deployment/svc.metadata.annotations.deployment.kubernetes.io/revision";
        assert!(find(&format!("{revision}: \"4\" → \"1\"")).is_some());
        assert!(find(&format!("{revision}: \"4\" → nothing")).is_none());
        let key = "WebService/svc.status.keys.primary.generation";
        assert!(find(&format!("{key}: 5 → 2")).is_some());
        assert!(find(&format!("{key}: 1 → 2")).is_none());
        assert!(find("WebService/svc.spec.auth.keyGeneration.primary: 5 → 2").is_none());
    }

    #[test]
    fn slots_are_numbered_in_order() {
        let pod = |name: &str| {
            let object = json!({"metadata": {"name": name, "labels": {"atelier.dev/slot": "7"}}});
            (format!("Pod/{name}"), object)
        };
        let dump = Dump {
            objects: [pod("cpu-slot-2"), pod("cpu-slot-10"), pod("gpu-slot-1")].into(),
            versions: BTreeMap::new(),
            keys: BTreeMap::new(),
        };
        let (dump, changed) = renumbered(&dump);
        assert!(changed);
        let names: Vec<_> = dump.objects.keys().cloned().collect();
        assert_eq!(
            names,
            ["Pod/cpu-slot-0", "Pod/cpu-slot-1", "Pod/gpu-slot-0"]
        );
    }
}
