//! Where a service runs, and where its workspace is.

use atelier_api::WebService;
use atelier_api::conditions::{REGION_MATCHES, reasons};
use atelier_testkit::manifest::service;
use atelier_testkit::namespace::{SLOW, condition};
use atelier_testkit::wait::check;
use atelier_testkit::{TestNamespace, eventually};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Event;
use kube::api::ListParams;
use serde_json::json;

use crate::team::team;

async fn told(namespace: &TestNamespace, status: &str, reason: &str) {
    eventually(SLOW, &format!("RegionMatches={status}"), async || {
        let service: WebService = namespace.api().get("model").await.unwrap();
        let told = condition(&service, REGION_MATCHES).ok_or("no such condition")?;
        check(told.status == status && told.reason == reason, told)
    })
    .await;
}

#[tokio::test]
async fn a_service_in_another_location_than_its_workspace_says_so_and_runs_there() {
    let namespace = team("region").await;
    let mut model = service("model");
    model["spec"]["replicas"] = json!(0);
    namespace.create::<WebService>(model).await;
    let plain: WebService = namespace.ready("model", SLOW).await;
    assert!(condition(&plain, REGION_MATCHES).is_none());

    for (location, status, reason) in [
        ("elsewhere", "False", reasons::OTHER_LOCATION),
        ("local", "True", reasons::SAME_LOCATION),
    ] {
        let patch = json!({"spec": {"location": location}});
        namespace.patch::<WebService>("model", patch).await.unwrap();
        told(&namespace, status, reason).await;
        let pods: Deployment = namespace.api().get("model").await.unwrap();
        let pods = pods.spec.unwrap().template.spec.unwrap();
        let nodes = pods.node_selector.unwrap();
        assert_eq!(nodes["topology.kubernetes.io/region"], location);
    }
    let all = namespace.api::<Event>().list(&ListParams::default()).await;
    let warned = all.unwrap().items.into_iter().any(|event| {
        event.reason.as_deref() == Some("RegionsDiffer")
            && event.type_.as_deref() == Some("Warning")
    });
    assert!(warned, "nobody was warned");
    namespace.finish().await;
}
