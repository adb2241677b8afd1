//! What the server needs of the cluster, and what one of its callers has.

use serde_json::{Value, json};

/// All that the server itself may do: ask whether others may, and read who the API server's proxy is.
pub fn of_server(namespace: &str) -> Vec<Value> {
    let subject = json!({"kind": "ServiceAccount", "name": "actions", "namespace": namespace});
    let rbac = "rbac.authorization.k8s.io/v1";
    let role = |kind: &str, name: &str| json!({"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": name});
    vec![
        json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "actions", "namespace": namespace}}),
        json!({
            "apiVersion": rbac, "kind": "ClusterRole", "metadata": {"name": format!("{namespace}-reviews")},
            "rules": [{
                "apiGroups": ["authorization.k8s.io"], "resources": ["subjectaccessreviews"], "verbs": ["create"],
            }],
        }),
        json!({
            "apiVersion": rbac, "kind": "ClusterRoleBinding", "metadata": {"name": format!("{namespace}-reviews")},
            "roleRef": role("ClusterRole", &format!("{namespace}-reviews")), "subjects": [subject],
        }),
        json!({
            "apiVersion": rbac, "kind": "RoleBinding",
            "metadata": {"name": format!("{namespace}-front-proxy"), "namespace": "kube-system"},
            "roleRef": role("Role", "extension-apiserver-authentication-reader"), "subjects": [subject],
        }),
    ]
}

/// A role with rules on actions only, for one user.
pub fn of_caller(namespace: &str, user: &str) -> Vec<Value> {
    let rule = |resource: &str, verbs: &[&str]| {
        json!({
            "apiGroups": ["actions.atelier.dev"], "resources": [resource], "verbs": verbs,
        })
    };
    vec![
        json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role",
            "metadata": {"name": "actor", "namespace": namespace},
            "rules": [
                rule("runs/why", &["get"]), rule("runs/cancel", &["create"]), rule("runs/log", &["get"]),
                rule("webservices/regeneratekey", &["create"]),
            ],
        }),
        json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
            "metadata": {"name": "actor", "namespace": namespace},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "actor"},
            "subjects": [{"kind": "User", "name": user, "apiGroup": "rbac.authorization.k8s.io"}],
        }),
    ]
}
