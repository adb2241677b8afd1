//! The document by which the operator tells a gateway who may call a web service.
//!
//! It is the one entry, [`POLICY_KEY`], of the Secret `<service>-gateway`. One document, and not
//! one entry per setting, because a reader must never see half of a change: the mode and the
//! keys it needs arrive together. It holds digests, never keys.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
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
    /// Whoever presents a token.
    Token {
        /// The digests of the keys that are not asked for now.
        keys: Option<KeySlots>,
        /// Which tokens are good.
        tokens: TokenRules,
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
            Self::Token { .. } => AuthMode::Token,
        }
    }

    /// The digests, whether they are asked for or only kept.
    #[must_use]
    pub fn keys(&self) -> Option<&KeySlots> {
        match self {
            Self::None { keys } | Self::Token { keys, .. } => keys.as_ref(),
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
    /// By a token that the operator signed for this service.
    Token,
}

/// Which tokens are good: all that it takes to verify one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenRules {
    /// What a token has to be for: `<namespace>/<service>`, and the uid of the service.
    pub audience: [String; 2],
    /// The keys by which tokens are signed.
    pub keys: Vec<TokenKey>,
    /// Those that are good no more.
    #[serde(default, skip_serializing_if = "Revoked::is_empty")]
    pub revoked: Revoked,
}

/// The public half of a key by which tokens are signed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenKey {
    /// Its name, which tokens give as `kid`: the beginning of its SHA-256, in hexadecimal.
    pub id: String,
    /// The key.
    pub point: TokenPoint,
}

/// A point of the curve P-256 as SEC 1 has it, uncompressed; written in base64, for URLs and without padding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TokenPoint([u8; 65]);

impl TokenPoint {
    /// Its bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 65] {
        &self.0
    }
}

impl TryFrom<&[u8]> for TokenPoint {
    type Error = &'static str;

    fn try_from(bytes: &[u8]) -> Result<Self, Self::Error> {
        match <[u8; 65]>::try_from(bytes) {
            Ok(point) if point[0] == 4 => Ok(Self(point)),
            _ => Err("a token's key is 65 bytes, the first of them 4"),
        }
    }
}

impl TryFrom<String> for TokenPoint {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let bytes = URL_SAFE_NO_PAD.decode(text);
        let bytes = bytes.map_err(|_| "a token's key is written in base64, for URLs")?;
        bytes.as_slice().try_into()
    }
}

impl From<TokenPoint> for String {
    fn from(point: TokenPoint) -> Self {
        URL_SAFE_NO_PAD.encode(point.0)
    }
}

/// Tokens that are good no more, though their time is not over.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Revoked {
    /// All that were given to these callers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub subjects: Vec<String>,
    /// Those of these names, which they give as `jti`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tokens: Vec<String>,
}

impl Revoked {
    /// Whether nothing is revoked.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.subjects.is_empty() && self.tokens.is_empty()
    }
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
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tokens: Option<TokenRules>,
}

impl TryFrom<Document> for GatewayPolicy {
    type Error = &'static str;

    fn try_from(document: Document) -> Result<Self, Self::Error> {
        let Document {
            version,
            mode,
            keys,
            tokens,
        } = document;
        if version != POLICY_VERSION {
            return Err("the version of the policy is not one this program knows");
        }
        match (mode, keys, tokens) {
            (AuthMode::Token, keys, Some(tokens)) => Ok(Self::Token { keys, tokens }),
            (AuthMode::Token, _, None) => Err("mode Token needs tokens"),
            (_, _, Some(_)) => Err("only mode Token has tokens"),
            (AuthMode::None, keys, None) => Ok(Self::None { keys }),
            (AuthMode::Key, Some(keys), None) => Ok(Self::Key { keys }),
            (AuthMode::Key, None, None) => Err("mode Key needs keys"),
        }
    }
}

impl From<GatewayPolicy> for Document {
    fn from(policy: GatewayPolicy) -> Self {
        let mode = policy.mode();
        let (keys, tokens) = match policy {
            GatewayPolicy::None { keys } => (keys, None),
            GatewayPolicy::Key { keys } => (Some(keys), None),
            GatewayPolicy::Token { keys, tokens } => (keys, Some(tokens)),
        };
        Self {
            version: POLICY_VERSION,
            mode,
            keys,
            tokens,
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

    fn tokens(more: &str) -> String {
        let point = format!("BAAA{}", "A".repeat(83));
        format!(
            r#"{{"version":1,"mode":"Token","tokens":{{"audience":["n/svc","u"],"keys":[{{"id":"k","point":"{point}"}}]{more}}}}}"#
        )
    }

    #[test]
    fn a_policy_is_written_as_it_was_read() {
        for text in [
            document("Key", &"0a".repeat(32)),
            document("None", &"0a".repeat(32)),
            r#"{"version":1,"mode":"None"}"#.to_owned(),
            tokens(""),
            tokens(r#","revoked":{"subjects":["eve"],"tokens":["one"]}"#),
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
            (document("Certificate", &"a".repeat(64)), "unknown mode"),
            (document("Token", &"a".repeat(64)), "no tokens"),
            (
                tokens("").replace("Token", "None"),
                "tokens that open nothing",
            ),
            (tokens("").replace("BAAA", "AAAA"), "no point"),
            (tokens("").replace("BAAA", "BA"), "a short point"),
            (tokens("").replace("BAAA", "BA=A"), "no base64"),
            (
                tokens(r#","revoked":{"everybody":true}"#),
                "unknown revocation",
            ),
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
