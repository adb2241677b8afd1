//! What is kept of a Secret: digests of its values, never a value.

use std::collections::BTreeMap;

use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::kit::content;

/// Longest document that is kept: ours have some hundred bytes, and with many keys in succession three thousand.
const LONGEST: usize = 4096;

/// What may be known of a Secret.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SecretView(BTreeMap<String, Entry>);

/// What may be known of one of its values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// SHA-256 of the value.
    pub sha256: [u8; 32],
    /// Its length in bytes.
    pub length: usize,
    /// The value itself where it is a document of ours *about* keys, by its name: `*.json`. Such documents hold times,
    /// counters and digests.
    pub document: Option<Vec<u8>>,
}

impl SecretView {
    /// Reads a Secret.
    pub fn of(secret: &Value) -> Self {
        let entry = |(name, value): (&String, Vec<u8>)| {
            let entry = Entry {
                sha256: Sha256::digest(&value).into(),
                length: value.len(),
                document: (name.ends_with(".json") && value.len() <= LONGEST).then_some(value),
            };
            (name.clone(), entry)
        };
        Self(content::values(&secret["data"]).map(entry).collect())
    }

    /// All its values, by name.
    pub fn entries(&self) -> impl Iterator<Item = (&str, &Entry)> {
        self.0.iter().map(|(name, entry)| (name.as_str(), entry))
    }

    /// The digests of all its values.
    pub fn digests(&self) -> impl Iterator<Item = (&str, &[u8; 32])> {
        self.entries().map(|(name, entry)| (name, &entry.sha256))
    }

    /// One of its values.
    pub fn get(&self, name: &str) -> Option<&Entry> {
        self.0.get(name)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_are_known_by_digest_only_and_documents_whole() {
        let secret = json!({"data": {"primary": "YXRsX3NlY3JldA==", "state.json": "e30="}});
        let view = SecretView::of(&secret);
        assert_eq!(
            view.get("state.json").and_then(|e| e.document.as_deref()),
            Some(&b"{}"[..])
        );
        let primary = view.get("primary").expect("there");
        assert_eq!((primary.length, &primary.document), (10, &None));
        assert_eq!(
            primary.sha256,
            <[u8; 32]>::from(Sha256::digest(b"atl_secret"))
        );
        assert!(!format!("{view:?}").contains("atl_secret"));
    }
}
