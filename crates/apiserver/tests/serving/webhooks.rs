//! Webhooks, as the API server calls them.

use serde_json::{Value, json};

use crate::fixture::{Fixture, plain, send};
use crate::pki::Ca;

fn review(name: &str) -> Value {
    let kind = json!({"group": "atelier.dev", "version": "v1alpha1", "kind": "Run"});
    let resource = json!({"group": "atelier.dev", "version": "v1alpha1", "resource": "runs"});
    json!({
        "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
        "request": {
            "uid": "u-1", "kind": kind, "resource": resource, "name": name, "namespace": "vision",
            "operation": "CREATE", "userInfo": {"username": "jane"}, "oldObject": null,
            "object": {"apiVersion": "atelier.dev/v1alpha1", "kind": "Run", "metadata": {"name": name}, "spec": {}},
        },
    })
}

#[tokio::test]
async fn a_webhook_decides_whoever_calls_it() {
    let fixture = Fixture::new().await;
    let mut stranger = fixture.stranger().await;
    let odd = Some(Ca::new("other").issue("kube-apiserver"));
    let mut odd = fixture.try_connect(odd).await.unwrap();
    for connection in [&mut stranger, &mut odd] {
        for (name, allowed) in [("good", true), ("bad", false)] {
            let body = review(name).to_string();
            let answer = send(connection, plain("POST", "/admit/runs?timeout=10s", &body)).await;
            assert_eq!(answer.code, 200);
            let response = &answer.json()["response"];
            assert_eq!(
                (&response["uid"], &response["allowed"]),
                (&json!("u-1"), &json!(allowed))
            );
        }
    }
}

#[tokio::test]
async fn what_is_no_review_is_refused() {
    let fixture = Fixture::new().await;
    let mut stranger = fixture.stranger().await;
    let answer = send(&mut stranger, plain("POST", "/admit/runs", "{}")).await;
    assert_eq!(answer.refusal().0, 400);
    let get = send(&mut stranger, plain("GET", "/admit/runs", "")).await;
    assert_eq!(
        (get.code, &get.headers["allow"]),
        (405, &"POST".parse().unwrap())
    );
    let large = "x".repeat(3 * 1024 * 1024 + 1);
    let answer = send(&mut stranger, plain("POST", "/admit/runs", &large)).await;
    assert_eq!(answer.code, 413);
}
