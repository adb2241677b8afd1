//! An API server that knows one ConfigMap and answers access reviews.

use std::convert::Infallible;

use atelier_apiserver::{Body as Reply, BoxError, full};
use bytes::Bytes;
use futures::StreamExt as _;
use http::{Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};
use tokio::sync::watch;

/// The configuration of a front proxy, as `kube-system/extension-apiserver-authentication` has it.
pub fn config_map(version: u32, ca: &str, names: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {
            "name": "extension-apiserver-authentication", "namespace": "kube-system",
            "resourceVersion": version.to_string(),
        },
        "data": {
            "requestheader-client-ca-file": ca,
            "requestheader-allowed-names": names,
            "requestheader-username-headers": r#"["X-Remote-User"]"#,
            "requestheader-uid-headers": r#"["X-Remote-Uid"]"#,
            "requestheader-group-headers": r#"["X-Remote-Group"]"#,
            "requestheader-extra-headers-prefix": r#"["X-Remote-Extra-"]"#,
        },
    })
}

/// A client of it. The ConfigMap is what was sent last.
pub fn client(config: watch::Receiver<Value>) -> Client {
    let service = tower::service_fn(move |request: Request<Body>| {
        let config = config.clone();
        async move { Ok::<_, Infallible>(answer(config, request).await) }
    });
    Client::new(service, "default")
}

async fn answer(mut config: watch::Receiver<Value>, request: Request<Body>) -> Response<Reply> {
    let (path, query) = (
        request.uri().path().to_owned(),
        request.uri().query().unwrap_or("").to_owned(),
    );
    if path == "/apis/authorization.k8s.io/v1/subjectaccessreviews" {
        let body = request.into_body().collect().await.unwrap().to_bytes();
        return review(serde_json::from_slice(&body).unwrap());
    }
    assert_eq!(path, "/api/v1/namespaces/kube-system/configmaps");
    assert!(
        query.contains("fieldSelector=metadata.name%3Dextension-apiserver-authentication"),
        "{query}"
    );
    if query.contains("watch=true") {
        config.mark_unchanged();
        let changes = tokio_stream(config).map(|object| {
            let line = json!({"type": "MODIFIED", "object": object}).to_string() + "\n";
            Ok::<_, BoxError>(Frame::data(Bytes::from(line)))
        });
        return Response::new(StreamBody::new(changes).boxed_unsync());
    }
    let item = config.borrow().clone();
    let version = item["metadata"]["resourceVersion"].clone();
    json(
        200,
        &json!({
            "apiVersion": "v1", "kind": "ConfigMapList", "metadata": {"resourceVersion": version}, "items": [item],
        }),
    )
}

fn tokio_stream(config: watch::Receiver<Value>) -> impl futures::Stream<Item = Value> {
    futures::stream::unfold(config, |mut config| async {
        config.changed().await.ok()?;
        let value = config.borrow_and_update().clone();
        Some((value, config))
    })
}

/// `nobody` may nothing, `down` finds the API server unwell, everybody else may everything.
fn review(mut review: Value) -> Response<Reply> {
    let user = review["spec"]["user"].clone();
    if user == "down" {
        return json(
            500,
            &json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 500}),
        );
    }
    review["status"] = json!({"allowed": user != "nobody"});
    json(201, &review)
}

fn json(code: u16, value: &Value) -> Response<Reply> {
    let body = full(value.to_string());
    Response::builder().status(code).body(body).unwrap()
}
