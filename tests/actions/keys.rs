//! Keys of web services.

use atelier_api::WebService;
use atelier_testkit::manifest::service;
use atelier_testkit::namespace::QUICK;
use atelier_testkit::wait::check;
use atelier_testkit::{TestNamespace, eventually};
use k8s_openapi::api::core::v1::Secret;
use serde_json::{Value, json};

use crate::team::{CONTRIBUTOR, READER, plugin, team};

/// A service with keys, and without pods: nothing here asks a model.
async fn with_keys(namespace: &TestNamespace) {
    let mut model = service("model");
    model["spec"]["replicas"] = json!(0);
    namespace.create::<WebService>(model).await;
    eventually(QUICK, "both keys are told of", async || {
        let service = namespace.api::<WebService>().get("model").await.unwrap();
        check(service.status.is_some_and(|s| s.keys.is_some()), "no keys")
    })
    .await;
}

/// The digests that gateways go by.
async fn digests(namespace: &TestNamespace) -> Value {
    let secrets = namespace.api::<Secret>();
    let secret = secrets.get("model-gateway").await.unwrap();
    let policy = serde_json::from_slice::<Value>(&secret.data.unwrap()["policy.json"].0).unwrap();
    policy["keys"].clone()
}

#[tokio::test]
async fn a_contributor_sees_keys_and_a_reader_does_not() {
    let namespace = team("keys").await;
    with_keys(&namespace).await;
    let primary = plugin(
        &namespace,
        CONTRIBUTOR,
        &["keys", "show", "model", "primary"],
    )
    .unwrap();
    let secondary = plugin(
        &namespace,
        CONTRIBUTOR,
        &["keys", "show", "model", "secondary"],
    );
    assert!(primary.starts_with("atl_") && primary.trim_end().len() == 47);
    assert_ne!(secondary.unwrap(), primary);
    for args in [
        &["keys", "show", "model"][..],
        &["keys", "regenerate", "model", "primary"],
    ] {
        let refused = plugin(&namespace, READER, args).unwrap_err();
        assert!(
            refused.starts_with("Error from server (Forbidden)"),
            "{refused}"
        );
        assert!(refused.contains("rita"), "{refused}");
    }
    let listed = plugin(&namespace, READER, &["keys", "list", "model"]).unwrap();
    assert!(
        listed.contains("primary") && !listed.contains("atl_"),
        "{listed}"
    );
    namespace.finish().await;
}

#[tokio::test]
async fn a_key_made_anew_leaves_the_other_and_the_spec_alone_and_gateways_know_it_by_the_answer() {
    let namespace = team("anew").await;
    with_keys(&namespace).await;
    let show = |slot| plugin(&namespace, CONTRIBUTOR, &["keys", "show", "model", slot]).unwrap();
    let (primary, secondary) = (show("primary"), show("secondary"));
    let (before, service) = (digests(&namespace).await, namespace.api::<WebService>());
    let spec = service.get("model").await.unwrap().spec;

    plugin(
        &namespace,
        CONTRIBUTOR,
        &["keys", "regenerate", "model", "secondary"],
    )
    .unwrap();
    let after = digests(&namespace).await;
    assert_eq!(after["primary"], before["primary"]);
    assert_ne!(after["secondary"]["sha256"], before["secondary"]["sha256"]);
    assert_eq!(show("primary"), primary);
    assert_ne!(show("secondary"), secondary);
    assert_eq!(service.get("model").await.unwrap().spec, spec);
    namespace.finish().await;
}

#[tokio::test]
async fn a_service_without_keys_says_so() {
    let namespace = team("nokeys").await;
    let mut model = service("model");
    model["spec"]["replicas"] = json!(0);
    model["spec"]["auth"] = json!({"mode": "None"});
    namespace.create::<WebService>(model).await;
    let refused = plugin(&namespace, CONTRIBUTOR, &["keys", "show", "model"]).unwrap_err();
    assert!(refused.contains("keys are off"), "{refused}");
    let missing = plugin(&namespace, CONTRIBUTOR, &["keys", "show", "other"]).unwrap_err();
    assert!(
        missing.contains("NotFound") && missing.contains("other"),
        "{missing}"
    );
    namespace.finish().await;
}
