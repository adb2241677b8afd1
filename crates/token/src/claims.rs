//! What a token says.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// Who issues all tokens.
pub const ISSUER: &str = "atelier.dev";
/// How far the clocks of the operator's machine and a gateway's may be apart: a token is good this long before it is
/// made.
const CLOCKS_DIFFER: SignedDuration = SignedDuration::from_secs(30);

/// What a token says, in the names of RFC 7519. Exactly this: one with other claims is none of ours.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Claims {
    /// Always [`ISSUER`].
    pub iss: String,
    /// Whom it was given to, as the API server knows them.
    pub sub: String,
    /// What it opens: `<namespace>/<service>`, and the uid of that service. One made anew under the same name has
    /// another.
    pub aud: [String; 2],
    /// When it was made, in seconds since 1970.
    pub iat: i64,
    /// From when on it is good.
    pub nbf: i64,
    /// From when on it is not good any more.
    pub exp: i64,
    /// Its own name, by which it alone can be revoked.
    pub jti: String,
}

impl Claims {
    /// The claims of a token that is made now.
    #[must_use]
    pub fn new(
        subject: &str,
        audience: [String; 2],
        id: String,
        now: Timestamp,
        lifetime: SignedDuration,
    ) -> Self {
        let made = now.as_second();
        Self {
            iss: ISSUER.to_owned(),
            sub: subject.to_owned(),
            aud: audience,
            iat: made,
            nbf: made.saturating_sub(CLOCKS_DIFFER.as_secs()),
            exp: made.saturating_add(lifetime.as_secs()),
            jti: id,
        }
    }

    /// When to ask for another, in seconds since 1970: at half time.
    #[must_use]
    pub fn refresh_after(&self) -> i64 {
        self.iat + (self.exp - self.iat) / 2
    }
}
