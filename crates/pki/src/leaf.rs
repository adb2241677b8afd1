//! A certificate and the Secret that keeps it, in the form that everybody reads.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::api::ObjectMeta;
use rustls::RootCertStore;
use serde::{Deserialize, Serialize};

use crate::authority::Issued;
use crate::config::Leaf;
use crate::error::Error;
use crate::life::Life;
use crate::plan::LeafState;
use crate::store::Authorities;
use crate::verify;

/// Key of the certificate.
pub const CERTIFICATE: &str = "tls.crt";
/// Key of its private key.
pub const KEY: &str = "tls.key";
/// Key of the authorities to trust.
pub const BUNDLE: &str = "ca.crt";
/// What was asked for, and for how long it is good.
const NOTE: &str = "atelier.dev/certificate";
const TYPE: &str = "kubernetes.io/tls";

#[derive(Serialize, Deserialize)]
struct Note {
    #[serde(rename = "for")]
    leaf: Leaf,
    #[serde(flatten)]
    life: Life,
}

/// An entry of a Secret.
pub fn entry<'a>(secret: &'a Secret, key: &str) -> Option<&'a [u8]> {
    let data = secret.data.as_ref()?;
    data.get(key).map(|bytes| bytes.0.as_slice())
}

/// How a Secret compares with what it should hold. What it says of itself is believed only as far as a verifier
/// confirms it.
pub fn inspect(
    secret: Option<&Secret>,
    leaf: &Leaf,
    authorities: &Authorities,
    now: Timestamp,
) -> LeafState {
    let Some(secret) = secret else {
        return LeafState::Broken;
    };
    let bundle = authorities.bundle();
    let told = entry(secret, BUNDLE) == Some(bundle.as_bytes());
    if let Ok(life) = examine(secret, leaf, authorities, now) {
        return LeafState::Good {
            told,
            renew_at: life.renew_at(),
        };
    }
    match verify::roots(bundle.as_bytes()).and_then(|roots| still_serves(secret, leaf, &roots, now))
    {
        Ok(()) => LeafState::Old { told },
        Err(_) => LeafState::Broken,
    }
}

/// Fails unless the authority that signs now has signed exactly this, and until when it says.
fn examine(
    secret: &Secret,
    leaf: &Leaf,
    authorities: &Authorities,
    now: Timestamp,
) -> Result<Life, Error> {
    let current = authorities.current.as_ref();
    let current = current.ok_or(Error::Missing("the authority"))?;
    let roots = verify::roots(current.certificate.as_bytes())?;
    let notes = secret.metadata.annotations.as_ref();
    let note = notes.and_then(|notes| notes.get(NOTE));
    let note: Note = serde_json::from_str(note.ok_or(Error::Missing(NOTE))?)?;
    if note.leaf != *leaf || !note.life.holds(now) {
        return Err(Error::Other("made for something else".into()));
    }
    still_serves(secret, leaf, &roots, now)?;
    still_serves(secret, leaf, &roots, note.life.not_after)?;
    Ok(note.life)
}

fn still_serves(
    secret: &Secret,
    leaf: &Leaf,
    roots: &Arc<RootCertStore>,
    at: Timestamp,
) -> Result<(), Error> {
    let part = |key| entry(secret, key).ok_or(Error::Missing(key));
    let pair = verify::pair(part(CERTIFICATE)?, part(KEY)?)?;
    verify::accepted(&pair, leaf, roots, at)
}

/// The Secret with a new certificate in it. What others noted on it stays.
pub fn with_certificate(
    live: Option<Secret>,
    leaf: &Leaf,
    issued: Issued,
    bundle: String,
) -> Result<Secret, Error> {
    let mut secret = live.unwrap_or_else(|| Secret {
        metadata: ObjectMeta {
            name: Some(leaf.secret_name.clone()),
            labels: Some(labels()),
            ..ObjectMeta::default()
        },
        type_: Some(TYPE.into()),
        ..Secret::default()
    });
    let note = Note {
        leaf: leaf.clone(),
        life: issued.life,
    };
    let notes = secret.metadata.annotations.get_or_insert_default();
    notes.insert(NOTE.into(), serde_json::to_string(&note)?);
    let parts = [
        (CERTIFICATE, issued.certificate),
        (KEY, issued.key.0),
        (BUNDLE, bundle),
    ];
    let data = parts.map(|(key, pem)| (key.to_owned(), ByteString(pem.into_bytes())));
    secret.data = Some(BTreeMap::from(data));
    Ok(secret)
}

/// The Secret with other authorities to trust.
pub fn with_bundle(mut live: Secret, bundle: String) -> Secret {
    let data = live.data.get_or_insert_default();
    data.insert(BUNDLE.into(), ByteString(bundle.into_bytes()));
    live
}

/// The labels of all our Secrets.
pub fn labels() -> BTreeMap<String, String> {
    let labels = [
        ("app.kubernetes.io/part-of", "atelier"),
        ("app.kubernetes.io/component", "certificates"),
    ];
    labels
        .map(|(k, v)| (k.to_owned(), v.to_owned()))
        .into_iter()
        .collect()
}

#[cfg(test)]
#[path = "leaf/tests.rs"]
mod tests;
