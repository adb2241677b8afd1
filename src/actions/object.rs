//! The object that an action is about.

use std::fmt::Debug;

use atelier_api::GROUP;
use atelier_apiserver::{Call, Refusal};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{Patch, PatchParams};
use kube::core::NamespaceResourceScope;
use kube::{Api, Client, Resource};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// `fieldManager` of what actions write.
pub const MANAGER: &str = "atelier-action";
/// How often to try when a status changes at the same time.
const TRIES: usize = 8;

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

/// What an action finds that asks for something in an object's status.
pub enum Found<T> {
    /// There is nothing to ask for: the answer.
    Already(T),
    /// These fields of the status ask for it; and the answer once they do.
    Ask(Value, T),
}

/// Asks for something in the object's status: the spec is its author's, and who applies it again would undo it. `look`
/// judges the object as it is, again each time that somebody else writes meanwhile.
pub async fn ask_for<K, T>(
    client: &Client,
    call: &Call,
    what: &str,
    look: impl Fn(&K) -> Found<T>,
) -> Result<T, Refusal>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Clone
        + Debug
        + DeserializeOwned,
{
    let api: Api<K> = Api::namespaced(client.clone(), &call.object.namespace);
    let params = PatchParams {
        field_manager: Some(MANAGER.into()),
        ..PatchParams::default()
    };
    for _ in 0..TRIES {
        let object: K = get(client, call).await?;
        let (fields, answer) = match look(&object) {
            Found::Already(answer) => return Ok(answer),
            Found::Ask(fields, answer) => (fields, answer),
        };
        let meta = object.meta();
        let patch = json!({
            "metadata": {"uid": meta.uid, "resourceVersion": meta.resource_version},
            "status": fields,
        });
        let name = &call.object.name;
        match api.patch_status(name, &params, &Patch::Merge(patch)).await {
            Ok(_) => return Ok(answer),
            Err(kube::Error::Api(status)) if status.code == 409 => {}
            Err(error) => return Err(Refusal::from_api(&format!("note {what}"), &error)),
        }
    }
    let kind = K::kind(&()).to_lowercase();
    Err(Refusal::conflict(format!(
        "the {kind}'s status changes all the time; ask again"
    )))
}

/// Name and namespace, for an answer.
pub fn named(call: &Call) -> ObjectMeta {
    ObjectMeta {
        name: Some(call.object.name.clone()),
        namespace: Some(call.object.namespace.clone()),
        ..ObjectMeta::default()
    }
}
