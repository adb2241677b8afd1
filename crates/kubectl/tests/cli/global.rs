//! Which cluster, which namespace, as whom.

use std::ffi::OsString;

use serde_json::json;

use crate::cluster::Cluster;
use crate::kit::{command, end, file, kubeconfig, run};

fn cluster() -> Cluster {
    Cluster::json(json!({
        "apiVersion": "actions.atelier.dev/v1alpha1",
        "kind": "RunCancellation",
        "metadata": {},
        "state": "Queued",
        "accepted": true,
    }))
}

#[test]
fn the_namespace_is_the_contexts_unless_another_is_named() {
    let cluster = cluster();
    run(&cluster, &["cancel", "first"]).fine();
    run(&cluster, &["cancel", "first", "-n", "audio"]).fine();
    run(&cluster, &["--namespace=audio", "cancel", "first"]).fine();
    let lines: Vec<_> = cluster
        .asked()
        .into_iter()
        .map(|asked| asked.line)
        .collect();
    let asked = |namespace| {
        format!("POST /apis/actions.atelier.dev/v1alpha1/namespaces/{namespace}/runs/first/cancel")
    };
    assert_eq!(lines, [asked("vision"), asked("audio"), asked("audio")]);
}

#[test]
fn somebody_else_can_be_asked_for() {
    let cluster = cluster();
    let words = [
        "cancel",
        "first",
        "--as",
        "grace",
        "--as-group",
        "a",
        "--as-group",
        "b",
    ];
    run(&cluster, &words).fine();
    let asked = cluster.only();
    assert_eq!(asked.headers["impersonate-user"], "grace");
    assert_eq!(asked.headers["impersonate-group"], "a,b");
    assert_eq!(asked.headers["authorization"], "Bearer adas-token");
}

#[test]
fn several_kubeconfigs_are_one() {
    let cluster = cluster();
    let contexts = file(
        "contexts",
        json!({
            "apiVersion": "v1",
            "kind": "Config",
            "contexts": [
                {"name": "other", "context": {"cluster": "test", "user": "grace", "namespace": "audio"}},
            ],
            "users": [{"name": "grace", "user": {"token": "graces-token"}}],
        })
        .to_string(),
    );
    let list: Vec<OsString> = vec![
        "/nonexistent/config".into(),
        contexts.into(),
        kubeconfig(&cluster.url()).into(),
    ];
    let list = list.join(&OsString::from(":"));
    let run = |words: &[&str]| {
        let mut command = command(words);
        command.env("KUBECONFIG", &list);
        end(command).fine()
    };
    run(&["cancel", "first", "--context", "other"]);
    run(&["cancel", "first", "--context", "other", "--user", "ada"]);
    let tokens: Vec<_> = (cluster.asked().into_iter())
        .map(|asked| {
            assert!(asked.line.contains("/namespaces/audio/"));
            asked.headers["authorization"].clone()
        })
        .collect();
    assert_eq!(tokens, ["Bearer graces-token", "Bearer adas-token"]);
}

#[test]
fn a_kubeconfig_that_is_named_comes_before_the_environments() {
    let cluster = cluster();
    let named = kubeconfig(&cluster.url());
    let mut command = command(&["cancel", "first", "--kubeconfig", named.to_str().unwrap()]);
    command.env("KUBECONFIG", kubeconfig("http://127.0.0.1:1"));
    end(command).fine();
    cluster.only();
}
