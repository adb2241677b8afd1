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
const LIMITS: Limits = Limits {
    connect: Duration::from_secs(5),
    idle: Duration::from_secs(10),
    retries: 1,
    give_up: Duration::from_secs(10),
};

/// Where it is, for people: the server's URL and the bucket.
pub fn shown(workspace: &Workspace) -> Option<(String, String)> {
    let storage = &workspace.spec.storage;
    let namespace = workspace.namespace().unwrap_or_default();
    match storage.type_ {
        StorageType::Embedded => {
            let endpoint = build::endpoint(&workspace.name_any(), &namespace);
            Some((endpoint, build::BUCKET.into()))
        }
        StorageType::S3 => {
            let s3 = storage.s3.as_ref()?;
            let amazon = || format!("https://{}.s3.amazonaws.com", s3.bucket);
            Some((
                s3.endpoint.clone().unwrap_or_else(amazon),
                s3.bucket.clone(),
            ))
        }
        StorageType::AzureBlob => {
            let azure = storage.azure_blob.as_ref()?;
            let public = || format!("https://{}.blob.core.windows.net", azure.account);
            let endpoint = azure.endpoint.clone().unwrap_or_else(public);
            Some((endpoint, azure.container.clone()))
        }
        StorageType::Gcs => {
            let gcs = storage.gcs.as_ref()?;
            Some(("https://storage.googleapis.com".into(), gcs.bucket.clone()))
        }
        StorageType::None => None,
    }
}

/// The connection, with its credential as it is at this moment.
pub async fn connection(workspace: &Workspace, ctx: &Ctx) -> Result<Connection, Trouble> {
    let storage = &workspace.spec.storage;
    let namespace = workspace.namespace().unwrap_or_default();
    let (place, trust) = place(workspace, storage, ctx)?;
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

fn place(workspace: &Workspace, storage: &Storage, ctx: &Ctx) -> Result<(Place, Trust), Problem> {
    let lacks = |field: &str| {
        let reason = reasons::STORAGE_MISCONFIGURED;
        Problem::new(reason, format!("spec.storage lacks {field}"))
    };
    let bundle = |pem: &Option<String>| pem.clone().map_or(Trust::Public, Trust::Bundle);
    match storage.type_ {
        StorageType::Embedded => {
            let namespace = workspace.namespace().unwrap_or_default();
            let authorities = ctx.issuer.as_ref().and_then(|issuer| issuer.bundle());
            let authorities = authorities.ok_or_else(|| {
                let why = "the certificate authority is not known yet".to_owned();
                Problem::new(reasons::STORAGE_STARTING, why)
            })?;
            let place = Place::Embedded {
                endpoint: build::endpoint(&workspace.name_any(), &namespace),
                bucket: build::BUCKET.into(),
            };
            Ok((place, Trust::Bundle(authorities)))
        }
        StorageType::S3 => {
            let s3 = storage.s3.as_ref().ok_or_else(|| lacks("s3"))?;
            let place = Place::S3 {
                endpoint: s3.endpoint.clone(),
                region: s3.region.clone(),
                bucket: s3.bucket.clone(),
                prefix: s3.prefix.clone(),
            };
            Ok((place, bundle(&s3.ca_bundle)))
        }
        StorageType::AzureBlob => {
            let azure = storage.azure_blob.as_ref();
            let azure = azure.ok_or_else(|| lacks("azureBlob"))?;
            let place = Place::AzureBlob {
                endpoint: azure.endpoint.clone(),
                account: azure.account.clone(),
                container: azure.container.clone(),
                prefix: azure.prefix.clone(),
            };
            Ok((place, bundle(&azure.ca_bundle)))
        }
        StorageType::Gcs => {
            let gcs = storage.gcs.as_ref().ok_or_else(|| lacks("gcs"))?;
            let place = Place::Gcs {
                bucket: gcs.bucket.clone(),
                prefix: gcs.prefix.clone(),
            };
            Ok((place, Trust::Public))
        }
        StorageType::None => Err(lacks("a type")),
    }
}

/// What a Secret holds. Gone from memory with whoever asked.
pub type Values = BTreeMap<String, Zeroizing<Vec<u8>>>;

/// Reads a Secret of the workspace's namespace.
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
fn credential(type_: StorageType, secret: &str, values: &Values) -> Result<Credential, Problem> {
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
