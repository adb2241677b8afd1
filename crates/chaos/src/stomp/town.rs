//! Namespaces with one of everything, and bystanders that only look like ours.

use std::time::Duration;

use atelier_api::{ComputeTarget, RoleAssignment, Run, WebService, Workspace};
use atelier_testkit::manifest::{role, run, service, target, workspace};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Pod, Secret, Service, ServiceAccount};
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use kube::Client;
use serde_json::{Value, json};

use crate::user::{Kind, User};

/// How much of everything a namespace gets.
#[derive(Clone, Copy, Debug)]
pub struct Plot {
    /// People.
    pub roles: usize,
    /// Nodes that are kept although nothing runs.
    pub idle_nodes: i32,
    /// Runs that have ended.
    pub runs: usize,
    /// Web services.
    pub services: usize,
}

/// The name of the target.
pub const TARGET: &str = "cpu";
/// The label of bystanders.
pub const BYSTANDER: &str = "stomp.example/bystander";

/// Makes one namespace and waits until all in it is ready.
pub async fn build(client: &Client, namespace: &str, plot: Plot) -> anyhow::Result<User> {
    let user = User::in_new_namespace(client.clone(), namespace).await?;
    user.create::<Workspace>(workspace("team")).await?;
    for nth in 0..plot.roles {
        let role_name = ["Owner", "Contributor", "Reader"][nth % 3];
        let manifest = role(
            &format!("r{nth}"),
            role_name,
            &format!("user{nth}@example.com"),
        );
        user.create::<RoleAssignment>(manifest).await?;
    }
    let most = plot.idle_nodes.max(i32::try_from(plot.runs)?);
    user.create::<ComputeTarget>(target(TARGET, plot.idle_nodes, most, 0))
        .await?;
    for nth in 0..plot.services {
        user.create::<WebService>(service(&format!("svc{nth}")))
            .await?;
    }
    for nth in 0..plot.runs {
        user.create::<Run>(run(&format!("run{nth}"), TARGET, "true"))
            .await?;
    }
    Ok(user)
}

/// Waits until all in a namespace is ready. The runs' pods are ended, as a kubelet would.
pub async fn settle(user: &User, plot: Plot) -> anyhow::Result<()> {
    user.ready::<Workspace>("team", "True", "").await?;
    for nth in 0..plot.runs {
        end(user, &format!("run{nth}")).await?;
    }
    for nth in 0..plot.roles {
        user.ready::<RoleAssignment>(&format!("r{nth}"), "True", "")
            .await?;
    }
    for nth in 0..plot.services {
        user.ready::<WebService>(&format!("svc{nth}"), "True", "")
            .await?;
    }
    user.nodes_are(TARGET, plot.idle_nodes).await?;
    Ok(())
}

async fn end(user: &User, name: &str) -> anyhow::Result<()> {
    use atelier_api::v1alpha1::RunState::{Completed, Running};
    user.run_is(name, Running).await?;
    user.end_pod(&format!("{name}-1-0"), 0).await?;
    user.run_is(name, Completed).await.map(drop)
}

/// Objects of every kind that nobody but their maker may touch: plain ones, and ones with all labels of a child. None
/// has an owner of ours.
pub async fn bystanders(user: &User) -> anyhow::Result<()> {
    for (name, labels) in [("plain", json!({})), ("alike", labels("svc0"))] {
        let make = |extra: Value| made(name, &labels, extra);
        let container = json!({"name": "main", "image": "localhost/bystander:1", "securityContext": security()});
        let pod = json!({"automountServiceAccountToken": false, "securityContext": pod_security(), "containers": [container]});
        let template = json!({"metadata": {"labels": {"app": name}}, "spec": pod});
        put::<ServiceAccount>(user, make(json!({}))).await?;
        put::<Role>(user, make(json!({"rules": []}))).await?;
        let role = json!({"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name});
        put::<RoleBinding>(user, make(json!({"roleRef": role}))).await?;
        put::<Secret>(user, make(json!({"stringData": {"a": "b"}}))).await?;
        put::<Service>(
            user,
            make(json!({"spec": {"ports": [{"port": 80}], "selector": {"app": name}}})),
        )
        .await?;
        let deployment = json!({"replicas": 0, "selector": {"matchLabels": {"app": name}}, "template": template});
        put::<Deployment>(user, make(json!({"spec": deployment}))).await?;
        put::<Pod>(user, make(json!({"spec": pod}))).await?;
    }
    // Time for the cluster's own controllers to have written into them what they write.
    tokio::time::sleep(Duration::from_millis(200)).await;
    Ok(())
}

fn labels(service: &str) -> Value {
    json!({"app.kubernetes.io/name": "atelier", "app.kubernetes.io/instance": service,
        "app.kubernetes.io/component": "webservice", "app.kubernetes.io/part-of": "atelier",
        "app.kubernetes.io/managed-by": "atelier", "atelier.dev/workspace": "team",
        "atelier.dev/compute-target": TARGET, "atelier.dev/slot": "0"})
}

fn made(name: &str, labels: &Value, extra: Value) -> Value {
    let mut object = extra;
    let mut labels = labels.clone();
    labels[BYSTANDER] = json!("yes");
    object["metadata"] = json!({"name": name, "labels": labels});
    object
}

async fn put<K: Kind>(user: &User, manifest: Value) -> anyhow::Result<()> {
    user.create::<K>(manifest).await.map(drop)
}

fn security() -> Value {
    json!({"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}})
}

fn pod_security() -> Value {
    json!({"runAsNonRoot": true, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"}})
}
