//! What stands beside a certificate, so that its Secret is known to be right by digests alone.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::config::Leaf;
use crate::leaf::{BUNDLE, CERTIFICATE, KEY};
use crate::life::Life;

/// Key of the note in a certificate's Secret.
pub const NOTE: &str = "certificate.json";

/// What a certificate was made for and by whom, and what stands beside it. Holds no secret: of the key, which is as
/// random as its digest, only the digest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Note {
    #[serde(rename = "for")]
    pub(crate) leaf: Leaf,
    #[serde(flatten)]
    pub(crate) life: Life,
    /// The certificate of the authority that has signed.
    pub(crate) signer: Sum,
    sums: Sums,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Sums {
    certificate: Sum,
    key: Sum,
    bundle: Sum,
}

impl Note {
    pub(crate) fn new(leaf: Leaf, life: Life, signer: &str, parts: [&str; 3]) -> Self {
        let [certificate, key, bundle] = parts.map(Sum::of);
        Self {
            leaf,
            life,
            signer: Sum::of(signer),
            sums: Sums {
                certificate,
                key,
                bundle,
            },
        }
    }

    /// Reads one. `None` if it is none.
    #[must_use]
    pub fn read(document: &[u8]) -> Option<Self> {
        serde_json::from_slice(document).ok()
    }

    /// Until when the certificate is good.
    #[must_use]
    pub fn expires(&self) -> Timestamp {
        self.life.not_after
    }

    /// How it is written.
    pub fn to_json(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string(self)
    }

    /// SHA-256 of every entry that the Secret has to hold, the note included, by name.
    pub fn digests(&self) -> Result<BTreeMap<&'static str, [u8; 32]>, serde_json::Error> {
        Ok([
            (CERTIFICATE, self.sums.certificate.0),
            (KEY, self.sums.key.0),
            (BUNDLE, self.sums.bundle.0),
            (NOTE, Sum::of(&self.to_json()?).0),
        ]
        .into())
    }

    pub(crate) fn bundle(&self) -> Sum {
        self.sums.bundle
    }
}

/// A SHA-256. In JSON: hexadecimal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct Sum([u8; 32]);

impl Sum {
    pub(crate) fn of(text: &str) -> Self {
        Self(Sha256::digest(text).into())
    }
}

impl From<Sum> for String {
    fn from(sum: Sum) -> Self {
        sum.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

impl TryFrom<String> for Sum {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        const WRONG: &str = "not 64 lower-case hexadecimal digits";
        let digit = |byte: u8| match byte {
            b'0'..=b'9' => Ok(byte - b'0'),
            b'a'..=b'f' => Ok(byte - b'a' + 10),
            _ => Err(WRONG),
        };
        let mut sum = [0; 32];
        if text.len() != 64 {
            return Err(WRONG);
        }
        for (byte, pair) in sum.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
            *byte = digit(pair[0])? << 4 | digit(pair[1])?;
        }
        Ok(Self(sum))
    }
}
