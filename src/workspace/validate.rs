//! Whether a workspace may have its namespace: a list of named checks.

use atelier_api::conditions::reasons;
use atelier_api::{Workspace, labels};
use kube::ResourceExt as _;

use super::gate::{self, Holder};
use crate::ctx::Ctx;
use crate::kit::meta::Parent;

/// Why a workspace cannot be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// A stable reason.
    pub reason: &'static str,
    /// What is wrong and what to do.
    pub message: String,
}

/// What a check judges by.
struct Inputs<'a> {
    workspace: &'a Workspace,
    /// Labels of the namespace; `None` if the namespace is not known (yet).
    namespace_labels: Option<std::collections::BTreeMap<String, String>>,
    /// Why the workspace does not have the namespace, if it does not.
    taken: Option<String>,
    locations: &'a [String],
}

type Check = fn(&Inputs) -> Option<Rejection>;

/// In the order in which they are told.
const CHECKS: [Check; 3] = [namespace_is_enabled, namespace_is_free, location_is_known];

/// Judges a workspace by what is known. `Ok` gives the parent of its children.
pub fn validate(workspace: &Workspace, ctx: &Ctx) -> Result<Parent, Rejection> {
    let namespace = workspace.namespace().unwrap_or_default();
    let taken = match gate::holder(ctx, &namespace) {
        holder if holder.is(workspace) => None,
        Holder::Workspace(holder) => Some(format!(
            "the workspace {} has this namespace; make this one in another namespace",
            holder.name_any()
        )),
        Holder::Nobody => None,
    };
    let inputs = Inputs {
        workspace,
        namespace_labels: gate::namespace_labels(&ctx.stores, &namespace),
        taken,
        locations: &ctx.settings.locations,
    };
    if let Some(rejection) = CHECKS.iter().find_map(|check| check(&inputs)) {
        return Err(rejection);
    }
    Parent::of(workspace, &workspace.name_any()).ok_or_else(|| Rejection {
        reason: reasons::PROGRESSING,
        message: "the workspace was not stored yet".into(),
    })
}

fn namespace_is_enabled(inputs: &Inputs) -> Option<Rejection> {
    let enabled = inputs
        .namespace_labels
        .as_ref()
        .is_some_and(|l| l.contains_key(labels::RESOURCE_GROUP));
    (!enabled).then(|| Rejection {
        reason: reasons::NAMESPACE_NOT_ENABLED,
        message: format!(
            "an administrator has to open the namespace: kubectl label namespace {} {}=<resource group>",
            inputs.workspace.namespace().unwrap_or_default(),
            labels::RESOURCE_GROUP
        ),
    })
}

fn namespace_is_free(inputs: &Inputs) -> Option<Rejection> {
    inputs.taken.clone().map(|message| Rejection {
        reason: reasons::NAMESPACE_TAKEN,
        message,
    })
}

fn location_is_known(inputs: &Inputs) -> Option<Rejection> {
    let location = &inputs.workspace.spec.location;
    (!inputs.locations.contains(location)).then(|| Rejection {
        reason: reasons::UNKNOWN_LOCATION,
        message: format!(
            "location {location} does not exist here; there is {}. An administrator adds locations with the chart's value `locations`",
            inputs.locations.join(", ")
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(
        labels: Option<&[(&str, &str)]>,
        taken: Option<&str>,
        location: &str,
    ) -> Option<&'static str> {
        let mut workspace = Workspace::new(
            "team",
            atelier_api::WorkspaceSpec {
                location: location.into(),
                ..atelier_api::WorkspaceSpec::default()
            },
        );
        workspace.metadata.namespace = Some("n".into());
        let inputs = Inputs {
            workspace: &workspace,
            namespace_labels: labels.map(|l| {
                l.iter()
                    .map(|(k, v)| (k.to_string(), v.to_string()))
                    .collect()
            }),
            taken: taken.map(Into::into),
            locations: &["local".to_owned()],
        };
        CHECKS
            .iter()
            .find_map(|check| check(&inputs))
            .map(|r| r.reason)
    }

    const OPEN: Option<&[(&str, &str)]> = Some(&[(labels::RESOURCE_GROUP, "research")]);

    #[test]
    fn a_workspace_needs_an_open_and_free_namespace_and_a_known_location() {
        assert_eq!(judge(OPEN, None, "local"), None);
        assert_eq!(
            judge(None, None, "local"),
            Some(reasons::NAMESPACE_NOT_ENABLED)
        );
        assert_eq!(
            judge(Some(&[("a", "b")]), None, "local"),
            Some(reasons::NAMESPACE_NOT_ENABLED)
        );
        assert_eq!(
            judge(OPEN, Some("older"), "local"),
            Some(reasons::NAMESPACE_TAKEN)
        );
        assert_eq!(judge(OPEN, None, "moon"), Some(reasons::UNKNOWN_LOCATION));
    }
}
