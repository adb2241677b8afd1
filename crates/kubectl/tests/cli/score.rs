//! `score`.

use crate::cluster::Cluster;
use crate::kit::{file, run, run_with_stdin};

fn echo() -> Cluster {
    Cluster::answering("200 OK", "application/json", r#"{"predictions": [7]}"#)
}

#[test]
fn a_body_goes_as_it_is_and_the_answer_comes_as_it_is() {
    let cluster = echo();
    let body = b"{\"a\":\r\n 1}\0\xff";
    let path = file("body.json", body);
    let out = run(&cluster, &["score", "digits", "-f", path.to_str().unwrap()]).fine();
    assert_eq!(out, r#"{"predictions": [7]}"#);
    let asked = cluster.only();
    assert_eq!(
        asked.line,
        "POST /apis/actions.atelier.dev/v1alpha1/namespaces/vision/webservices/digits/score"
    );
    assert_eq!(asked.body, body);
    assert_eq!(asked.headers["content-type"], "application/json");
    assert_eq!(asked.headers["authorization"], "Bearer adas-token");
}

#[test]
fn a_body_may_come_from_standard_input_or_the_command_line() {
    let cluster = echo();
    run_with_stdin(&cluster, &["score", "digits", "-f", "-"], b"\x89PNG\n").fine();
    run(&cluster, &["score", "digits", "--data", "-1"]).fine();
    let bodies: Vec<_> = cluster
        .asked()
        .into_iter()
        .map(|asked| asked.body)
        .collect();
    assert_eq!(bodies, [&b"\x89PNG\n"[..], b"-1"]);
}

#[test]
fn headers_are_passed_on() {
    let cluster = echo();
    let words = ["score", "digits", "--data", "x", "-H", "X-Trace: a:b", "-H"];
    run(
        &cluster,
        &[&words[..], &["Content-Type: text/csv"]].concat(),
    )
    .fine();
    let asked = cluster.only();
    assert_eq!(asked.headers["x-trace"], "a:b");
    assert_eq!(asked.headers["content-type"], "text/csv");
    assert!(asked.headers["user-agent"].starts_with("kubectl-atelier/"));
}

#[test]
fn a_header_of_the_connection_is_refused() {
    let cluster = echo();
    let words = [
        "score",
        "digits",
        "--data",
        "x",
        "-H",
        "Authorization: Bearer s3cret",
    ];
    assert_eq!(
        run(&cluster, &words).failed(2),
        "error: the header authorization belongs to the connection with the cluster\n"
    );
    assert!(cluster.asked().is_empty());
}

#[test]
fn what_the_service_refuses_goes_to_standard_error() {
    let refused = |status, body: &str| {
        let cluster = Cluster::answering(status, "application/json", body);
        run(&cluster, &["score", "digits", "--data", "{}"]).failed(1)
    };
    let body = r#"{"error": "no such digit"}"#;
    assert_eq!(
        refused("422 Unprocessable Entity", body),
        format!("{body}\n")
    );
    assert_eq!(refused("404 Not Found", "not here"), "not here\n");
    assert_eq!(
        refused("500 Internal Server Error", ""),
        "the service answered 500 Internal Server Error, without a body\n"
    );
}

#[test]
fn what_the_cluster_refuses_is_told_from_what_the_service_refuses() {
    let cluster = Cluster::refusing("403 Forbidden", "Forbidden", "ada cannot score");
    assert_eq!(
        run(&cluster, &["score", "digits", "--data", "{}"]).failed(1),
        "Error from server (Forbidden): ada cannot score\n"
    );
    let cluster = Cluster::answering("404 Not Found", "text/plain", "404 page not found\n");
    assert_eq!(
        run(&cluster, &["score", "digits", "--data", "{}"]).failed(1),
        "error: this cluster does not serve actions.atelier.dev: is the operator installed and up?\n"
    );
}

#[test]
fn there_is_one_body() {
    for words in [
        &["score", "digits"][..],
        &["score", "digits", "--data", "x", "-f", "y"],
    ] {
        run(&echo(), words).failed(2);
    }
    let err = run(&echo(), &["score", "digits", "-f", "/nonexistent"]).failed(1);
    assert!(
        err.starts_with("error: cannot read /nonexistent: "),
        "{err}"
    );
}
