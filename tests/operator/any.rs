//! Objects of any kind, as JSON: for tests that treat many kinds alike.

use atelier_testkit::TestNamespace;
use kube::api::{ApiResource, DynamicObject, PostParams};
use kube::core::GroupVersionKind;
use kube::{Api, Client};
use serde_json::{Value, json};

/// Our five kinds.
pub const OURS: [&str; 5] = [
    "Workspace",
    "RoleAssignment",
    "ComputeTarget",
    "Run",
    "WebService",
];
/// The kinds of what we make.
pub const CHILDREN: [&str; 7] = [
    "ServiceAccount",
    "Role",
    "RoleBinding",
    "Secret",
    "Service",
    "Deployment",
    "Pod",
];

fn resource(kind: &str) -> ApiResource {
    let (group, version) = match kind {
        "Role" | "RoleBinding" => ("rbac.authorization.k8s.io", "v1"),
        "Deployment" => ("apps", "v1"),
        ours if OURS.contains(&ours) => ("atelier.dev", "v1alpha1"),
        _ => ("", "v1"),
    };
    ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind))
}

/// The API of a kind in a namespace, for a client.
pub fn api_as(client: Client, namespace: &str, kind: &str) -> Api<DynamicObject> {
    Api::namespaced_with(client, namespace, &resource(kind))
}

/// The API of a kind in a test's namespace, for the administrator.
pub fn api(namespace: &TestNamespace, kind: &str) -> Api<DynamicObject> {
    api_as(namespace.cluster.client.clone(), &namespace.name, kind)
}

/// An object from JSON; kind and version may be left out.
pub fn object(kind: &str, mut manifest: Value) -> DynamicObject {
    let resource = resource(kind);
    manifest["apiVersion"] = json!(resource.api_version);
    manifest["kind"] = json!(kind);
    serde_json::from_value(manifest).unwrap()
}

/// An object as JSON.
pub fn json_of(object: &DynamicObject) -> Value {
    serde_json::to_value(object).unwrap()
}

/// Creates an object as the administrator.
pub async fn create(namespace: &TestNamespace, kind: &str, manifest: Value) -> DynamicObject {
    api(namespace, kind)
        .create(&PostParams::default(), &object(kind, manifest))
        .await
        .unwrap()
}

/// An API error's code and message; `(0, "")` if there was none.
pub fn refusal<T>(result: Result<T, kube::Error>) -> (u16, String) {
    match result {
        Ok(_) => (0, String::new()),
        Err(kube::Error::Api(status)) => (status.code, status.message),
        Err(error) => panic!("no answer of the API server: {error}"),
    }
}

/// An object without what is the API server's and its controllers' business.
pub fn normal(mut object: Value) -> Value {
    object.as_object_mut().unwrap().remove("status");
    let metadata = object["metadata"].as_object_mut().unwrap();
    for field in [
        "uid",
        "resourceVersion",
        "generation",
        "creationTimestamp",
        "managedFields",
    ] {
        metadata.remove(field);
    }
    if let Some(annotations) = metadata
        .get_mut("annotations")
        .and_then(Value::as_object_mut)
    {
        annotations.remove("deployment.kubernetes.io/revision");
        // A placeholder that is made anew is idle anew.
        annotations.remove("atelier.dev/idle-since");
    }
    if let Some(spec) = object.get_mut("spec").and_then(Value::as_object_mut) {
        for field in ["clusterIP", "clusterIPs", "nodeName"] {
            spec.remove(field);
        }
    }
    object
}
