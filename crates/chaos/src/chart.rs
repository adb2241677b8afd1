//! The chart, without the Deployments that would run the operator and a storage in pods, and without what would lead the
//! API server there: it has no way to a process of ours.

use anyhow::Context as _;
use atelier_testkit::cluster::{SYSTEM, root};

use crate::control_plane::ControlPlane;
use crate::disturber::FAR;

/// Installs all of the chart that the operator needs to work under its own rights: definitions, roles, policies.
pub async fn install(cluster: &ControlPlane) -> anyhow::Result<()> {
    let version = cluster
        .admin()
        .await?
        .apiserver_version()
        .await?
        .git_version;
    let chart = root().join("charts/atelier");
    let chart = chart.to_str().context("the project's path is not text")?;
    let locations = format!("locations={{local,{FAR}}}");
    // Hooks belong to `helm uninstall`.
    let args = [
        "template",
        "atelier",
        chart,
        "--namespace",
        SYSTEM,
        "--no-hooks",
        "--kube-version",
        &version,
        "--set",
        "actions.enabled=true",
        // Its server is played; the operator's right to make the server's key is what counts.
        "--set",
        "serviceStorage.type=Embedded",
        "--set",
        &locations,
    ];
    let rendered = cluster.tool("helm", &args, "")?;
    let documents: Vec<_> = rendered
        .split("\n---")
        .filter(|one| !is_left_out(one))
        .map(asked_about_nothing)
        .collect();
    let namespace = format!("apiVersion: v1\nkind: Namespace\nmetadata: {{name: {SYSTEM}}}\n");
    apply(cluster, &namespace)?;
    apply(cluster, &documents.join("\n---"))?;
    cluster.tool(
        "kubectl",
        &[
            "wait",
            "--for=condition=Established",
            "--timeout=20s",
            "crd",
            "--all",
        ],
        "",
    )?;
    Ok(())
}

fn is_left_out(document: &str) -> bool {
    let kinds = [
        "kind: Deployment",
        "kind: PersistentVolumeClaim",
        "kind: Service",
        "kind: APIService",
    ];
    document.lines().any(|line| kinds.contains(&line))
}

/// The webhook is there to be told whom to trust, and is asked about no namespace.
fn asked_about_nothing(document: &str) -> String {
    let nowhere =
        "    namespaceSelector: {matchLabels: {chaos.example/asked: \"yes\"}}\n    rules:";
    match document.contains("kind: MutatingWebhookConfiguration") {
        true => document.replacen("    rules:", nowhere, 1),
        false => document.to_owned(),
    }
}

fn apply(cluster: &ControlPlane, manifests: &str) -> anyhow::Result<()> {
    let args = ["apply", "--server-side", "--force-conflicts", "-f", "-"];
    cluster.tool("kubectl", &args, manifests).map(drop)
}
