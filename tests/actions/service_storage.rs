//! The service's own storage: the chart has `serviceStorage.type=Embedded` here, and `storage.probe=5s`.

use atelier_testkit::cluster::{Cluster, SYSTEM};
use atelier_testkit::eventually;
use atelier_testkit::namespace::SLOW;
use atelier_testkit::wait::check;
use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::api::ListParams;
use kube::{Api, ResourceExt as _};

const NAME: &str = "atelier-service-storage";

/// What the replicas of the operator say of it: one of them leads.
async fn told(cluster: &Cluster) -> Vec<String> {
    let pods: Api<Pod> = Api::namespaced(cluster.client.clone(), SYSTEM);
    let operators = ListParams::default().labels("app.kubernetes.io/component=operator");
    let operators = pods.list(&operators).await.unwrap();
    let of_one = |pod: Pod| {
        let path = format!(
            "/api/v1/namespaces/{SYSTEM}/pods/{}:8081/proxy/metrics",
            pod.name_any()
        );
        let (_, metrics) = cluster.kubectl(&["get", "--raw", &path], "");
        metrics
    };
    let metrics = operators.into_iter().map(of_one).collect::<String>();
    let told = |line: &&str| line.starts_with("atelier_service_storage{");
    metrics.lines().filter(told).map(Into::into).collect()
}

async fn says(cluster: &Cluster, reason: &str) {
    let wanted = format!("atelier_service_storage{{reason=\"{reason}\"}} 1");
    let sentence = format!("one replica, and only one, says {reason}");
    eventually(SLOW, &sentence, async || {
        let told = told(cluster).await;
        check(told == [wanted.clone()], told)
    })
    .await;
}

fn scale(cluster: &Cluster, replicas: &str) {
    let args = ["-n", SYSTEM, "scale", "deployment", NAME, replicas];
    let (done, said) = cluster.kubectl(&args, "");
    assert!(done, "{said}");
}

#[tokio::test]
async fn the_services_own_storage_is_tried_and_told_of_while_its_server_is_away_and_again() {
    let cluster = Cluster::shared().await;
    says(&cluster, "Probed").await;
    let secrets: Api<Secret> = Api::namespaced(cluster.client.clone(), SYSTEM);
    let all = secrets.list(&ListParams::default()).await.unwrap();
    let ring = |secret: &Secret| {
        let data = secret.data.as_ref();
        secret.name_any().starts_with("atelier-storage-rings-")
            && data.is_some_and(|data| data.contains_key("service"))
    };
    assert_eq!(all.iter().filter(|secret| ring(secret)).count(), 1);
    let key = secrets.get(NAME).await.unwrap().data;

    scale(&cluster, "--replicas=0");
    says(&cluster, "StorageUnreachable").await;
    scale(&cluster, "--replicas=1");
    says(&cluster, "Probed").await;
    assert_eq!(secrets.get(NAME).await.unwrap().data, key);
}
