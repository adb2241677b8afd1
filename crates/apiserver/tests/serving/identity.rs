//! Who is believed.

use atelier_apiserver::Limits;
use http::HeaderName;
use serde_json::{Value, json};

use crate::fixture::{Fixture, SOON, action, plain, send};
use crate::pki::Ca;
use atelier_testkit::wait::{check, eventually};

const PROXY: &str = "workspaces/vision/proxy";

fn seen(headers: &http::HeaderMap) -> Value {
    serde_json::from_str(headers["x-seen"].to_str().unwrap()).unwrap()
}

#[tokio::test]
async fn headers_without_a_certificate_say_nothing() {
    let fixture = Fixture::new().await;
    let mut stranger = fixture.stranger().await;
    let mut forged = action("admin", "GET", PROXY, "");
    forged
        .headers_mut()
        .append("x-remote-group", "system:masters".parse().unwrap());
    let (code, reason, message) = send(&mut stranger, forged).await.refusal();
    assert_eq!(
        (code, reason.as_str(), message.as_str()),
        (401, "Unauthorized", "Unauthorized")
    );
    // Not even which actions there are.
    let unknown = send(&mut stranger, action("admin", "GET", "runs/a/none", "")).await;
    assert_eq!(unknown.code, 401);
}

#[tokio::test]
async fn a_certificate_of_another_authority_or_name_is_not_believed() {
    let fixture = Fixture::new().await;
    for identity in [
        Ca::new("front").issue("proxy"),
        fixture.front.issue("somebody"),
    ] {
        let mut connection = fixture.try_connect(Some(identity)).await.unwrap();
        let answer = send(&mut connection, action("admin", "GET", PROXY, "")).await;
        assert_eq!(answer.code, 401);
        // It does not get in the way of what needs none.
        let live = send(&mut connection, plain("GET", "/livez", "")).await;
        assert_eq!(live.code, 200);
    }
}

#[tokio::test]
async fn a_server_that_does_not_know_yet_whom_to_believe_says_so_and_nothing_of_the_caller() {
    let (fixture, front_proxy) = Fixture::start(Limits::default(), "no names").await;
    let (code, reason, _) = fixture.ask("GET", PROXY, "").await.refusal();
    assert_eq!((code, reason.as_str()), (503, "ServiceUnavailable"));
    fixture.configure(2, r#"["proxy"]"#);
    front_proxy.known().await;
    assert_eq!(fixture.ask("GET", PROXY, "").await.code, 207);
}

#[tokio::test]
async fn the_proxy_says_who_asks() {
    let fixture = Fixture::new().await;
    let mut request = action("jane@example.com", "GET", "workspaces/v/proxy/a/b?c=d", "");
    for (name, value) in [
        ("x-remote-group", "team"),
        ("x-remote-uid", "42"),
        ("x-remote-extra-acme.com%2fproject", "some-project"),
        ("x-remote-extra-scopes", "openid"),
        ("x-remote-extra-scopes", "profile"),
        ("audit-id", "6b2c-1"),
    ] {
        let name = HeaderName::from_static(name);
        request.headers_mut().append(name, value.parse().unwrap());
    }
    let answer = send(&mut fixture.proxy().await, request).await;
    assert_eq!(answer.code, 207);
    assert_eq!(answer.headers["audit-id"], "6b2c-1");
    assert_eq!(
        seen(&answer.headers),
        json!({
            "user": "jane@example.com", "uid": "42", "groups": ["system:authenticated", "team"],
            "extra": {"acme.com/project": ["some-project"], "scopes": ["openid", "profile"]},
            "namespace": "vision", "name": "v", "rest": "/a/b", "query": "c=d", "verb": "get", "auditId": "6b2c-1",
        })
    );
}

#[tokio::test]
async fn a_proxy_that_names_nobody_is_refused() {
    let fixture = Fixture::new().await;
    let mut request = action("jane", "GET", PROXY, "");
    request.headers_mut().remove("x-remote-user");
    assert_eq!(send(&mut fixture.proxy().await, request).await.code, 401);
}

#[tokio::test]
async fn a_connection_does_not_outlive_the_trust_in_it() {
    let fixture = Fixture::new().await;
    let mut connection = fixture.proxy().await;
    let get = || action("jane", "GET", PROXY, "");
    assert_eq!(send(&mut connection, get()).await.code, 207);
    fixture.configure(2, r#"["another"]"#);
    eventually(SOON, "the name is no longer allowed", async || {
        let code = send(&mut connection, get()).await.code;
        check(code == 401, code)
    })
    .await;
    // Nonsense changes nothing; an empty list allows any name of the authority.
    fixture.configure(3, "nonsense");
    assert_eq!(send(&mut connection, get()).await.code, 401);
    fixture.configure(4, "[]");
    eventually(SOON, "any name is allowed", async || {
        let code = send(&mut connection, get()).await.code;
        check(code == 207, code)
    })
    .await;
}
