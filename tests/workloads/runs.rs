//! How runs end.

use atelier_api::v1alpha1::RunState;
use atelier_api::{ComputeTarget, Run, RunStatus};
use atelier_testkit::manifest::{python_run, run, target};
use atelier_testkit::namespace::{QUICK, SLOW};
use atelier_testkit::operator::undisturbed;
use atelier_testkit::wait::check;
use atelier_testkit::{TestNamespace, eventually};
use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};

use crate::compute::state;

#[tokio::test]
async fn exit_code_memory_signal_limit_and_start_are_told_apart() {
    let _operator = undisturbed().await;
    let namespace = TestNamespace::with_workspace("ends").await;
    namespace
        .create::<ComputeTarget>(target("cpu", 0, 3, 5))
        .await;
    let too_long = |mut run: Value| {
        run["spec"]["maxDurationSeconds"] = json!(2);
        run
    };
    let mut no_program = run("program", "cpu", "");
    no_program["spec"]["command"] = json!(["/no/such/program"]);
    let cases = [
        (run("code", "cpu", "exit 3"), "NonZeroExit", Some(3)),
        (
            python_run("memory", "cpu", "x = bytearray(200 << 20); print(len(x))"),
            "OutOfMemory",
            Some(137),
        ),
        (
            python_run("signal", "cpu", "import ctypes; ctypes.string_at(0)"),
            "Signaled",
            Some(139),
        ),
        (
            too_long(run("limit", "cpu", "sleep 60")),
            "MaxDurationExceeded",
            None,
        ),
        (no_program, "StartFailed", Some(128)),
    ];
    for (manifest, _, _) in &cases {
        namespace.create::<Run>(manifest.clone()).await;
    }
    for (manifest, code, exit_code) in &cases {
        let name = manifest["metadata"]["name"].as_str().unwrap();
        let status = state(&namespace, name, RunState::Failed, SLOW)
            .await
            .status
            .unwrap();
        let error = status.error.clone().unwrap();
        assert_eq!(
            (error.code.as_str(), status.exit_code),
            (*code, *exit_code),
            "{name}: {status:?}"
        );
        let failed: Run = namespace
            .condition(name, "Succeeded", "False", code, QUICK)
            .await;
        namespace
            .condition::<Run>(name, "Stalled", "True", code, QUICK)
            .await;
        assert_eq!(failed.status.unwrap().attempts, 1, "{name}");
    }
    // What has ended stays as it is, whatever is asked of it and whatever becomes of its pod.
    let before = namespace.api::<Run>().get("code").await.unwrap().status;
    namespace.delete::<Pod>("code-1-0").await;
    namespace.gone::<Pod>("code-1-0", None, SLOW).await;
    let canceled: Run = namespace
        .patch("code", json!({"spec": {"cancel": true}}))
        .await
        .unwrap();
    let seen = eventually(QUICK, "the cancellation was seen", async || {
        let run: Run = namespace
            .api()
            .get("code")
            .await
            .map_err(|e| e.to_string())?;
        let status = run.status.unwrap();
        check(
            status.observed_generation == canceled.metadata.generation,
            &status,
        )?;
        Ok(status)
    })
    .await;
    let lasting = |status: &RunStatus| {
        let mut lasting = status.clone();
        lasting.observed_generation = None;
        lasting.conditions.clear();
        lasting
    };
    assert_eq!(lasting(&seen), lasting(&before.unwrap()));
    assert!(
        namespace
            .pods("app.kubernetes.io/instance=code")
            .await
            .is_empty()
    );
    namespace.finish().await;
}

#[tokio::test]
async fn a_canceled_run_leaves_the_queue_at_once_or_ends_its_command() {
    let _operator = undisturbed().await;
    let namespace = TestNamespace::with_workspace("cancel").await;
    namespace
        .create::<ComputeTarget>(target("cpu", 0, 1, 0))
        .await;
    namespace
        .create::<Run>(run("running", "cpu", "sleep 300"))
        .await;
    state(&namespace, "running", RunState::Running, SLOW).await;
    namespace.create::<Run>(run("waiting", "cpu", "true")).await;
    state(&namespace, "waiting", RunState::Queued, QUICK).await;
    for name in ["waiting", "running"] {
        namespace
            .patch::<Run>(name, json!({"spec": {"cancel": true}}))
            .await
            .unwrap();
        state(&namespace, name, RunState::Canceled, SLOW).await;
    }
    namespace.gone::<Pod>("running-1-0", None, QUICK).await;
    let refused = namespace
        .patch::<Run>("running", json!({"spec": {"cancel": false}}))
        .await;
    assert!(
        refused
            .unwrap_err()
            .to_string()
            .contains("cannot be taken back")
    );
    namespace.finish().await;
}

#[tokio::test]
async fn a_run_waits_for_a_target_that_does_not_exist_yet_and_says_so() {
    let _operator = undisturbed().await;
    let namespace = TestNamespace::with_workspace("early").await;
    namespace.create::<Run>(run("a", "cpu", "true")).await;
    let waits = state(&namespace, "a", RunState::NotStarted, QUICK)
        .await
        .status
        .unwrap();
    assert!(
        waits
            .message
            .is_some_and(|m| m.contains("compute target cpu does not exist"))
    );
    namespace
        .condition::<Run>("a", "Ready", "False", "ComputeTargetNotFound", QUICK)
        .await;
    namespace
        .create::<ComputeTarget>(target("cpu", 0, 1, 0))
        .await;
    state(&namespace, "a", RunState::Completed, SLOW).await;
    namespace.finish().await;
}

#[tokio::test]
async fn an_image_that_cannot_be_pulled_is_told_by_the_run_and_its_target() {
    let _operator = undisturbed().await;
    let namespace = TestNamespace::with_workspace("pull").await;
    namespace
        .create::<ComputeTarget>(target("cpu", 0, 1, 0))
        .await;
    let mut manifest = run("a", "cpu", "true");
    manifest["spec"]["image"] = json!("registry.invalid/nothing:1");
    namespace.create::<Run>(manifest).await;
    eventually(
        SLOW,
        "the run says what is wrong with its image",
        async || {
            let run: Run = namespace.api().get("a").await.map_err(|e| e.to_string())?;
            let status = run.status.unwrap_or_default();
            let told = status
                .message
                .as_ref()
                .is_some_and(|m| m.contains("registry.invalid/nothing:1"));
            check(told && status.state == Some(RunState::Preparing), &status)
        },
    )
    .await;
    eventually(
        SLOW,
        "the target says that its node is unusable, and why",
        async || {
            let target: ComputeTarget = namespace
                .api()
                .get("cpu")
                .await
                .map_err(|e| e.to_string())?;
            let status = target.status.unwrap_or_default();
            check(
                status.node_counts.unusable == 1
                    && status.errors[0].message.contains("registry.invalid"),
                &status,
            )
        },
    )
    .await;
    namespace
        .patch::<Run>("a", json!({"spec": {"cancel": true}}))
        .await
        .unwrap();
    state(&namespace, "a", RunState::Canceled, SLOW).await;
    namespace.finish().await;
}
