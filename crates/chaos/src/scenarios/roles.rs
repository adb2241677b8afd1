//! A workspace with people in it. One loses the role; the workspace goes and comes back.

use atelier_api::{RoleAssignment, Workspace};
use atelier_testkit::manifest::{role, workspace};
use futures::FutureExt as _;
use futures::future::LocalBoxFuture;
use k8s_openapi::api::rbac::v1::RoleBinding;

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
        .step("the workspace is deleted", async {
            user.delete::<Workspace>("team").await?;
            user.ready::<RoleAssignment>("lead", "False", "WorkspaceMissing")
                .await?;
            user.gone::<RoleBinding>("lead-role").await
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
