//! What a service's gateways keep in its workspace's storage, and how far that is: records (docs/design/archive.md), and
//! inputs and predictions (docs/design/collected-data.md).

use atelier_api::archive::{Kind, folder_of};
use atelier_api::conditions::reasons;
use atelier_api::report::Wanted;
use atelier_api::v1alpha1::StorageType;
use atelier_api::{WebService, Workspace};
use kube::ResourceExt as _;

use crate::archive;
use crate::workspace::storage::State;

/// How far it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keeping {
    /// Whether it can get there, as far as is known.
    pub works: Option<bool>,
    /// Why it is as it is, for the condition.
    pub reason: String,
    /// The same as a sentence.
    pub message: String,
}

impl Keeping {
    fn not(reason: &str, message: String) -> Self {
        Self {
            works: Some(false),
            reason: reason.into(),
            message,
        }
    }
}

/// What gateways are to report. `heard` says whether they can tell the operator anything here. Pure.
pub fn wanted(service: &WebService, storage: StorageType, heard: bool) -> Wanted {
    match heard {
        true => Wanted {
            load: service.spec.autoscale.is_some(),
            records_after_seconds: archive::wanted(service, storage),
            data: archive::wanted_data(service, storage),
        },
        false => Wanted::default(),
    }
}

/// How far what is kept of a kind is, if the service asks for it. `heard` as above. Pure.
pub fn keeping(
    kind: Kind,
    service: &WebService,
    workspace: &Workspace,
    heard: bool,
) -> Option<Keeping> {
    let storage = workspace.spec.storage.type_;
    let name = workspace.name_any();
    let after = wanted(service, storage, true).after_seconds(kind);
    let Some(after) = after else {
        // Records are kept where that is possible. Who asks for the rest by name is told that it is not.
        let asked = kind == Kind::Data && service.spec.collect_data.is_some();
        return asked.then(|| {
            let message = format!(
                "there is nowhere to keep inputs and predictions: spec.storage.type of Workspace {name} is None"
            );
            Keeping::not(reasons::NO_STORAGE, message)
        });
    };
    let (what, working) = match kind {
        Kind::Records => ("records", reasons::ARCHIVING),
        Kind::Data => ("inputs and predictions", reasons::COLLECTING),
    };
    if !heard {
        let message = format!(
            "{what} reach the storage through the operator, which nobody here signs a certificate for: an administrator sets the chart's value actions.enabled"
        );
        return Some(Keeping::not(reasons::NO_AUTHORITY, message));
    }
    Some(match State::recorded(workspace) {
        Some(state) if state.ready => Keeping {
            works: Some(true),
            reason: working.into(),
            message: format!(
                "{what} are in the storage of Workspace {name} after {after} s at the latest, below {}; how many, and how many were lost, stands in the gateways' metrics atelier_gateway_telemetry_*",
                folder_of(kind, &service.name_any())
            ),
        },
        Some(not) => Keeping::not(
            &not.reason,
            format!(
                "the storage of Workspace {name} does not take {what}: {}",
                not.message
            ),
        ),
        None => Keeping {
            works: None,
            reason: reasons::STORAGE_STARTING.into(),
            message: format!("the storage of Workspace {name} has not been tried yet"),
        },
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn service(spec: Value) -> WebService {
        let mut service = json!({"apiVersion": "atelier.dev/v1alpha1", "kind": "WebService",
            "metadata": {"name": "digits"}, "spec": {"image": "i"}});
        for (name, value) in spec.as_object().expect("an object") {
            service["spec"][name] = value.clone();
        }
        serde_json::from_value(service).expect("a service")
    }

    fn workspace(storage: &str, ready: Option<(&str, &str)>) -> Workspace {
        let conditions: Vec<_> = ready
            .iter()
            .map(|(status, reason)| {
                json!({"type": "StorageReady", "status": status, "reason": reason, "message": "so it is",
                    "lastTransitionTime": "2026-01-04T04:00:00Z"})
            })
            .collect();
        let workspace = json!({"apiVersion": "atelier.dev/v1alpha1", "kind": "Workspace", "metadata": {"name": "team"},
            "spec": {"storage": {"type": storage}}, "status": {"conditions": conditions}});
        serde_json::from_value(workspace).expect("a workspace")
    }

    #[test]
    fn a_condition_is_there_where_it_is_asked_for_and_says_what_the_storage_says() {
        let both = service(json!({"telemetry": {"enabled": true}, "collectData": {}}));
        let told = |service: &WebService, workspace: &Workspace, heard| {
            Kind::ALL.map(|kind| {
                let keeping = keeping(kind, service, workspace, heard)?;
                Some((keeping.works, keeping.reason))
            })
        };
        let say = |works, reason: &str| Some((works, reason.to_owned()));
        let good = workspace("Embedded", Some(("True", "Probed")));
        let all = [say(Some(true), "Archiving"), say(Some(true), "Collecting")];
        assert_eq!(told(&both, &good, true), all);
        let no_authority = say(Some(false), reasons::NO_AUTHORITY);
        assert_eq!(
            told(&both, &good, false),
            [no_authority.clone(), no_authority]
        );
        let bad = workspace("Embedded", Some(("False", "GrantMissing")));
        let missing = say(Some(false), reasons::GRANT_MISSING);
        assert_eq!(told(&both, &bad, true), [missing.clone(), missing]);
        let new = say(None, reasons::STORAGE_STARTING);
        assert_eq!(
            told(&both, &workspace("Embedded", None), true),
            [new.clone(), new]
        );
        // Who asks by name is told, who does not is not.
        let none = workspace("None", Some(("False", "NoStorage")));
        assert_eq!(
            told(&both, &none, true),
            [None, say(Some(false), reasons::NO_STORAGE)]
        );
        assert_eq!(told(&service(json!({})), &good, true), [None, None]);
    }

    #[test]
    fn where_nobody_hears_them_gateways_are_to_tell_nothing() {
        let all = service(
            json!({"autoscale": {"max": 3}, "telemetry": {"enabled": true}, "collectData": {}}),
        );
        let wanted = |heard| wanted(&all, StorageType::S3, heard);
        assert!(!wanted(false).any());
        let told = serde_json::to_string(&wanted(true)).expect("JSON");
        assert_eq!(
            told,
            concat!(
                r#"{"load":true,"recordsAfterSeconds":60,"#,
                r#""data":{"afterSeconds":60,"samplePercent":100,"maxBytes":65536}}"#
            )
        );
    }
}
