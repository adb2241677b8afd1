//! From what a workspace says of its storage to a connection.

use std::collections::BTreeMap;
use std::time::Duration;

use atelier_api::Workspace;
use atelier_api::conditions::reasons;
use atelier_api::v1alpha1::{Storage, StorageType};
use atelier_storage::{Connection, Credential, Limits, Place, Trust};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::{Api, ResourceExt as _};
use zeroize::Zeroizing;

use super::build;
use super::embedded::is_key;
use super::{Problem, Trouble};
use crate::ctx::Ctx;
use crate::kit::Error;

/// A probe is tried again soon; it need not be patient itself.
pub const LIMITS: Limits = Limits {
    connect: Duration::from_secs(5),
    idle: Duration::from_secs(10),
    retries: 1,
    give_up: Duration::from_secs(10),
};

/// Where it is, for people: the server's URL and the bucket.
pub fn shown(workspace: &Workspace) -> Option<(String, String)> {
    let place = place(workspace)?;
    Some((place.endpoint(), place.bucket().to_owned()))
}

/// The connection, with its credential as it is at this moment.
pub async fn connection(workspace: &Workspace, ctx: &Ctx) -> Result<Connection, Trouble> {
    let storage = &workspace.spec.storage;
    let namespace = workspace.namespace().unwrap_or_default();
    let place = place(workspace).ok_or_else(|| {
        let why = format!(
            "spec.storage says nothing of its type {}",
            storage.type_.as_str()
        );
        Problem::new(reasons::STORAGE_MISCONFIGURED, why)
    })?;
    let trust = trust(storage, ctx)?;
    let own = build::name(&workspace.name_any());
    let name = storage.secret().unwrap_or(&own);
    let values = read(ctx, &namespace, name).await?;
    Ok(Connection {
        credential: credential(storage.type_, name, &values)?,
        place,
        trust,
        limits: LIMITS,
    })
}

/// Where it is. `None` if there is none, or the spec lacks what its type takes, which the API server does not let be.
fn place(workspace: &Workspace) -> Option<Place> {
    let storage = &workspace.spec.storage;
    let namespace = workspace.namespace().unwrap_or_default();
    Some(match storage.type_ {
        StorageType::Embedded => Place::Embedded {
            endpoint: build::endpoint(&workspace.name_any(), &namespace),
            bucket: build::BUCKET.into(),
        },
        StorageType::S3 => {
            let s3 = storage.s3.clone()?;
            Place::S3 {
                endpoint: s3.endpoint,
                region: s3.region,
                bucket: s3.bucket,
                prefix: s3.prefix,
            }
        }
        StorageType::AzureBlob => {
            let azure = storage.azure_blob.clone()?;
            Place::AzureBlob {
                endpoint: azure.endpoint,
                account: azure.account,
                container: azure.container,
                prefix: azure.prefix,
            }
        }
        StorageType::Gcs => {
            let gcs = storage.gcs.clone()?;
            Place::Gcs {
                endpoint: gcs.endpoint,
                bucket: gcs.bucket,
                prefix: gcs.prefix,
            }
        }
        StorageType::None => return None,
    })
}

/// Who vouches for the server: of a workspace's own, our authority; of a brought one, whom the spec names, or the public.
fn trust(storage: &Storage, ctx: &Ctx) -> Result<Trust, Problem> {
    if storage.type_ == StorageType::Embedded {
        return own_authority(ctx);
    }
    let s3 = storage.s3.as_ref().and_then(|s3| s3.ca_bundle.clone());
    let (azure, gcs) = (storage.azure_blob.as_ref(), storage.gcs.as_ref());
    let bundle = s3.or_else(|| azure?.ca_bundle.clone());
    let bundle = bundle.or_else(|| gcs?.ca_bundle.clone());
    Ok(bundle.map_or(Trust::Public, Trust::Bundle))
}

/// The installation's own authority, which signs the certificates of servers of ours.
pub fn own_authority(ctx: &Ctx) -> Result<Trust, Problem> {
    let authorities = ctx.issuer.as_ref().and_then(|issuer| issuer.bundle());
    authorities.map(Trust::Bundle).ok_or_else(|| {
        let why = "the certificate authority is not known yet".to_owned();
        Problem::new(reasons::STORAGE_STARTING, why)
    })
}

