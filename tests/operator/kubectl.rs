//! The everyday commands work on our kinds.

use atelier_api::{ComputeTarget, Run, WebService, Workspace};
use atelier_testkit::{TestNamespace, manifest, operator};
use serde_json::json;

#[tokio::test]
async fn the_everyday_commands_work_on_our_kinds() {
    let _running = operator::undisturbed().await;
    let ns = TestNamespace::with_workspace("kubectl").await;
    ns.create::<ComputeTarget>(manifest::target("cpu", 0, 2, 120))
        .await;
    ns.create::<Run>(manifest::run("waits", "gpu", "true"))
        .await;
    let mut service = manifest::service("model");
    service["spec"]["replicas"] = json!(0);
    ns.create::<WebService>(service).await;
    let kubectl = |args: &[&str]| {
        let (ok, output) = ns.cluster.kubectl(&[&["-n", &ns.name], args].concat(), "");
        assert!(ok, "kubectl {args:?}: {output}");
        output
    };

    kubectl(&[
        "wait",
        "--for=condition=Ready",
        "workspace/team",
        "computetarget/cpu",
        "--timeout=20s",
    ]);
    let all = kubectl(&["get", "atelier", "-A"]);
    for name in [
        "workspace.atelier.dev/team",
        "computetarget.atelier.dev/cpu",
        "run.atelier.dev/waits",
    ] {
        assert!(all.contains(name), "{all}");
    }
    assert!(all.contains("webservice.atelier.dev/model"), "{all}");
    for (short, columns) in [
        ("atws", ["READY", "REASON", "RUNS"]),
        ("atra", ["ROLE", "PRINCIPAL", "READY"]),
        ("atct", ["NODES", "QUEUED", "STATE"]),
        ("atrun", ["EXPERIMENT", "TARGET", "POSITION"]),
        ("atsvc", ["STATE", "AUTH", "URL"]),
    ] {
        let (ok, output) = ns.cluster.kubectl(&["get", short, "-A"], "");
        assert!(ok, "{output}");
        let empty = output.contains("No resources found");
        assert!(
            empty || columns.iter().all(|column| output.contains(column)),
            "{short}: {output}"
        );
    }
    let explained = kubectl(&["explain", "webservice.spec.auth"]);
    assert!(
        explained.contains("keyGeneration") && explained.contains("Who may call"),
        "{explained}"
    );

    kubectl(&["scale", "webservice/model", "--replicas=3"]);
    assert_eq!(
        ns.api::<WebService>()
            .get("model")
            .await
            .unwrap()
            .spec
            .replicas,
        3
    );
    kubectl(&[
        "scale",
        "webservice/model",
        "--current-replicas=3",
        "--replicas=0",
    ]);
    kubectl(&["scale", "computetarget/cpu", "--replicas=1"]);
    assert_eq!(
        ns.api::<ComputeTarget>()
            .get("cpu")
            .await
            .unwrap()
            .spec
            .managed
            .nodes
            .min,
        1
    );
    kubectl(&[
        "wait",
        "--for=jsonpath={.status.currentNodes}=1",
        "computetarget/cpu",
        "--timeout=30s",
    ]);
    let (ok, output) = ns.cluster.kubectl(
        &["-n", &ns.name, "scale", "computetarget/cpu", "--replicas=9"],
        "",
    );
    assert!(
        !ok && output.contains("nodes.min must not be greater"),
        "{output}"
    );

    // The same manifest applied again changes nothing.
    let workspace = manifest::workspace("team").to_string();
    for _ in 0..2 {
        let (ok, output) = ns.cluster.kubectl(
            &["-n", &ns.name, "apply", "--server-side", "-f", "-"],
            &workspace,
        );
        assert!(ok, "{output}");
    }
    let described = kubectl(&["describe", "webservice", "model"]);
    assert!(described.contains("Conditions"), "{described}");
    assert!(
        ns.api::<Workspace>()
            .get("team")
            .await
            .unwrap()
            .metadata
            .generation
            == Some(1)
    );
    kubectl(&["delete", "computetarget", "cpu", "--timeout=20s"]);
    ns.finish().await;
}
