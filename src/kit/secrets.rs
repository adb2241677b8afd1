//! Secrets as children: made with their values, and known to be right by digests alone.

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::Error;
use super::child::{ChildKind, Desired};
use super::content::{self, ContentHash};

/// The type of most.
pub const OPAQUE: &str = "Opaque";
/// The type of certificates.
pub const TLS: &str = "kubernetes.io/tls";

/// A Secret as it should be.
pub fn desired(
    metadata: ObjectMeta,
    type_: &str,
    data: BTreeMap<String, Vec<u8>>,
) -> Result<Desired, Error> {
    let data = data
        .into_iter()
        .map(|(name, value)| (name, ByteString(value)));
    let secret = Secret {
        metadata,
        data: Some(data.collect()),
        type_: Some(type_.into()),
        ..Secret::default()
    };
    Desired::new(ChildKind::Secret, &secret)
}

/// The hash of that, by digests of what is in it.
pub fn hash<'a>(
    metadata: ObjectMeta,
    type_: &str,
    digests: impl IntoIterator<Item = (&'a str, &'a [u8; 32])>,
) -> Result<ContentHash, Error> {
    let secret = Secret {
        metadata,
        type_: Some(type_.into()),
        ..Secret::default()
    };
    let secret = serde_json::to_value(secret)?;
    Ok(content::hash_by_digests(&secret, digests))
}
