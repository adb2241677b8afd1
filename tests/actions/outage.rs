//! Without an operator: what waits for it, and what does not.

use atelier_api::Run;
use atelier_testkit::manifest::run;
use atelier_testkit::namespace::SLOW;
use atelier_testkit::wait::check;
use atelier_testkit::{TestNamespace, eventually, operator};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use kube::Api;
use kube::api::DeleteParams;
use serde_json::json;

use crate::team::{CONTRIBUTOR, READER, plugin, team};
use crate::tokens::{status, token, with_tokens};

#[tokio::test]
async fn only_new_runs_and_actions_wait_for_an_operator_that_is_away() {
    let namespace = team("away").await;
    let other = TestNamespace::with_labels("other", json!({})).await;
    namespace.create::<Run>(run("first", "none", "true")).await;
    let way = with_tokens(&namespace, "model", json!({})).await;
    let token = token(&namespace, READER, "model").unwrap();
    let away = operator::away(&namespace.cluster).await;

    let refused = namespace
        .try_create::<Run>(run("second", "none", "true"))
        .await;
    let refused = refused.unwrap_err().to_string();
    assert!(refused.contains("created-by.atelier.dev"), "{refused}");
    let silent = plugin(&namespace, CONTRIBUTOR, &["cancel", "first"]).unwrap_err();
    assert!(
        silent.contains("nobody answers for actions.atelier.dev"),
        "{silent}"
    );

    // Who has a token goes on scoring.
    for _ in 0..10 {
        assert_eq!(status(&way, &token).await, 200);
    }

    // Labels are nobody's business but the author's, a deletion is not held up, and what is not ours does not notice.
    namespace
        .patch::<Run>("first", json!({"metadata": {"labels": {"a": "b"}}}))
        .await
        .unwrap();
    namespace.delete::<Run>("first").await;
    namespace.gone::<Run>("first", None, SLOW).await;
    let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}});
    other.create::<ConfigMap>(map).await;
    let namespaces: Api<Namespace> = Api::all(other.cluster.client.clone());
    namespaces
        .delete(&other.name, &DeleteParams::default())
        .await
        .unwrap();

    away.back().await;
    drop(away);
    eventually(SLOW, "the namespace is gone", async || {
        let left = namespaces.get_opt(&other.name).await.unwrap();
        check(left.is_none(), left.and_then(|n| n.status))
    })
    .await;
    namespace.finish().await;
}
