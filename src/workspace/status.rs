//! The status of a workspace: pure.

use atelier_api::conditions::{READY, RECONCILING, STALLED, reasons};
use atelier_api::v1alpha1::{Identity, ProvisioningState};
use atelier_api::{Workspace, WorkspaceStatus};
use jiff::Timestamp;
use kube::ResourceExt as _;

use super::validate::Rejection;
use crate::ctx::Ctx;
use crate::kit::Error;
use crate::kit::conditions::Conditions;
use crate::kit::contest::Contested;

/// How far the making of a workspace is.
#[derive(Debug)]
pub enum Progress {
    /// All is there.
    Complete,
    /// Being made.
    Underway,
    /// Something is in the way that somebody has to remove.
    Blocked(Error),
    /// It may not be.
    Rejected(Rejection),
}

/// Runs that have not ended, and services.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    runs: i32,
    services: i32,
}

/// Counts what is in the workspace's namespace; nothing, unless the workspace has it.
pub fn count(workspace: &Workspace, ctx: &Ctx) -> Counts {
    let namespace = workspace.namespace().unwrap_or_default();
    if !super::gate::holder(ctx, &namespace).is(workspace) {
        return Counts::default();
    }
    let stores = &ctx.stores;
    let ended = |run: &atelier_api::Run| {
        run.status
            .as_ref()
            .and_then(|s| s.state)
            .is_some_and(|s| s.is_terminal())
    };
    let here = |ns: &Option<String>| ns.as_deref() == Some(namespace.as_str());
    let runs = stores
        .runs
        .state_filter(|run| here(&run.metadata.namespace) && !ended(run))
        .len();
    let services = stores
        .web_services
        .state_filter(|service| here(&service.metadata.namespace))
        .len();
    Counts {
        runs: i32::try_from(runs).unwrap_or(i32::MAX),
        services: i32::try_from(services).unwrap_or(i32::MAX),
    }
}

/// The status that says so.
pub fn status(
    workspace: &Workspace,
    progress: &Progress,
    counts: Counts,
    contested: Option<&Contested>,
    now: Timestamp,
) -> WorkspaceStatus {
    let before = workspace.status.clone().unwrap_or_default();
    let begun = before
        .provisioning_state
        .is_some_and(|s| s != ProvisioningState::Creating && s != ProvisioningState::Failed);
    let (ready, state, reason, message) = match progress {
        Progress::Complete => (
            Some(true),
            ProvisioningState::Succeeded,
            reasons::READY,
            "the workspace is ready".to_owned(),
        ),
        Progress::Underway => {
            let state = if begun {
                ProvisioningState::Updating
            } else {
                ProvisioningState::Creating
            };
            (
                begun.then_some(false),
                state,
                reasons::PROGRESSING,
                "the workspace's parts are being made".to_owned(),
            )
        }
        Progress::Blocked(error) => {
            let (state, message) = (ProvisioningState::Failed, error.to_string());
            (Some(false), state, error.reason(), message)
        }
        Progress::Rejected(rejection) => (
            Some(false),
            ProvisioningState::Failed,
            rejection.reason,
            rejection.message.clone(),
        ),
    };
    let underway = matches!(progress, Progress::Underway);
    let stalled = matches!(progress, Progress::Blocked(_) | Progress::Rejected(_));
    let name = workspace.name_any();
    let namespace = workspace.namespace().unwrap_or_default();
    let identity = super::identity_name(&name);
    WorkspaceStatus {
        observed_generation: workspace.metadata.generation,
        workspace_id: workspace.uid(),
        provisioning_state: Some(state),
        identity: matches!(progress, Progress::Complete).then(|| Identity {
            service_account: identity.into(),
            principal: format!("system:serviceaccount:{namespace}:{identity}"),
        }),
        runs: counts.runs,
        services: counts.services,
        conditions: Conditions::new(&before.conditions, workspace.metadata.generation, now)
            .set(READY, ready, reason, &message)
            .set_while(underway, RECONCILING, reason, &message)
            .set_while(stalled, STALLED, reason, &message)
            .contested(contested)
            .build(),
    }
}

/// The event that tells of a change, if people want to know of it.
pub fn transition(
    before: Option<&WorkspaceStatus>,
    after: &WorkspaceStatus,
) -> Option<(&'static str, String)> {
    let was = before.and_then(|status| status.provisioning_state);
    if was == after.provisioning_state {
        return None;
    }
    match after.provisioning_state? {
        ProvisioningState::Succeeded => Some(("WorkspaceReady", "the workspace is ready".into())),
        _ => None,
    }
}
