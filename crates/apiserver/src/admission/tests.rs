use http_body_util::BodyExt as _;
use serde_json::{Value, json};

use super::*;
use crate::body::full;

fn review() -> Value {
    let kind = json!({"group": "atelier.dev", "version": "v1alpha1", "kind": "Run"});
    let resource = json!({"group": "atelier.dev", "version": "v1alpha1", "resource": "runs"});
    json!({
        "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
        "request": {
            "uid": "u-1", "kind": kind, "resource": resource, "name": "first", "namespace": "vision",
            "operation": "DELETE", "userInfo": {"username": "jane"}, "object": null,
            "oldObject": {"apiVersion": "atelier.dev/v1alpha1", "kind": "Run", "metadata": {"name": "first"}},
            "options": {"kind": "DeleteOptions", "apiVersion": "meta.k8s.io/v1"},
        },
    })
}

fn admission(on_failure: OnFailure) -> Admission {
    Admission::new()
        .with("yes", on_failure, async |request| {
            let mut response = AdmissionResponse::from(&request);
            response.uid = "forged".into();
            Ok(response)
        })
        .with("error", on_failure, async |_| {
            Err(AdmissionError("the log is full".into()))
        })
        .with("panic", on_failure, async |_| panic!("oh"))
        .with("hang", on_failure, async |_| {
            futures::future::pending().await
        })
}

async fn ask(on_failure: OnFailure, path: &str, body: Value) -> Result<Value, Refusal> {
    let request = Request::builder()
        .uri(format!("/admit/{path}"))
        .body(full(body.to_string()))
        .unwrap();
    let name = path.split('?').next().unwrap();
    let response = admission(on_failure).answer(name, request).await?;
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    Ok(serde_json::from_slice(&bytes).unwrap())
}

#[tokio::test]
async fn a_decision_is_told_for_the_request_it_is_about() {
    let answer = ask(OnFailure::Deny, "yes", review()).await.unwrap();
    assert_eq!(answer["apiVersion"], "admission.k8s.io/v1");
    assert_eq!(
        answer["response"],
        json!({"uid": "u-1", "allowed": true, "status": {}})
    );
}

#[tokio::test]
async fn a_failure_denies_with_an_explanation() {
    for (name, why) in [
        ("error", "the log is full"),
        ("panic", "a defect of the webhook"),
        ("hang?timeout=50ms", "no decision within 45ms"),
    ] {
        let answer = ask(OnFailure::Deny, name, review()).await.unwrap();
        assert_eq!(answer["response"]["uid"], "u-1");
        assert_eq!(answer["response"]["allowed"], false);
        let message = answer["response"]["status"]["message"].as_str().unwrap();
        assert!(message.ends_with(why), "{message}");
    }
}

#[tokio::test]
async fn a_failure_may_be_left_to_the_policy() {
    for name in ["error", "panic"] {
        let refusal = ask(OnFailure::FailurePolicy, name, review()).await;
        assert_eq!(refusal.unwrap_err().code(), 500);
    }
}

#[tokio::test]
async fn what_is_no_review_is_refused() {
    let mut beta = review();
    beta["apiVersion"] = "admission.k8s.io/v1beta1".into();
    let mut empty = review();
    empty["request"] = Value::Null;
    for body in [beta, empty, json!({"a": 1})] {
        let refusal = ask(OnFailure::Deny, "yes", body).await.unwrap_err();
        assert_eq!(refusal.code(), 400);
    }
    let nobody = ask(OnFailure::Deny, "none", review()).await.unwrap_err();
    assert_eq!(nobody.code(), 404);
}

#[test]
fn the_answer_comes_before_the_api_server_gives_up() {
    let patience = |query| patience(Some(query)).as_millis();
    assert_eq!(patience("timeout=10s"), 9500);
    assert_eq!(patience("timeout=1s"), 900);
    assert_eq!(patience("timeout=500ms"), 450);
    assert_eq!(patience("timeout=1h"), 9500);
    assert_eq!(patience("timeout=99999s"), 29_500);
}
