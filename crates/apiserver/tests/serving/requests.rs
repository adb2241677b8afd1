//! What is refused, and how.

use std::time::Duration;

use atelier_apiserver::Limits;

use crate::fixture::{Fixture, GROUP, plain, send};

#[tokio::test]
async fn what_there_is_not_is_not_found() {
    let fixture = Fixture::new().await;
    for path in [
        "runs/a/none",
        "none/a/cancel",
        "runs/a",
        "runs/a/cancel/more",
        "runs/a/cancel/",
        "runs/A/cancel",
        "runs/%61/cancel",
    ] {
        let (code, reason, message) = fixture.ask("POST", path, "").await.refusal();
        assert_eq!((code, reason.as_str()), (404, "NotFound"), "{path}");
        assert_eq!(message, "the server could not find the requested resource");
    }
    let mut stranger = fixture.stranger().await;
    for path in ["/", "/metrics", "/apis/apps/v1", "/admit/none"] {
        assert_eq!(
            send(&mut stranger, plain("POST", path, "")).await.code,
            404,
            "{path}"
        );
    }
}

#[tokio::test]
async fn a_method_that_is_not_the_actions_is_refused() {
    let fixture = Fixture::new().await;
    for (method, path, allowed) in [
        ("GET", "runs/a/cancel", "POST"),
        ("DELETE", "runs/a/cancel", "POST"),
        ("POST", "runs/a/log", "GET"),
        ("OPTIONS", "runs/a/log", "GET"),
    ] {
        let answer = fixture.ask(method, path, "").await;
        assert_eq!(answer.refusal().1, "MethodNotAllowed", "{method} {path}");
        assert_eq!(
            (answer.code, &answer.headers["allow"]),
            (405, &allowed.parse().unwrap())
        );
    }
    let mut stranger = fixture.stranger().await;
    let post = send(&mut stranger, plain("POST", "/apis", "")).await;
    assert_eq!(post.code, 405);
}

#[tokio::test]
async fn bodies_are_read_strictly() {
    let fixture = Fixture::new().await;
    let send = async |body: &str| {
        let answer = fixture
            .ask("POST", "webservices/digits/regeneratekey", body)
            .await;
        let (code, _, message) = answer.refusal();
        (code, message)
    };
    assert_eq!(
        send(r#"{"keyType": "Primary"}"#).await,
        (409, "Primary".into())
    );
    assert_eq!(
        send(r#"{"keyType": "Primary", "now": 1}"#).await,
        (400, r#"unknown field "now""#.into())
    );
    assert_eq!(send("").await.0, 400);
    let large = format!(r#"{{"keyType": "{}"}}"#, "x".repeat(1024 * 1024));
    assert_eq!(
        send(&large).await,
        (
            413,
            "the request body may have no more than 1048576 bytes".into()
        )
    );
}

#[tokio::test]
async fn whoever_may_not_is_told_so_as_the_api_server_does() {
    let fixture = Fixture::new().await;
    let answer = fixture
        .ask_as("nobody", "POST", "runs/first/cancel", "")
        .await;
    let (code, reason, message) = answer.refusal();
    assert_eq!((code, reason.as_str()), (403, "Forbidden"));
    assert_eq!(
        message,
        "runs.actions.atelier.dev \"first\" is forbidden: User \"nobody\" cannot create resource \"runs/cancel\" in \
         API group \"actions.atelier.dev\" in the namespace \"vision\""
    );
}

#[tokio::test]
async fn while_nobody_can_be_asked_nobody_may() {
    let fixture = Fixture::new().await;
    let answer = fixture
        .ask_as("down", "POST", "runs/first/cancel", "")
        .await;
    assert_eq!(answer.refusal().1, "ServiceUnavailable");
    assert_eq!(answer.headers["retry-after"], "1");
    assert_eq!(answer.json()["details"]["retryAfterSeconds"], 1);
}

#[tokio::test]
async fn a_defect_and_a_hanging_action_have_answers() {
    let fixture = Fixture::with(Limits {
        request: Duration::from_millis(100),
        ..Limits::default()
    })
    .await;
    let panic = fixture.ask("POST", "webservices/panic/break", "").await;
    assert_eq!(
        panic.refusal(),
        (500, "InternalError".into(), "a defect of the action".into())
    );
    let hang = fixture.ask("POST", "webservices/hang/break", "").await;
    assert_eq!((hang.code, hang.refusal().1.as_str()), (504, "Timeout"));
}

#[tokio::test]
async fn the_documents_are_for_everybody() {
    let fixture = Fixture::new().await;
    let mut stranger = fixture.stranger().await;
    for path in [
        "/healthz",
        "/livez",
        "/readyz",
        "/apis",
        "/apis/actions.atelier.dev",
        GROUP,
        "/openapi/v2",
        "/openapi/v3",
        &format!("/openapi/v3{GROUP}"),
    ] {
        let answer = send(&mut stranger, plain("GET", path, "")).await;
        assert_eq!(answer.code, 200, "{path}");
    }
}
