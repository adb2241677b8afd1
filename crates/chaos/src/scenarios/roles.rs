//! A workspace with people in it. One loses the role, and the identity a grant; the workspace goes and comes back.

use atelier_api::v1alpha1::{GrantResource, GrantState};
use atelier_api::{RoleAssignment, Workspace};
use atelier_testkit::manifest::{role, workspace};
use atelier_testkit::wait::check;
use futures::FutureExt as _;
use futures::future::LocalBoxFuture;
use k8s_openapi::api::core::v1::ServiceAccount;
use k8s_openapi::api::rbac::v1::RoleBinding;

use serde_json::json;

use crate::user::User;
use crate::{Scenario, Stage};

/// See above.
pub struct Roles;

impl Scenario for Roles {
    fn name(&self) -> &'static str {
        "roles"
    }

    fn play<'a>(&'a self, stage: &'a Stage<'a>) -> LocalBoxFuture<'a, anyhow::Result<()>> {
        play(stage).boxed_local()
    }
}

/// Waits until the identity has its grant on the workspace, or not.
pub(super) async fn grant_is(user: &User, wanted: GrantState) -> anyhow::Result<()> {
    let sentence = format!("has its grant {wanted:?}");
    user.sees("team", &sentence, |workspace: &Workspace| {
        let state = workspace.grant(GrantResource::Workspace);
        check(state == Some(wanted), state)
    })
    .await
    .map(drop)
}

async fn play(stage: &Stage<'_>) -> anyhow::Result<()> {
    let user = &stage.user;
    stage
        .step("a workspace is made", async {
            user.create::<Workspace>(workspace("team")).await?;
            user.ready::<Workspace>("team", "True", "").await
        })
        .await?;
    stage
        .step("two people get roles", async {
            user.create::<RoleAssignment>(role("lead", "Owner", "lead@example.com"))
                .await?;
            user.create::<RoleAssignment>(role("viewer", "Reader", "viewer@example.com"))
                .await?;
            user.ready::<RoleAssignment>("lead", "True", "").await?;
            user.ready::<RoleAssignment>("viewer", "True", "").await
        })
        .await?;
    stage.settled("assigned").await?;
    stage
        .step("one of them loses the role", async {
            user.delete::<RoleAssignment>("viewer").await?;
            user.gone::<RoleBinding>("viewer-role").await
        })
        .await?;
    stage
        .step("a grant of the identity is taken away", async {
            user.delete::<RoleBinding>("team-identity").await?;
            grant_is(user, GrantState::Revoked).await
        })
        .await?;
    stage.settled("revoked").await?;
    stage
        .step("a resync gives it back", async {
            let more = json!({"spec": {"resyncKeys": 1}});
            user.patch::<Workspace>("team", more).await?;
            grant_is(user, GrantState::Granted).await
        })
        .await?;
    stage.settled("resynced").await?;
    stage
        .step("the workspace is deleted", async {
            user.delete::<Workspace>("team").await?;
            user.ready::<RoleAssignment>("lead", "False", "WorkspaceMissing")
                .await?;
            user.gone::<RoleBinding>("lead-role").await?;
            // The garbage collector's to remove, which takes its time where kinds were defined a moment ago.
            for binding in [
                "atelier-workspace-manager",
                "atelier-regional",
                "team-identity",
            ] {
                user.gone::<RoleBinding>(binding).await?;
            }
            for account in ["team", "team-run"] {
                user.gone::<ServiceAccount>(account).await?;
            }
            Ok(())
        })
        .await?;
    stage.settled("closed").await?;
    stage
        .step("the workspace is made again", async {
            user.create::<Workspace>(workspace("team")).await?;
            user.ready::<Workspace>("team", "True", "").await?;
            user.ready::<RoleAssignment>("lead", "True", "").await
        })
        .await?;
    stage.settled("end").await
}
