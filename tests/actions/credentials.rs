//! Credentials: in, and never out again.

use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::api::{ListParams, PostParams};
use serde_json::{Value, json};

use crate::team::{CONTRIBUTOR, READER, client, plugin, team};

#[tokio::test]
async fn a_contributor_stores_a_credential_and_can_read_no_secret() {
    let namespace = team("store").await;
    let store = |value: &str| {
        let literal = format!("--from-literal=password={value}");
        plugin(
            &namespace,
            CONTRIBUTOR,
            &["credential", "store", "s3", &literal, "-o", "json"],
        )
    };
    let answer: Value = serde_json::from_str(&store("first").unwrap()).unwrap();
    assert_eq!(
        (&answer["secretName"], &answer["replaced"]),
        (&json!("atelier-credential-s3"), &json!(false))
    );
    let answer = store("second").unwrap();
    assert!(
        answer.contains("\"replaced\": true") && !answer.contains("second"),
        "{answer}"
    );
    let stored = namespace
        .api::<Secret>()
        .get("atelier-credential-s3")
        .await
        .unwrap();
    assert_eq!(stored.data.unwrap()["password"].0, b"second");

    let secrets: Api<Secret> = Api::namespaced(client(&namespace, CONTRIBUTOR), &namespace.name);
    assert!(secrets.get("atelier-credential-s3").await.is_err());
    assert!(secrets.list(&ListParams::default()).await.is_err());
    let refused = plugin(
        &namespace,
        READER,
        &[
            "credential",
            "store",
            "x",
            "-w",
            "team",
            "--from-literal=a=b",
        ],
    );
    assert!(refused.unwrap_err().contains("Forbidden"));
    let odd = plugin(
        &namespace,
        CONTRIBUTOR,
        &["credential", "store", "S3", "--from-literal=a=hunter2"],
    );
    let odd = odd.unwrap_err();
    assert!(odd.contains("a-z") && !odd.contains("hunter2"), "{odd}");
    namespace.finish().await;
}

#[tokio::test]
async fn nobody_else_makes_a_secret_of_a_reserved_name() {
    let namespace = team("reserved").await;
    let secret = |name: &str| -> Secret {
        serde_json::from_value(json!({"metadata": {"name": name}, "stringData": {"a": "b"}}))
            .unwrap()
    };
    let secrets = namespace.api::<Secret>();
    let params = PostParams::default();
    let refused = secrets
        .create(&params, &secret("atelier-credential-x"))
        .await;
    let refused = refused.unwrap_err().to_string();
    assert!(refused.contains("storecredential"), "{refused}");
    secrets
        .create(&params, &secret("credential-x"))
        .await
        .unwrap();
    namespace.finish().await;
}
