//! `keys`.

use serde_json::json;

use crate::cluster::Cluster;
use crate::kit::run;

const ACTIONS: &str = "/apis/actions.atelier.dev/v1alpha1/namespaces/vision";

fn service() -> Cluster {
    let key = |generation: i64, fingerprint: &str| json!({"generation": generation, "createdAt": "2020-01-01T00:00:00Z", "fingerprint": fingerprint});
    Cluster::json(json!({
        "apiVersion": "atelier.dev/v1alpha1",
        "kind": "WebService",
        "metadata": {"name": "digits"},
        "spec": {"of": "a newer version"},
        "status": {"keys": {"primary": key(3, "0123abcd"), "secondary": key(1, "89abcdef")}},
    }))
}

fn keys() -> Cluster {
    Cluster::json(json!({
        "apiVersion": "actions.atelier.dev/v1alpha1",
        "kind": "ServiceKeys",
        "metadata": {"name": "digits", "namespace": "vision"},
        "primaryKey": "atl_one",
        "secondaryKey": "atl_two",
    }))
}

#[test]
fn keys_are_listed_from_the_services_status() {
    let cluster = service();
    let out = run(&cluster, &["keys", "list", "digits"]).fine();
    let asked = cluster.only();
    assert_eq!(
        asked.line,
        "GET /apis/atelier.dev/v1alpha1/namespaces/vision/webservices/digits"
    );
    let lines: Vec<Vec<_>> = out
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    assert_eq!(lines[0], ["NAME", "GENERATION", "AGE", "FINGERPRINT"]);
    assert_eq!(lines[1][..2], ["primary", "3"]);
    assert_eq!(lines[1][3], "0123abcd");
    assert_eq!(lines[2][..2], ["secondary", "1"]);
}

#[test]
fn listed_keys_come_in_every_form() {
    let out = |form| run(&service(), &["keys", "list", "digits", "-o", form]).fine();
    assert_eq!(out("name"), "primary\nsecondary\n");
    let value: serde_json::Value = serde_json::from_str(&out("json")).unwrap();
    assert_eq!(value["primary"]["generation"], 3);
    assert!(out("yaml").contains("\n  fingerprint: 89abcdef\n"));
    assert!(out("wide").starts_with("NAME        GENERATION   AGE"));
    assert!(out("wide").contains("CREATED\n"));
}

#[test]
fn a_service_that_was_not_set_up_has_no_keys() {
    let cluster = Cluster::json(json!({"metadata": {"name": "digits"}}));
    let ended = run(&cluster, &["keys", "list", "digits"]);
    assert_eq!((ended.code, ended.out.as_str()), (Some(0), ""));
    assert_eq!(ended.err, "No keys yet: digits was not set up\n");
}

#[test]
fn both_keys_are_shown() {
    let cluster = keys();
    assert_eq!(
        run(&cluster, &["keys", "show", "digits"]).fine(),
        "NAME        KEY\nprimary     atl_one\nsecondary   atl_two\n"
    );
    let asked = cluster.only();
    assert_eq!(
        asked.line,
        format!("POST {ACTIONS}/webservices/digits/listkeys")
    );
    assert_eq!(asked.body, b"");
}

#[test]
fn one_key_is_shown_alone() {
    let out = |words: &[&str]| run(&keys(), &[&["keys", "show", "digits"], words].concat()).fine();
    assert_eq!(out(&["primary"]), "atl_one\n");
    assert_eq!(out(&["Secondary"]), "atl_two\n");
    let json = out(&["primary", "-o", "json"]);
    assert!(json.contains("\"primaryKey\": \"atl_one\""));
    assert!(!json.contains("atl_two"), "{json}");
    assert!(out(&["-o", "yaml"]).contains("\nsecondaryKey: atl_two\n"));
}

#[test]
fn a_key_is_made_anew() {
    let cluster = Cluster::json(json!({
        "apiVersion": "actions.atelier.dev/v1alpha1",
        "kind": "RegeneratedKey",
        "metadata": {"name": "digits"},
        "keyType": "Secondary",
        "fingerprint": "0123abcd",
        "createdAt": "2026-01-01T00:00:00Z",
    }));
    assert_eq!(
        run(&cluster, &["keys", "regenerate", "digits", "SECONDARY"]).fine(),
        "webservice.atelier.dev/digits secondary key regenerated: \
         fingerprint 0123abcd, created 2026-01-01T00:00:00Z\n"
    );
    let asked = cluster.only();
    assert_eq!(
        asked.line,
        format!("POST {ACTIONS}/webservices/digits/regeneratekey")
    );
    assert_eq!(asked.headers["content-type"], "application/json");
    assert_eq!(
        asked.json(),
        json!({
            "apiVersion": "actions.atelier.dev/v1alpha1",
            "kind": "KeyRegeneration",
            "keyType": "Secondary",
        })
    );
}

#[test]
fn making_a_key_anew_is_not_tried_again() {
    let cluster = Cluster::refusing(
        "503 Service Unavailable",
        "ServiceUnavailable",
        "not leading",
    );
    let err = run(&cluster, &["keys", "regenerate", "digits", "primary"]).failed(1);
    assert_eq!(err, "Error from server (ServiceUnavailable): not leading\n");
    cluster.only();
}
