//! `workspaces/storecredential`: in, and never out again.

use std::collections::BTreeMap;

use atelier_api::actions::{CREDENTIAL_PREFIX, CredentialStorage, Kinded as _, StoredCredential};
use atelier_api::{Workspace, labels};
use atelier_apiserver::{Call, Reason, Refusal};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Api;
use kube::api::PostParams;

use super::Deps;
use super::object::{MANAGER, get, named};

/// Longest name: with the prefix it is still a name of one label.
const LONGEST_NAME: usize = 63 - CREDENTIAL_PREFIX.len();
/// How much all values may have together, in bytes: well under what a Secret may.
const LARGEST: usize = 512 * 1024;
const TRIES: usize = 5;

/// Makes the Secret, or gives it new values. What is not given any more is taken out.
pub async fn store(
    deps: Deps,
    call: Call,
    credential: CredentialStorage,
) -> Result<StoredCredential, Refusal> {
    check(&credential)?;
    let _: Workspace = get(&deps.client, &call).await?;
    let api: Api<Secret> = Api::namespaced(deps.client.clone(), &call.object.namespace);
    let wanted = secret(&call, credential);
    let name = wanted.metadata.name.clone().unwrap_or_default();
    let params = PostParams {
        field_manager: Some(MANAGER.into()),
        ..PostParams::default()
    };
    for _ in 0..TRIES {
        let live = api.get_opt(&name).await;
        let live = live.map_err(|error| Refusal::from_api("look for the credential", &error))?;
        let replaced = live.is_some();
        let written = match live {
            None => api.create(&params, &wanted).await,
            Some(live) => api.replace(&name, &params, &renewed(live, &wanted)).await,
        };
        match written {
            Ok(_) => return Ok(stored(&call, &wanted, replaced)),
            Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => {}
            Err(kube::Error::Api(status)) if matches!(status.code, 403 | 422) => {
                return Err(Refusal::new(Reason::Invalid, status.message.clone()));
            }
            Err(error) => return Err(Refusal::from_api("store the credential", &error)),
        }
    }
    Err(Refusal::conflict(
        "somebody else stores this credential all the time; ask again",
    ))
}

/// Says what is wrong without repeating a value.
fn check(credential: &CredentialStorage) -> Result<(), Refusal> {
    let invalid = |field: &str, what: String| {
        Err(Refusal::new(Reason::Invalid, what.clone()).cause(field, "FieldValueInvalid", what))
    };
    let name = &credential.name;
    let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let edge = |c: Option<char>| c.is_some_and(|c| inner(c) && c != '-');
    let fits = name.len() <= LONGEST_NAME && name.chars().all(inner);
    if !fits || !edge(name.chars().next()) || !edge(name.chars().last()) {
        return invalid(
            "name",
            format!(
                "a credential's name has at most {LONGEST_NAME} characters, holds only a-z, 0-9 and -, and begins and ends with none of the last"
            ),
        );
    }
    if name.starts_with(CREDENTIAL_PREFIX) {
        return invalid(
            "name",
            format!("leave {CREDENTIAL_PREFIX} out: it is put before the name"),
        );
    }
    if credential.data.is_empty() {
        return invalid("data", "a credential has at least one value".into());
    }
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let is_key = |key: &String| !key.is_empty() && key.len() <= 253 && key.chars().all(allowed);
    if !credential.data.keys().all(is_key) {
        return invalid(
            "data",
            "names of values hold only letters, digits, -, _ and .".into(),
        );
    }
    if credential.data.values().map(String::len).sum::<usize>() > LARGEST {
        return invalid(
            "data",
            format!("all values together have at most {LARGEST} bytes"),
        );
    }
    Ok(())
}

fn secret(call: &Call, credential: CredentialStorage) -> Secret {
    let pairs = [
        ("app.kubernetes.io/part-of", "atelier"),
        ("app.kubernetes.io/component", "credential"),
        (labels::WORKSPACE, call.object.name.as_str()),
    ];
    let pairs = pairs.map(|(key, value)| (key.to_owned(), value.to_owned()));
    let bytes = |value: String| ByteString(value.into_bytes());
    let data = credential.data.into_iter();
    Secret {
        metadata: ObjectMeta {
            name: Some(format!("{CREDENTIAL_PREFIX}{}", credential.name)),
            namespace: Some(call.object.namespace.clone()),
            labels: Some(BTreeMap::from(pairs)),
            ..ObjectMeta::default()
        },
        data: Some(data.map(|(key, value)| (key, bytes(value))).collect()),
        type_: Some("Opaque".into()),
        ..Secret::default()
    }
}

/// What others noted on it stays; its version says that nobody wrote meanwhile.
fn renewed(live: Secret, wanted: &Secret) -> Secret {
    Secret {
        data: wanted.data.clone(),
        ..live
    }
}

fn stored(call: &Call, secret: &Secret, replaced: bool) -> StoredCredential {
    StoredCredential {
        types: StoredCredential::types(),
        metadata: named(call),
        secret_name: secret.metadata.name.clone().unwrap_or_default(),
        keys: secret
            .data
            .iter()
            .flatten()
            .map(|(key, _)| key.clone())
            .collect(),
        replaced,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn credential(name: &str, data: &[(&str, &str)]) -> CredentialStorage {
        let pair = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
        CredentialStorage {
            types: None,
            name: name.into(),
            data: data.iter().map(pair).collect(),
        }
    }

    #[test]
    fn what_makes_no_secret_is_refused_and_no_value_repeated() {
        let good = [("password", "hunter2")];
        assert!(check(&credential("s3", &good)).is_ok());
        let long = "a".repeat(LONGEST_NAME + 1);
        for name in [
            "",
            "-a",
            "a-",
            "A",
            "a.b",
            "atelier-credential-a",
            long.as_str(),
        ] {
            assert!(check(&credential(name, &good)).is_err(), "{name}");
        }
        let large = "x".repeat(LARGEST);
        for data in [
            &[][..],
            &[("", "x")],
            &[("a b", "hunter2")],
            &[("a", &large), ("b", "y")],
        ] {
            let refusal = check(&credential("s3", data)).expect_err("no secret");
            assert_eq!(refusal.code(), 422);
            assert!(!refusal.to_string().contains("hunter2"));
        }
    }
}
