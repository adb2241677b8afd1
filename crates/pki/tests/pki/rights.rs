//! Exactly the rights that the authority of an installation takes.

use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, Role, RoleBinding};
use kube::Api;
use kube::api::PostParams;
use serde_json::{Value, json};

use crate::bench::{ASKING, AUTHORITY, Bench, SERVING};

impl Bench {
    /// All that it takes.
    pub async fn give_rights(&self) {
        let name = &self.ns.name;
        let subject = json!([{"kind": "ServiceAccount", "name": "operator", "namespace": name}]);
        let role =
            |kind| json!({"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": name});
        self.ns
            .create::<Role>(json!({"metadata": {"name": name}, "rules": [
                {"apiGroups": [""], "resources": ["secrets"], "verbs": ["create"]},
                {"apiGroups": [""], "resources": ["secrets"], "resourceNames": [AUTHORITY, SERVING, ASKING],
                 "verbs": ["get", "list", "watch", "update"]},
            ]}))
            .await;
        self.ns
            .create::<RoleBinding>(
                json!({"metadata": {"name": name}, "roleRef": role("Role"), "subjects": subject}),
            )
            .await;
        self.create_global::<ClusterRole>(json!({"metadata": {"name": name}, "rules": [
            {"apiGroups": ["admissionregistration.k8s.io"], "resources": ["validatingwebhookconfigurations"],
             "resourceNames": [name], "verbs": ["get", "list", "watch", "patch"]},
        ]}))
        .await;
        self.create_global::<ClusterRoleBinding>(
            json!({"metadata": {"name": name}, "roleRef": role("ClusterRole"), "subjects": subject}),
        )
        .await;
    }

    pub async fn create_global<K>(&self, manifest: Value) -> K
    where
        K: kube::Resource<DynamicType = (), Scope = k8s_openapi::ClusterResourceScope>
            + Clone
            + std::fmt::Debug
            + serde::de::DeserializeOwned
            + serde::Serialize,
    {
        let object = serde_json::from_value(manifest).unwrap();
        let api: Api<K> = Api::all(self.ns.cluster.client.clone());
        api.create(&PostParams::default(), &object).await.unwrap()
    }
}
