//! What an object must not hand down to the next of its name.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use kube::api::ListParams;

use super::stage::Stage;
use crate::dump::dump;

impl Stage<'_> {
    /// The pods and keys that the object under test has: names, by uid or value. Nothing, if it is not there.
    pub async fn possessions(&self) -> anyhow::Result<BTreeMap<String, String>> {
        let Some(own) = self.own().get_opt(self.subject.name).await? else {
            return Ok(BTreeMap::new());
        };
        let mut all = BTreeMap::new();
        for pod in self.user.api::<Pod>().list(&ListParams::default()).await? {
            let mut owners = pod.owner_references().iter();
            if owners.any(|owner| Some(&owner.uid) == own.metadata.uid.as_ref()) {
                let name = format!("Pod {}", pod.name_any());
                all.insert(pod.uid().unwrap_or_default(), name);
            }
        }
        if self.subject.kind == "WebService" {
            let keys = dump(&self.user).await?.keys;
            all.extend(
                keys.into_iter()
                    .map(|(entry, key)| (key, format!("key {entry}"))),
            );
        }
        Ok(all)
    }
}
