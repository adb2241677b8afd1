//! Who is told by a `caBundle` whom to trust.

use k8s_openapi::ByteString;
use kube::api::{ApiResource, DynamicObject, GroupVersionKind};
use serde_json::{Value, json};

/// An object whose `caBundle` is kept right. It is made by others; one that does not exist is waited for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Its kind.
    pub kind: TargetKind,
    /// Its name.
    pub name: String,
    /// Of a webhook configuration: the webhooks that are ours, by name. All of them if empty.
    pub webhooks: Vec<String>,
}

/// The kinds that have a `caBundle`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TargetKind {
    /// `ValidatingWebhookConfiguration`.
    Validating,
    /// `MutatingWebhookConfiguration`.
    Mutating,
    /// `APIService`.
    ApiService,
}

impl Target {
    /// All webhooks of a configuration, or an `APIService`.
    pub fn new(kind: TargetKind, name: impl Into<String>) -> Self {
        Self {
            kind,
            name: name.into(),
            webhooks: Vec::new(),
        }
    }

    pub(crate) fn resource(&self) -> ApiResource {
        let (group, kind, plural) = match self.kind {
            TargetKind::Validating => (
                "admissionregistration.k8s.io",
                "ValidatingWebhookConfiguration",
                "validatingwebhookconfigurations",
            ),
            TargetKind::Mutating => (
                "admissionregistration.k8s.io",
                "MutatingWebhookConfiguration",
                "mutatingwebhookconfigurations",
            ),
            TargetKind::ApiService => ("apiregistration.k8s.io", "APIService", "apiservices"),
        };
        ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, "v1", kind), plural)
    }

    /// The patch that makes it trust the bundle and nobody else; `None` if it does. It carries the version that it was
    /// made for, and nothing that it does not change: what a newer API server adds to these kinds stays.
    pub(crate) fn correction(&self, live: &DynamicObject, bundle: &str) -> Option<Value> {
        let wanted = json!(ByteString(bundle.as_bytes().to_vec()));
        let change = match self.kind {
            TargetKind::ApiService => {
                let found = live.data.pointer("/spec/caBundle");
                (found != Some(&wanted)).then(|| json!({"spec": {"caBundle": wanted}}))
            }
            TargetKind::Validating | TargetKind::Mutating => {
                let wrong = self.wrong(live, &wanted);
                let client = json!({"caBundle": wanted});
                let fix = |name| json!({"name": name, "clientConfig": client});
                let fixes: Vec<_> = wrong.into_iter().map(fix).collect();
                (!fixes.is_empty()).then(|| json!({"webhooks": fixes}))
            }
        };
        change.map(|mut change| {
            change["metadata"] = json!({
                "uid": live.metadata.uid,
                "resourceVersion": live.metadata.resource_version,
            });
            change
        })
    }

    /// The names of our webhooks that trust somebody else.
    fn wrong<'a>(&self, live: &'a DynamicObject, wanted: &Value) -> Vec<&'a str> {
        let webhooks = live.data.get("webhooks").and_then(Value::as_array);
        let webhooks = webhooks.map(Vec::as_slice).unwrap_or_default();
        let wrong = webhooks
            .iter()
            .filter(|webhook| webhook.pointer("/clientConfig/caBundle") != Some(wanted));
        let names = wrong.filter_map(|webhook| webhook.get("name")?.as_str());
        names
            .filter(|name| self.webhooks.is_empty() || self.webhooks.iter().any(|w| w == name))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(value: Value) -> DynamicObject {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn only_what_differs_is_patched_and_only_in_our_webhooks() {
        let live = object(json!({
            "metadata": {"name": "a", "uid": "u", "resourceVersion": "7"},
            "webhooks": [
                {"name": "right", "clientConfig": {"caBundle": "Yg=="}},
                {"name": "wrong", "clientConfig": {"caBundle": "eA=="}},
                {"name": "none", "clientConfig": {"service": {}}},
            ],
        }));
        let mut target = Target::new(TargetKind::Validating, "a");
        let patch = target.correction(&live, "b").unwrap();
        let fix = |name| json!({"name": name, "clientConfig": {"caBundle": "Yg=="}});
        assert_eq!(
            patch,
            json!({
                "metadata": {"uid": "u", "resourceVersion": "7"},
                "webhooks": [fix("wrong"), fix("none")],
            })
        );
        target.webhooks = vec!["none".into()];
        let patch = target.correction(&live, "b").unwrap();
        assert_eq!(patch["webhooks"], json!([fix("none")]));
        target.webhooks = vec!["right".into()];
        assert_eq!(target.correction(&live, "b"), None);
    }

    #[test]
    fn an_api_service_has_one_bundle() {
        let live = |bundle: Value| {
            object(json!({"metadata": {"name": "a"}, "spec": {"group": "g", "caBundle": bundle}}))
        };
        let target = Target::new(TargetKind::ApiService, "v1.g");
        assert_eq!(target.correction(&live(json!("Yg==")), "b"), None);
        let patch = target.correction(&live(Value::Null), "b").unwrap();
        assert_eq!(patch["spec"], json!({"caBundle": "Yg=="}));
    }
}
