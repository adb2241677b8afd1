//! What the cluster makes of us: discovery, the controllers that walk through everything, webhooks, our absence.

use std::time::Duration;

use atelier_testkit::eventually;
use atelier_testkit::namespace::SLOW;
use atelier_testkit::wait::check;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use kube::api::{DeleteParams, PostParams};
use kube::{Api, ResourceExt as _};
use serde_json::{Value, json};

use crate::rights;
use crate::setup::{API_SERVICE, SERVICE, Setup, apply};

/// kubectl learns of the group without a complaint.
pub fn discovery(set: &Setup) {
    // Without a cache: another test's server may have been here.
    let resources = set.kubectl(&["api-resources", "--cached=false"], "");
    for complaint in ["error", "unable", "actions.atelier.dev", "couldn't"] {
        assert!(!resources.contains(complaint), "{resources}");
    }
    assert!(resources.contains("deployments"), "{resources}");
    let versions = set.kubectl(&["api-versions"], "");
    assert!(
        versions.contains("actions.atelier.dev/v1alpha1\n"),
        "{versions}"
    );
    let list = set.kubectl(&["get", "--raw", "/apis/actions.atelier.dev/v1alpha1"], "");
    let list: Value = serde_json::from_str(&list).unwrap();
    let names: Vec<_> = list["resources"]
        .as_array()
        .unwrap()
        .iter()
        .map(|r| r["name"].as_str().unwrap())
        .collect();
    assert_eq!(
        names,
        [
            "runs/cancel",
            "runs/log",
            "runs/why",
            "webservices/regeneratekey",
            "workspaces/proxy"
        ]
    );
}

/// The document goes through, and the API server's index leads to it.
pub async fn openapi(set: &Setup) {
    let path = "/openapi/v3/apis/actions.atelier.dev/v1alpha1";
    let document = eventually(SLOW, "the API server has the document", async || {
        let (done, out) = set.namespace.cluster.kubectl(&["get", "--raw", path], "");
        if done { Ok(out) } else { Err(out) }
    })
    .await;
    let document: Value = serde_json::from_str(&document).unwrap();
    let schema = &document["components"]["schemas"]["dev.atelier.actions.v1alpha1.KeyRegeneration"];
    let values = &schema["properties"]["keyType"]["enum"];
    assert_eq!(values, &json!(["Primary", "Secondary"]));
    let index: Value =
        serde_json::from_str(&set.kubectl(&["get", "--raw", "/openapi/v3"], "")).unwrap();
    let url = &index["paths"]["apis/actions.atelier.dev/v1alpha1"]["serverRelativeURL"];
    let url = url.as_str().unwrap();
    assert!(url.starts_with(&format!("{path}?hash=")), "{url}");
    set.kubectl(&["get", "--raw", url], "");
    set.kubectl(&["get", "--raw", "/openapi/v2"], "");
}

/// What walks through all that the API server has is not held up.
pub async fn collector_and_namespaces(set: &Setup) {
    let api: Api<ConfigMap> = set.namespace.api();
    let owner = create(&api, json!({"metadata": {"name": "owner"}})).await;
    let reference =
        json!({"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": owner.uid()});
    create(
        &api,
        json!({"metadata": {"name": "owned", "ownerReferences": [reference]}}),
    )
    .await;
    set.namespace.delete::<ConfigMap>("owner").await;
    set.namespace.gone::<ConfigMap>("owned", None, SLOW).await;

    let namespaces: Api<Namespace> = Api::all(set.namespace.cluster.client.clone());
    let name = format!("{}-other", set.namespace.name);
    create(&namespaces, json!({"metadata": {"name": name}})).await;
    delete_namespace(&namespaces, &name).await;
    gone(&namespaces, &name).await;
}

/// The API server calls a webhook on the same port, without a certificate of its own.
pub async fn webhook(set: &Setup) {
    let name = set.namespace.name.clone();
    let configuration = json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": name},
        "webhooks": [{
            "name": "configmaps.actions.atelier.dev", "admissionReviewVersions": ["v1"], "sideEffects": "None",
            "failurePolicy": "Fail", "timeoutSeconds": 5,
            "clientConfig": {
                "caBundle": set.ca_bundle,
                "service": {"namespace": name, "name": SERVICE, "path": "/admit/configmaps"},
            },
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": name}},
            "rules": [{
                "apiGroups": [""], "apiVersions": ["v1"], "resources": ["configmaps"], "operations": ["CREATE"],
            }],
        }],
    });
    apply(&set.namespace, vec![configuration]);
    let api: Api<ConfigMap> = set.namespace.api();
    let refused = async |name: &str| {
        let object = serde_json::from_value(json!({"metadata": {"name": name}})).unwrap();
        let error = api
            .create(
                &PostParams {
                    dry_run: true,
                    ..PostParams::default()
                },
                &object,
            )
            .await;
        error.err().map(|e| e.to_string()).unwrap_or_default()
    };
    eventually(SLOW, "the webhook denies", async || {
        let message = refused("bad").await;
        check(message.contains("admin may not make a bad one"), message)
    })
    .await;
    let message = refused("broken").await;
    assert!(
        message.contains("Atelier could not decide: a defect of the webhook"),
        "{message}"
    );
    assert_eq!(refused("good").await, "");
    set.kubectl(&["delete", "validatingwebhookconfiguration", &name], "");
}

/// While nobody serves, no namespace finishes deleting; without the APIService they do at once.
pub async fn absence(mut set: Setup) {
    set.stop.cancel();
    (&mut set.running).await.unwrap().unwrap();
    let namespaces: Api<Namespace> = Api::all(set.namespace.cluster.client.clone());
    let name = format!("{}-held", set.namespace.name);
    create(&namespaces, json!({"metadata": {"name": name}})).await;
    set.available("False").await;
    delete_namespace(&namespaces, &name).await;
    eventually(SLOW, "the namespace says what holds it", async || {
        let found = namespaces.get(&name).await.map_err(|e| e.to_string())?;
        let conditions = found.status.and_then(|s| s.conditions).unwrap_or_default();
        let failed = conditions
            .iter()
            .any(|c| c.type_ == "NamespaceDeletionDiscoveryFailure" && c.status == "True");
        check(failed, conditions)
    })
    .await;
    set.namespace
        .cluster
        .kubectl(&["delete", "apiservice", API_SERVICE, "--wait=false"], "");
    gone(&namespaces, &name).await;

    let own = set.namespace.name.clone();
    let objects = rights::of_server(&own);
    let list = json!({"apiVersion": "v1", "kind": "List", "items": objects}).to_string();
    set.namespace
        .cluster
        .kubectl(&["delete", "--wait=false", "-f", "-"], &list);
    set.namespace.finish().await;
}

async fn create<K>(api: &Api<K>, object: Value) -> K
where
    K: Clone + serde::de::DeserializeOwned + serde::Serialize + std::fmt::Debug,
{
    let object: K = serde_json::from_value(object).unwrap();
    api.create(&PostParams::default(), &object).await.unwrap()
}

async fn delete_namespace(api: &Api<Namespace>, name: &str) {
    api.delete(name, &DeleteParams::background()).await.unwrap();
}

async fn gone(api: &Api<Namespace>, name: &str) {
    let sentence = format!("the namespace {name} is gone");
    eventually(Duration::from_secs(120), &sentence, async || {
        let found = api.get_opt(name).await.map_err(|e| e.to_string())?;
        check(found.is_none(), found)
    })
    .await;
}
