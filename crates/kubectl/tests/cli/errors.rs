//! How failures read, and the exit codes.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use crate::cluster::Cluster;
use crate::kit::{command, end, kubeconfig, run, towards};

fn why(cluster: &Cluster) -> String {
    run(cluster, &["why", "first"]).failed(1)
}

#[test]
fn a_refusal_reads_as_in_kubectl() {
    let message = r#"runs.atelier.dev "first" not found"#;
    assert_eq!(
        why(&Cluster::refusing("404 Not Found", "NotFound", message)),
        format!("Error from server (NotFound): {message}\n")
    );
    assert_eq!(
        why(&Cluster::refusing(
            "401 Unauthorized",
            "Unauthorized",
            "Unauthorized"
        )),
        "error: You must be logged in to the server (Unauthorized)\n"
    );
}

#[test]
fn a_cluster_without_the_operator_is_told_apart() {
    let cluster = Cluster::answering("404 Not Found", "text/plain", "404 page not found\n");
    assert_eq!(
        why(&cluster),
        "error: this cluster does not serve actions.atelier.dev: is the operator installed and up?\n"
    );
    assert_eq!(
        run(&cluster, &["keys", "list", "digits"]).failed(1),
        "error: this cluster does not serve atelier.dev: is the operator installed and up?\n"
    );
    let cluster = Cluster::answering(
        "503 Service Unavailable",
        "text/plain",
        "service unavailable\n",
    );
    assert_eq!(
        why(&cluster),
        "error: nobody answers for actions.atelier.dev in this cluster: is the operator up? \
         (service unavailable)\n"
    );
}

#[test]
fn an_answer_that_makes_no_sense_is_no_success() {
    for body in ["", "{}", "[]", "\u{0}", r#"{"kind": "RunExplanation"}"#] {
        let err = why(&Cluster::answering("200 OK", "application/json", body));
        assert!(
            err.starts_with("error: cannot understand the server's answer: "),
            "{err}"
        );
    }
}

#[test]
fn a_cluster_that_is_not_there_is_said() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let mut command = command(&["why", "first"]);
    command.env("KUBECONFIG", kubeconfig(&url));
    let err = end(command).failed(1);
    assert!(
        err.starts_with("Unable to connect to the server: "),
        "{err}"
    );
    assert!(err.contains("refused"), "{err}");
}

#[test]
fn a_cluster_that_does_not_answer_is_not_waited_for() {
    let cluster = Cluster::with(|_, _| std::thread::sleep(Duration::from_secs(60)));
    let began = Instant::now();
    let words = ["why", "first", "--request-timeout", "200ms"];
    assert_eq!(
        run(&cluster, &words).failed(1),
        "error: no complete answer within 200ms (--request-timeout)\n"
    );
    assert!(began.elapsed() < Duration::from_secs(30));
}

#[test]
fn without_a_kubeconfig_there_is_no_cluster() {
    let err = end(command(&["why", "first"])).failed(1);
    assert!(
        err.starts_with("error: cannot use the kubeconfig: "),
        "{err}"
    );
    let err = end(command(&["why", "first", "--kubeconfig", "/nonexistent"])).failed(1);
    assert!(err.contains("/nonexistent"), "{err}");
    let cluster = Cluster::json(serde_json::Value::Null);
    let err = run(&cluster, &["why", "first", "--context", "other"]).failed(1);
    assert!(err.contains("other"), "{err}");
}

#[test]
fn a_proxy_is_refused_in_clear_words() {
    let cluster = Cluster::json(serde_json::Value::Null);
    let mut command = towards(&cluster, &["why", "first"]);
    command.env("HTTPS_PROXY", "http://127.0.0.1:1");
    let err = end(command).failed(1);
    assert!(err.contains("proxies are not supported"), "{err}");
}

#[test]
fn a_command_line_that_makes_no_sense_exits_with_2() {
    for words in [
        &[][..],
        &["unknown"],
        &["why"],
        &["why", "first", "-o", "csv"],
        &["why", "first", "-n", "a/b"],
        &["why", "first", "--as-group", "team"],
        &["keys", "show", "digits", "third"],
        &["why", "first", "--request-timeout", "soon"],
    ] {
        let cluster = Cluster::json(serde_json::Value::Null);
        let ended = run(&cluster, words);
        assert_eq!(ended.code, Some(2), "{words:?} {ended:?}");
        assert!(cluster.asked().is_empty());
    }
}
