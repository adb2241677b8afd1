//! The status of a workspace: pure.

use atelier_api::conditions::{
    FILE_SHARE_READY, IDENTITY_ACCESS, READY, RECONCILING, STALLED, STORAGE_READY,
    VOLUME_ENCRYPTED, reasons,
};
use atelier_api::v1alpha1::{Grant, GrantState, Identity, ProvisioningState};
use atelier_api::{Workspace, WorkspaceStatus};
use jiff::Timestamp;
use kube::ResourceExt as _;

use super::grants::{Grants, sentence};
use super::validate::Rejection;
use super::{files, storage};
use crate::ctx::Ctx;
use crate::kit::conditions::{Conditions, of_type};
use crate::kit::contest::Contested;
use crate::kit::{Error, access};

/// How far the making of a workspace is.
#[derive(Debug)]
pub enum Progress {
    /// All is there, with these grants.
    Complete(Grants),
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

/// What else there is of a workspace.
#[derive(Debug)]
pub struct Found {
    /// Runs and services.
    pub counts: Counts,
    /// Its storage; `None` if it has none, or is not made.
    pub storage: Option<storage::State>,
    /// Its file share, likewise.
    pub files: Option<files::State>,
    /// Who insists on changing its children.
    pub contested: Option<Contested>,
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
    found: &Found,
    now: Timestamp,
) -> WorkspaceStatus {
    let before = workspace.status.clone().unwrap_or_default();
    let begun = before
        .provisioning_state
        .is_some_and(|s| s != ProvisioningState::Creating && s != ProvisioningState::Failed);
    let (ready, state, reason, message) = match progress {
        Progress::Complete(_) => (
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
    // What is recorded of grants is kept whatever happens: it tells a grant that was taken away from a new one.
    let (identity, resynced) = match progress {
        Progress::Complete(grants) => (
            Some(Identity {
                service_account: identity.into(),
                principal: access::user(&namespace, identity),
                grants: grants.list.clone(),
            }),
            grants.resynced.clone(),
        ),
        _ => (before.identity.clone(), before.resynced.clone()),
    };
    let access = identity.as_ref().map(|i| identity_access(workspace, i));
    let conditions = Conditions::new(&before.conditions, workspace.metadata.generation, now)
        .set(READY, ready, reason, &message);
    let conditions = match &access {
        Some((all, why, sentence)) => conditions.set(IDENTITY_ACCESS, Some(*all), why, sentence),
        None => conditions,
    };
    // While it is not known what is so, what was said of the storage and the file share stands.
    let (storage, files) = match progress {
        Progress::Complete(_) => (found.storage.clone(), found.files.clone()),
        _ => (
            storage::State::recorded(workspace),
            files::State::recorded(workspace),
        ),
    };
    let conditions = match &storage {
        Some(state) => conditions.set(
            STORAGE_READY,
            Some(state.ready),
            &state.reason,
            &state.message,
        ),
        None => conditions,
    };
    let conditions = match &files {
        Some(state) => conditions.set(FILE_SHARE_READY, state.ready, &state.reason, &state.message),
        None => conditions,
    };
    let conditions = match files.as_ref().and_then(|state| state.encryption.as_ref()) {
        Some(found) => conditions.set(VOLUME_ENCRYPTED, found.is, &found.reason, &found.message),
        None => conditions,
    };
    WorkspaceStatus {
        observed_generation: workspace.metadata.generation,
        workspace_id: workspace.uid(),
        provisioning_state: Some(state),
        identity,
        resync_requested: before.resync_requested.clone(),
        resynced,
        storage: storage.and_then(|state| state.status),
        file_share: files.and_then(|state| state.status),
        runs: found.counts.runs,
        services: found.counts.services,
        conditions: conditions
            .set_while(underway, RECONCILING, reason, &message)
            .set_while(stalled, STALLED, reason, &message)
            .contested(found.contested.as_ref())
            .build(),
    }
}

/// Whether the identity has all its grants, and which it lacks.
fn identity_access(workspace: &Workspace, identity: &Identity) -> (bool, &'static str, String) {
    let lacks = |grant: &&Grant| grant.state == GrantState::Revoked;
    let missing: Vec<_> = identity.grants.iter().filter(lacks).collect();
    if missing.is_empty() {
        let all = "the managed identity has all its grants".to_owned();
        return (true, reasons::GRANTED, all);
    }
    let sentences = missing.iter().map(|g| sentence(workspace, g.resource));
    let sentences: Vec<_> = sentences.collect();
    (false, reasons::GRANT_REVOKED, sentences.join(". "))
}

/// What became of a grant that was recorded before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GrantChange {
    /// Somebody took it away.
    Revoked(String),
    /// A resync gave it back.
    Restored(String),
}

/// What became of the grants that were recorded before.
pub fn grant_changes(workspace: &Workspace, after: &WorkspaceStatus) -> Vec<GrantChange> {
    let grants = after.identity.iter().flat_map(|identity| &identity.grants);
    let change = |grant: &Grant| match (workspace.grant(grant.resource)?, grant.state) {
        (GrantState::Granted, GrantState::Revoked) => {
            Some(GrantChange::Revoked(sentence(workspace, grant.resource)))
        }
        (GrantState::Revoked, GrantState::Granted) => {
            let (resource, role) = (grant.resource.as_str(), &grant.role);
            let note = format!("the grant {role} on {resource} was given back by a resync");
            Some(GrantChange::Restored(note))
        }
        _ => None,
    };
    grants.filter_map(change).collect()
}

/// Whether a condition of this type became true, or no longer is, and why.
pub fn turned(
    type_: &str,
    before: Option<&WorkspaceStatus>,
    after: &WorkspaceStatus,
) -> Option<(bool, String)> {
    let find = |status: &WorkspaceStatus| {
        let condition = of_type(&status.conditions, type_)?;
        Some((condition.status == "True", condition.message.clone()))
    };
    let (ready, note) = find(after)?;
    // One that never worked has not stopped to.
    let was = before.and_then(find).is_some_and(|(was, _)| was);
    (ready != was).then_some((ready, note))
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
