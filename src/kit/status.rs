//! Writes a status when, and only when, it differs.

use std::fmt::Debug;

use kube::api::{Patch, PatchParams};
use kube::core::NamespaceResourceScope;
use kube::{Api, Client, Resource};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use super::error::Error;
use crate::leader::Claim;

/// Field manager of every status.
const MANAGER: &str = "atelier-status";

/// Writes `after` if it differs from `before`, on the version of the object that it was decided on. Says whether it
/// was written.
pub async fn write<K, S>(
    client: &Client,
    claim: &Claim,
    object: &K,
    before: Option<&S>,
    after: &S,
) -> Result<bool, Error>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Clone
        + Debug
        + DeserializeOwned,
    S: Serialize + PartialEq,
{
    if before == Some(after) {
        return Ok(false);
    }
    claim.check()?;
    let meta = object.meta();
    let (name, namespace) = (
        meta.name.clone().unwrap_or_default(),
        meta.namespace.clone().unwrap_or_default(),
    );
    let body = json!({
        "apiVersion": K::api_version(&()),
        "kind": K::kind(&()),
        // With uid and version a status lands only on what it was decided on, whoever leads by now.
        "metadata": {"name": name, "namespace": namespace, "uid": meta.uid, "resourceVersion": meta.resource_version},
        "status": after,
    });
    let api: Api<K> = Api::namespaced(client.clone(), &namespace);
    let params = PatchParams::apply(MANAGER).force();
    let written = api.patch_status(&name, &params, &Patch::Apply(&body)).await;
    let what = format!("write the status of {} {name}", K::kind(&()));
    written.map_err(Error::write(&name, what))?;
    Ok(true)
}
