//! Asking for actions, as people do.

use std::sync::atomic::Ordering;

use atelier_testkit::eventually;
use atelier_testkit::namespace::SLOW;
use atelier_testkit::wait::check;
use futures::{AsyncBufReadExt as _, StreamExt as _};
use http::Request;
use serde_json::Value;

use crate::rights;
use crate::setup::{Setup, apply};

const CALLER: &str = "jane@example.com";

/// Nobody reaches an action without a rule on it, and nothing else is needed.
pub async fn only_who_may(set: &Setup) {
    let (why, cancel) = (set.path("runs/first/why"), set.path("runs/first/cancel"));
    let get = ["get", "--raw", &why, "--as", CALLER, "--as-group", "team"];
    let create = ["create", "--raw", &cancel, "-f", "-", "--as", CALLER];
    let cluster = &set.namespace.cluster;
    let (done, out) = cluster.kubectl(&get, "");
    let wanted = format!(
        "User {CALLER:?} cannot get resource \"runs/why\" in API group \"actions.atelier.dev\" in the namespace {:?}",
        set.namespace.name
    );
    assert!(!done && out.contains(&wanted), "{out}");
    assert!(!cluster.kubectl(&create, "").0);
    assert_eq!(set.counts.reached.load(Ordering::SeqCst), 0);

    apply(
        &set.namespace,
        rights::of_caller(&set.namespace.name, CALLER),
    );
    let answer = eventually(SLOW, "the rule is in force", async || {
        let (done, out) = cluster.kubectl(&get, "");
        if done { Ok(out) } else { Err(out) }
    })
    .await;
    let answer: Value = serde_json::from_str(&answer).unwrap();
    assert_eq!(answer["kind"], "RunExplanation");
    assert_eq!(answer["reasons"][0], CALLER);
    assert_eq!(answer["reasons"][1], "team system:authenticated");
    let answer: Value = serde_json::from_str(&set.kubectl(&create, "{}")).unwrap();
    assert_eq!(answer["accepted"], true);
    // A rule on one action is none on another.
    let proxy = set.path("workspaces/v/proxy/x");
    assert!(
        !cluster
            .kubectl(&["get", "--raw", &proxy, "--as", CALLER], "")
            .0
    );
}

/// What authentication knows beside the name arrives too, and so does the way back.
pub async fn extras(set: &Setup) {
    let request = Request::get(set.path("runs/first/why"))
        .header("impersonate-user", CALLER)
        .header("impersonate-extra-acme.com%2fproject", "some project")
        .header("accept", "application/json")
        .body(Vec::new())
        .unwrap();
    let client = &set.namespace.cluster.client;
    let answer: Value = client.request(request).await.unwrap();
    assert_eq!(
        answer["reasons"][2],
        r#"{"acme.com/project": ["some project"]}"#
    );

    let table = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json";
    let request = Request::get(set.path("runs/first/why"))
        .header("accept", table)
        .body(Vec::new())
        .unwrap();
    let answer: Value = client.request(request).await.unwrap();
    assert_eq!(
        (&answer["kind"], &answer["rows"][0]["cells"][0]),
        (&"Table".into(), &"admin".into())
    );

    let proxied = Request::delete(set.path("workspaces/v/proxy/a%20b%2Fc?d=e"))
        .body(kube::client::Body::from(b"body".to_vec()))
        .unwrap();
    let response = client.send(proxied).await.unwrap();
    assert_eq!(response.status(), 207);
    assert_eq!(response.headers()["x-verb"], "delete");
    // The API server takes encodings off and puts them on again: a slash is a slash from then on.
    assert_eq!(response.headers()["x-rest"], "/a%20b/c");
    assert_eq!(response.headers()["content-type"], "application/x-ours");
    assert!(response.headers().contains_key("audit-id"));
}

/// What is refused reaches the user, and tables are made.
pub fn bodies_and_tables(set: &Setup) {
    let path = set.path("webservices/digits/regeneratekey");
    let cluster = &set.namespace.cluster;
    let create =
        |body: &str| cluster.kubectl(&["create", "--raw", &path, "-f", "-", "--as", CALLER], body);
    let (done, out) = create(r#"{"keyType": "Secondary"}"#);
    assert!(done && out.contains(r#""fingerprint":"00000000""#), "{out}");
    let (done, out) = create(r#"{"keyType": "Secondary", "force": true}"#);
    assert!(!done && out.contains(r#"unknown field "force""#), "{out}");
    let (done, out) = create(&format!(r#"{{"keyType": "{}"}}"#, "x".repeat(1 << 20)));
    assert!(!done && out.contains("no more than 1048576 bytes"), "{out}");
    let none = set.path("runs/first/none");
    let (done, out) = cluster.kubectl(&["get", "--raw", &none], "");
    assert!(!done && out.contains("NotFound"), "{out}");
    let (done, out) = cluster.kubectl(&["get", "--raw", &set.path("runs/first/cancel")], "");
    assert!(!done && out.contains("MethodNotAllowed"), "{out}");
}

/// A log arrives line by line, and ends here when its reader goes there.
pub async fn streams(set: &Setup) {
    let log = set.path("runs/first/log");
    let all = set.kubectl(&["get", "--raw", &log, "--as", CALLER], "");
    assert_eq!(all, "line 0\nline 1\nline 2\n");
    let request = Request::get(format!("{log}?follow=true"))
        .body(Vec::new())
        .unwrap();
    let client = &set.namespace.cluster.client;
    let mut lines = client.request_stream(request).await.unwrap().lines();
    // Longer than any buffer would hold back for, shorter than all of them together.
    for n in 0..50 {
        assert_eq!(lines.next().await.unwrap().unwrap(), format!("line {n}"));
    }
    let following = || set.counts.following.load(Ordering::SeqCst);
    assert_eq!(following(), 1);
    drop(lines);
    eventually(SLOW, "the log has ended", async || {
        check(following() == 0, following())
    })
    .await;
}