/// What a Secret holds. Gone from memory with whoever asked.
pub type Values = BTreeMap<String, Zeroizing<Vec<u8>>>;

/// Reads a Secret.
pub async fn read(ctx: &Ctx, namespace: &str, name: &str) -> Result<Values, Trouble> {
    let api: Api<Secret> = Api::namespaced(ctx.client.clone(), namespace);
    let secret = api.get_opt(name).await;
    let secret = secret.map_err(Error::api(format!("get Secret {name}")))?;
    let secret = secret.ok_or_else(|| {
        let why = format!(
            "there is no Secret {name} in namespace {namespace}; make it, or store it by `kubectl atelier credential store`"
        );
        Problem::new(reasons::CREDENTIAL_MISSING, why)
    })?;
    let values = secret.data.unwrap_or_default().into_iter();
    Ok(values
        .map(|(name, ByteString(value))| (name, Zeroizing::new(value)))
        .collect())
}

/// The credential that a kind of storage needs, out of the values of a Secret.
pub fn credential(
    type_: StorageType,
    secret: &str,
    values: &Values,
) -> Result<Credential, Problem> {
    let text = |name: &str| {
        let value = values.get(name);
        let value = value.and_then(|value| std::str::from_utf8(value).ok());
        // Editors and `echo` leave a line's end behind.
        let value = value.map(str::trim).filter(|value| !value.is_empty());
        value
            .map(|value| Zeroizing::new(value.to_owned()))
            .ok_or_else(|| {
                let why = format!("Secret {secret} lacks {name}, or it is empty or no text");
                Problem::new(reasons::CREDENTIAL_MISSING, why)
            })
    };
    match type_ {
        StorageType::Embedded => {
            let mut keys = values.iter();
            let key = keys.find(|(id, value)| is_key(id, value.len()));
            let (id, _) = key.ok_or_else(|| {
                let why = format!("Secret {secret} has no access key yet");
                Problem::new(reasons::STORAGE_STARTING, why)
            })?;
            Ok(Credential::AccessKey {
                id: id.clone(),
                secret: text(id)?,
            })
        }
        StorageType::S3 => Ok(Credential::AccessKey {
            id: text("accessKeyId")?.to_string(),
            secret: text("secretAccessKey")?,
        }),
        StorageType::AzureBlob => Ok(Credential::AccountKey(text("accountKey")?)),
        StorageType::Gcs => Ok(Credential::ServiceAccount(text("serviceAccount.json")?)),
        StorageType::None => Err(Problem::new(
            reasons::STORAGE_MISCONFIGURED,
            "spec.storage.type is None".to_owned(),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(pairs: &[(&str, &str)]) -> Values {
        let pair = |(name, value): &(&str, &str)| {
            let value = Zeroizing::new(value.as_bytes().to_vec());
            ((*name).to_owned(), value)
        };
        pairs.iter().map(pair).collect()
    }

    #[test]
    fn each_kind_of_storage_says_which_value_its_secret_lacks() {
        for (type_, needed) in [
            (StorageType::S3, "accessKeyId"),
            (StorageType::AzureBlob, "accountKey"),
            (StorageType::Gcs, "serviceAccount.json"),
        ] {
            let problem = credential(type_, "s", &values(&[("other", "x"), (needed, " \n")]));
            let problem = problem.expect_err("an empty value");
            assert_eq!(problem.reason, reasons::CREDENTIAL_MISSING);
            assert!(problem.message.contains(needed), "{}", problem.message);
        }
    }

    #[test]
    fn a_line_end_after_a_credential_is_none_of_it() {
        let values = values(&[("accessKeyId", "id\n"), ("secretAccessKey", "secret\r\n")]);
        let credential = credential(StorageType::S3, "s", &values);
        let Ok(Credential::AccessKey { id, secret }) = credential else {
            unreachable!("an access key");
        };
        assert_eq!((id.as_str(), secret.as_str()), ("id", "secret"));
    }
}
