//! The object that an action is about.

use std::fmt::Debug;

use atelier_api::GROUP;
use atelier_apiserver::{Call, Refusal};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::core::NamespaceResourceScope;
use kube::{Api, Client, Resource};
use serde::de::DeserializeOwned;

/// Reads the object, or refuses: it does not exist, or is about not to.
pub async fn get<K>(client: &Client, call: &Call) -> Result<K, Refusal>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Clone
        + Debug
        + DeserializeOwned,
{
    let (name, plural) = (&call.object.name, K::plural(&()));
    let api: Api<K> = Api::namespaced(client.clone(), &call.object.namespace);
    let what = format!("get {plural}.{GROUP} {name}");
    let found = api.get_opt(name).await;
    let found = found.map_err(|error| Refusal::from_api(&what, &error))?;
    let found = found.ok_or_else(|| Refusal::not_found(&call.object, &plural, GROUP))?;
    if found.meta().deletion_timestamp.is_some() {
        let gone = format!("{plural}.{GROUP} {name:?} is being deleted");
        return Err(Refusal::conflict(gone).about(&call.object, &plural, GROUP));
    }
    Ok(found)
}

/// Name and namespace, for an answer.
pub fn named(call: &Call) -> ObjectMeta {
    ObjectMeta {
        name: Some(call.object.name.clone()),
        namespace: Some(call.object.namespace.clone()),
        ..ObjectMeta::default()
    }
}
