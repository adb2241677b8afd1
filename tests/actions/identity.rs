//! Who asks is what the API server says, and nobody else.

use atelier_testkit::Cluster;
use atelier_testkit::cluster::SYSTEM;

#[tokio::test]
async fn headers_without_the_proxys_certificate_are_believed_by_nobody() {
    let cluster = Cluster::shared().await;
    let action = "apis/actions.atelier.dev/v1alpha1/namespaces/any/webservices/any/listkeys";
    let path =
        format!("/api/v1/namespaces/{SYSTEM}/services/https:atelier-operator:https/proxy/{action}");
    let request = http::Request::post(path)
        .header("X-Remote-User", "admin")
        .header("X-Remote-Group", "system:masters")
        .body(Vec::new())
        .unwrap();
    let answer = cluster.client.request_text(request).await;
    let Err(kube::Error::Api(status)) = answer else {
        panic!("answered: {answer:?}");
    };
    assert_eq!(status.code, 401);
}

#[tokio::test]
async fn discovery_has_no_complaint() {
    let cluster = Cluster::shared().await;
    let (ok, resources) = cluster.kubectl(&["api-resources"], "");
    assert!(
        ok && !resources.contains("unable to retrieve"),
        "{resources}"
    );
    let (ok, versions) = cluster.kubectl(&["api-versions"], "");
    assert!(
        ok && versions.contains("actions.atelier.dev/v1alpha1"),
        "{versions}"
    );
    let (ok, document) = cluster.kubectl(
        &[
            "get",
            "--raw",
            "/openapi/v3/apis/actions.atelier.dev/v1alpha1",
        ],
        "",
    );
    assert!(
        ok && document.contains("webservices/{name}/listkeys"),
        "{document}"
    );
}
