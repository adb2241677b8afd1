//! Many namespaces with twenty objects of ours each, and nodes for what runs there.

use futures::{StreamExt as _, TryStreamExt as _};
use k8s_openapi::api::core::v1::Node;
use kube::api::PostParams;
use kube::{Api, Client};
use serde_json::json;

use crate::stomp::town::{self, Plot};
use crate::user::User;

/// What a namespace has: a workspace, a target, and these.
pub const PLOT: Plot = Plot {
    roles: 4,
    idle_nodes: 0,
    runs: 4,
    services: 10,
};
/// Objects of ours in a namespace.
pub const OBJECTS: usize = 2 + PLOT.roles + PLOT.runs + PLOT.services;
/// Pods in a namespace at the most: those of services, twice while they are rolled, and of runs.
const PODS: usize = 2 * PLOT.services + PLOT.runs;
const PODS_A_NODE: usize = 110;
/// Namespaces that are made at the same time.
const AT_A_TIME: usize = 4;

/// Makes as many nodes as the namespaces need.
pub async fn nodes(client: &Client, namespaces: usize) -> anyhow::Result<usize> {
    let api: Api<Node> = Api::all(client.clone());
    let count = (namespaces * PODS).div_ceil(PODS_A_NODE);
    for nth in 0..count {
        let name = format!("scale-{nth}");
        let room = json!({"cpu": "32", "memory": "128Gi", "ephemeral-storage": "500Gi", "pods": PODS_A_NODE.to_string()});
        let node = json!({"metadata": {"name": name, "annotations": {"kwok.x-k8s.io/node": "fake"},
                "labels": {"type": "kwok", "kubernetes.io/arch": "amd64", "kubernetes.io/os": "linux", "kubernetes.io/hostname": name}},
            "status": {"allocatable": room, "capacity": room}});
        match api
            .create(&PostParams::default(), &serde_json::from_value(node)?)
            .await
        {
            Err(kube::Error::Api(status)) if status.code == 409 => {}
            made => drop(made?),
        }
    }
    Ok(count)
}

/// Makes the namespaces and waits until all in them is ready.
pub async fn build(client: &Client, prefix: &str, namespaces: usize) -> anyhow::Result<Vec<User>> {
    let one = async |nth: usize| {
        let user = town::build(client, &format!("{prefix}{nth:03}"), PLOT).await?;
        town::settle(&user, PLOT).await?;
        anyhow::Ok(user)
    };
    let all = futures::stream::iter((0..namespaces).map(one));
    all.buffered(AT_A_TIME).try_collect().await
}
