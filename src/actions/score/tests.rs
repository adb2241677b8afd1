use atelier_apiserver::{Caller, ObjectRef, Verb, empty};
use http::HeaderMap;
use serde_json::json;

use super::*;

fn service() -> WebService {
    let service = json!({"apiVersion": "atelier.dev/v1alpha1", "kind": "WebService",
        "metadata": {"name": "digits", "namespace": "vision"},
        "spec": {"image": "i", "scorePath": "/v1/score"}});
    serde_json::from_value(service).expect("a service")
}

fn call(user: &str, query: Option<&str>) -> Call {
    Call {
        caller: Caller {
            user: user.into(),
            ..Caller::default()
        },
        object: ObjectRef {
            namespace: "vision".into(),
            name: "digits".into(),
        },
        verb: Verb::Create,
        rest: String::new(),
        query: query.map(Into::into),
        audit_id: None,
    }
}

fn names(headers: &HeaderMap) -> Vec<&str> {
    let mut names: Vec<_> = headers.keys().map(|name| name.as_str()).collect();
    names.sort_unstable();
    names
}

#[test]
fn a_request_goes_to_the_services_score_path_with_its_query() {
    let to = |query| outbound(&service(), &call("rita", query), Request::new(empty()));
    let uri = |query| to(query).expect("a request").uri().to_string();
    assert_eq!(uri(None), "https://digits.vision.svc:8443/v1/score");
    assert_eq!(
        uri(Some("a=b&c")),
        "https://digits.vision.svc:8443/v1/score?a=b&c"
    );
}

#[test]
fn the_caller_is_whom_the_api_server_names_and_nobody_else() {
    let forged = [
        ("x-atelier-subject", "root"),
        ("x_atelier_subject", "root"),
        ("x-remote-user", "root"),
        ("x-remote-extra-scopes", "all"),
        ("impersonate-user", "root"),
        ("authorization", "Bearer token"),
        ("cookie", "session"),
        ("host", "kubernetes"),
        ("content-length", "7"),
        ("connection", "x-hop, keep-alive"),
        ("x-hop", "1"),
        ("audit-id", "1"),
        ("x-forwarded-for", "10.0.0.1"),
        ("content-type", "image/png"),
        ("x-trace", "kept"),
    ];
    let mut request = Request::post("/");
    for (name, value) in forged {
        request = request.header(name, value);
    }
    let request = request.body(empty()).expect("a request");
    let sent = outbound(&service(), &call("rita", None), request).expect("a request");
    assert_eq!(
        names(sent.headers()),
        ["content-type", "x-atelier-subject", "x-trace"]
    );
    assert_eq!(sent.headers()[SUBJECT], "rita");
}

#[test]
fn an_answer_leaves_its_connection_and_its_cookies_behind() {
    let mut headers = HeaderMap::new();
    for (name, value) in [
        ("connection", "close"),
        ("transfer-encoding", "chunked"),
        ("set-cookie", "a=b"),
        ("x-request-id", "r"),
        ("content-type", "text/csv"),
    ] {
        headers.insert(name, value.parse().expect("a value"));
    }
    headers::clean_response(&mut headers);
    assert_eq!(names(&headers), ["content-type", "x-request-id"]);
}
