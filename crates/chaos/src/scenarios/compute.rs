//! A compute target that grows and shrinks with runs that succeed, fail, are deleted, and wait.

use atelier_api::v1alpha1::RunState;
use atelier_api::{ComputeTarget, Run, Workspace};
use atelier_testkit::manifest::{run, target, workspace};
use futures::FutureExt as _;
use futures::future::LocalBoxFuture;
use k8s_openapi::api::core::v1::Pod;
use serde_json::json;

use crate::{Scenario, Stage};

/// See above.
pub struct Compute;

impl Scenario for Compute {
    fn name(&self) -> &'static str {
        "compute"
    }

    fn play<'a>(&'a self, stage: &'a Stage<'a>) -> LocalBoxFuture<'a, anyhow::Result<()>> {
        play(stage).boxed_local()
    }
}

async fn play(stage: &Stage<'_>) -> anyhow::Result<()> {
    let user = &stage.user;
    let change = |managed: serde_json::Value| {
        user.patch::<ComputeTarget>("cpu", json!({"spec": {"managed": managed}}))
    };
    stage
        .step("a target is made", async {
            user.create::<Workspace>(workspace("team")).await?;
            user.create::<ComputeTarget>(target("cpu", 0, 2, 1)).await?;
            user.nodes_are("cpu", 0).await
        })
        .await?;
    // One after the other: which gets which slot is certain.
    for name in ["a", "b"] {
        stage
            .step(&format!("run {name} gets a node"), async {
                user.create::<Run>(run(name, "cpu", "true")).await?;
                user.run_is(name, RunState::Running).await
            })
            .await?;
    }
    stage
        .step("run c waits", async {
            user.create::<Run>(run("c", "cpu", "true")).await?;
            user.run_is("c", RunState::Queued).await
        })
        .await?;
    stage.settled("full").await?;
    stage
        .step("run a succeeds and c takes its node", async {
            user.end_pod("a-1-0", 0).await?;
            user.run_is("a", RunState::Completed).await?;
            user.run_is("c", RunState::Running).await
        })
        .await?;
    stage
        .step("run b is deleted while it runs", async {
            user.delete::<Run>("b").await?;
            user.gone::<Pod>("b-1-0").await
        })
        .await?;
    stage
        .step("run c fails and the nodes leave", async {
            user.end_pod("c-1-0", 1).await?;
            user.run_is("c", RunState::Failed).await?;
            user.nodes_are("cpu", 0).await
        })
        .await?;
    stage.settled("empty").await?;
    stage
        .step("two nodes are kept", async {
            change(json!({"nodes": {"min": 2}, "idleSecondsBeforeScaleDown": 0})).await?;
            user.nodes_are("cpu", 2).await
        })
        .await?;
    stage.settled("grown").await?;
    stage
        .step("none may be there", async {
            change(json!({"nodes": {"min": 0, "max": 0}})).await?;
            user.nodes_are("cpu", 0).await?;
            user.create::<Run>(run("d", "cpu", "true")).await?;
            user.run_is("d", RunState::Queued).await
        })
        .await?;
    stage.settled("paused").await?;
    stage
        .step("one may be there again", async {
            change(json!({"nodes": {"max": 1}})).await?;
            user.run_is("d", RunState::Running).await?;
            user.end_pod("d-1-0", 0).await?;
            user.run_is("d", RunState::Completed).await?;
            user.nodes_are("cpu", 0).await
        })
        .await?;
    stage
        .step("the target is deleted under a run", async {
            user.create::<Run>(run("e", "cpu", "true")).await?;
            user.run_is("e", RunState::Running).await?;
            user.delete::<ComputeTarget>("cpu").await?;
            user.run_is("e", RunState::Canceled).await
        })
        .await?;
    stage.settled("end").await
}
