//! The document by which the operator tells a gateway who may call a web service.
//!
//! It is the one entry, [`POLICY_KEY`], of the Secret `<service>-gateway`. One document, and not
//! one entry per setting, because a reader must never see half of a change: the mode and the
//! keys it needs arrive together. It holds digests, never keys.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The entry of the Secret that holds the document.
pub const POLICY_KEY: &str = "policy.json";

/// The only version of the document so far. A reader refuses any other: what it does not
/// understand it must not half apply.
pub const POLICY_VERSION: u32 = 1;

/// Who may call a web service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Document", into = "Document")]
pub enum GatewayPolicy {
    /// Anybody who reaches the service. The digests may be kept for the day keys return.
    None {
        /// The digests of the keys that are not asked for now.
        keys: Option<KeySlots>,
    },
    /// Whoever presents one of the two keys.
    Key {
        /// The digests of both keys.
        keys: KeySlots,
    },
}

impl GatewayPolicy {
    /// Reads the document.
    ///
    /// # Errors
    /// Not JSON, an unknown or repeated field, an unknown version or mode, mode `Key` without
    /// keys, or a digest that is not 64 lower-case hexadecimal digits. The error names the place
    /// in the document and quotes no digest.
    pub fn from_json(document: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(document)
    }

    /// Writes the document, always the same bytes for the same policy.
    ///
    /// # Errors
    /// None in practice: the document has no map with keys other than strings.
    pub fn to_json(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string(self)
    }

    /// The mode alone, as records and metrics name it.
    #[must_use]
    pub fn mode(&self) -> AuthMode {
        match self {
            Self::None { .. } => AuthMode::None,
            Self::Key { .. } => AuthMode::Key,
        }
    }

    /// The digests, whether they are asked for or only kept.
    #[must_use]
    pub fn keys(&self) -> Option<&KeySlots> {
        match self {
            Self::None { keys } => keys.as_ref(),
            Self::Key { keys } => Some(keys),
        }
    }
}

/// How a caller proves who it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum AuthMode {
    /// It does not.
    None,
    /// By one of the service's two keys.
    Key,
}

/// The two keys of a service: while one is replaced, callers use the other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeySlots {
    /// The primary key.
    pub primary: KeySlot,
    /// The secondary key.
    pub secondary: KeySlot,
}

/// One key, by its digest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeySlot {
    /// How often this slot's key was made anew. Shown in metrics; decides nothing.
    pub generation: u64,
    /// SHA-256 of the key's bytes as the caller sends them.
    pub sha256: KeyDigest,
}

/// The SHA-256 digest of a key, written as 64 lower-case hexadecimal digits.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct KeyDigest([u8; 32]);

impl KeyDigest {
    /// Wraps a digest computed by the caller.
    #[must_use]
    pub const fn new(digest: [u8; 32]) -> Self {
        Self(digest)
    }

    /// The digest's bytes. Compare them in constant time.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

// A digest is no key, but whoever holds it can test guesses: keep it out of debug output.
impl fmt::Debug for KeyDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyDigest(..)")
    }
}

impl TryFrom<String> for KeyDigest {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        const WANTED: &str = "a digest is 64 lower-case hexadecimal digits";
        let (pairs, rest) = text.as_bytes().as_chunks::<2>();
        if pairs.len() != 32 || !rest.is_empty() {
            return Err(WANTED);
        }
        let mut digest = [0; 32];
        for (byte, [high, low]) in digest.iter_mut().zip(pairs) {
            *byte = nibble(*high).ok_or(WANTED)? << 4 | nibble(*low).ok_or(WANTED)?;
        }
        Ok(Self(digest))
    }
}

impl From<KeyDigest> for String {
    fn from(digest: KeyDigest) -> Self {
        digest.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

/// The document as written; [`GatewayPolicy`] is the same after its rules were checked.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    version: u32,
    mode: AuthMode,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    keys: Option<KeySlots>,
}

impl TryFrom<Document> for GatewayPolicy {
    type Error = &'static str;

    fn try_from(document: Document) -> Result<Self, Self::Error> {
        let Document {
            version,
            mode,
            keys,
        } = document;
        if version != POLICY_VERSION {
            return Err("the version of the policy is not one this program knows");
        }
        match mode {
            AuthMode::None => Ok(Self::None { keys }),
            AuthMode::Key => keys
                .map(|keys| Self::Key { keys })
                .ok_or("mode Key needs keys"),
        }
    }
}

impl From<GatewayPolicy> for Document {
    fn from(policy: GatewayPolicy) -> Self {
        let mode = policy.mode();
        let (GatewayPolicy::Key { keys } | GatewayPolicy::None { keys: Some(keys) }) = policy
        else {
            return Self {
                version: POLICY_VERSION,
                mode,
                keys: None,
            };
        };
        Self {
            version: POLICY_VERSION,
            mode,
            keys: Some(keys),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(mode: &str, primary: &str) -> String {
        let secondary = "b".repeat(64);
        format!(
            r#"{{"version":1,"mode":"{mode}","keys":{{"primary":{{"generation":1,"sha256":"{primary}"}},"secondary":{{"generation":2,"sha256":"{secondary}"}}}}}}"#
        )
    }

    #[test]
    fn a_policy_is_written_as_it_was_read() {
        for text in [
            document("Key", &"0a".repeat(32)),
            document("None", &"0a".repeat(32)),
            r#"{"version":1,"mode":"None"}"#.to_owned(),
        ] {
            let policy = GatewayPolicy::from_json(text.as_bytes()).expect("valid");
            assert_eq!(policy.to_json().expect("writable"), text);
        }
    }

    #[test]
    fn a_document_that_is_not_exactly_right_is_refused() {
        let good = document("Key", &"a".repeat(64));
        for (bad, why) in [
            (String::new(), "empty"),
            (r#"{"version":1,"mode":"Key"}"#.to_owned(), "no keys"),
            (document("Token", &"a".repeat(64)), "unknown mode"),
            (document("Key", &"A".repeat(64)), "upper case"),
            (document("Key", &"a".repeat(63)), "short"),
            (document("Key", &"a".repeat(65)), "long"),
            (document("Key", &"é".repeat(32)), "not hexadecimal"),
            (good.replace(":1,\"mode\"", ":2,\"mode\""), "later version"),
            (good.replace("\"version\":1,", ""), "no version"),
            (
                good.replace("\"mode\"", "\"extra\":0,\"mode\""),
                "unknown field",
            ),
            (
                good.replace("\"mode\":\"Key\"", "\"mode\":\"Key\",\"mode\":\"None\""),
                "field twice",
            ),
            (good.replace("\"generation\":1,", ""), "no generation"),
            (format!("{good}{good}"), "two documents"),
        ] {
            assert!(GatewayPolicy::from_json(bad.as_bytes()).is_err(), "{why}");
        }
    }

    #[test]
    fn debug_output_shows_no_digest() {
        let policy =
            GatewayPolicy::from_json(document("Key", &"a".repeat(64)).as_bytes()).expect("valid");
        assert!(!format!("{policy:?}").contains("aaaa"));
    }
}
