//! `credential store`.

use serde_json::json;

use crate::cluster::Cluster;
use crate::kit::{file, run, run_with_stdin};

fn store() -> Cluster {
    Cluster::json(json!({
        "apiVersion": "actions.atelier.dev/v1alpha1",
        "kind": "StoredCredential",
        "metadata": {"name": "studio"},
        "secretName": "atelier-credential-db",
        "keys": ["password", "user"],
        "replaced": true,
        "items": [{"metadata": {"name": "studio"}}],
    }))
}

#[test]
fn values_go_in_and_the_secrets_name_comes_out() {
    let cluster = store();
    let password = file("password", "s3cret=\n");
    let words = [
        "credential",
        "store",
        "db",
        "--from-literal",
        "user=ml",
        "--from-file",
        &format!("key={}", password.display()),
        "--from-file",
        password.to_str().unwrap(),
        "--from-stdin",
        "token",
    ];
    let out = run_with_stdin(&cluster, &words, b"t0ken\n").fine();
    assert_eq!(out, "atelier-credential-db\n");
    let asked = cluster.asked();
    assert_eq!(
        asked[0].line,
        "GET /apis/atelier.dev/v1alpha1/namespaces/vision/workspaces"
    );
    assert_eq!(
        asked[1].line,
        "POST /apis/actions.atelier.dev/v1alpha1/namespaces/vision/workspaces/studio/storecredential"
    );
    assert_eq!(
        asked[1].json(),
        json!({
            "apiVersion": "actions.atelier.dev/v1alpha1",
            "kind": "CredentialStorage",
            "name": "db",
            "data": {"user": "ml", "key": "s3cret=\n", "password": "s3cret=\n", "token": "t0ken"},
        })
    );
}

#[test]
fn a_stored_credential_comes_in_every_form_without_its_values() {
    let out = |form| {
        let words = [
            "credential",
            "store",
            "db",
            "-w",
            "studio",
            "--from-literal",
        ];
        let words = [&words[..], &["user=s3cret", "-o", form]].concat();
        let out = run(&store(), &words).fine();
        assert!(!out.contains("s3cret"), "{out}");
        out
    };
    assert_eq!(out("name"), "secret/atelier-credential-db\n");
    assert_eq!(
        out("wide"),
        "SECRET                  KEYS            REPLACED\n\
         atelier-credential-db   password,user   true\n"
    );
    assert!(out("yaml").contains("secretName: atelier-credential-db\n"));
}

#[test]
fn no_error_repeats_a_value() {
    let cluster = store();
    let binary = file("binary", b"s3cret\xff");
    for values in [
        &["--from-literal", "s3cret"][..],
        &["--from-literal", "a=s3cret", "--from-literal", "a=s3cret"],
        &["--from-literal", "a b=s3cret"],
        &["--from-file", binary.to_str().unwrap()],
        &[],
    ] {
        let words = [&["credential", "store", "db"], values].concat();
        let err = run(&cluster, &words).failed(2);
        assert!(!err.contains("s3cret"), "{err}");
    }
    assert!(cluster.asked().is_empty());
}

#[test]
fn without_a_workspace_there_is_nowhere_to_store() {
    let cluster = Cluster::json(json!({"items": []}));
    let words = ["credential", "store", "db", "--from-literal", "a=b"];
    assert_eq!(
        run(&cluster, &words).failed(1),
        "error: there is no workspace in namespace vision; choose another with -n\n"
    );
}
