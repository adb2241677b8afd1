//! Verifies tokens by a gateway's policy.

use std::collections::{BTreeMap, BTreeSet};

use atelier_api::gateway_policy::{TokenPoint, TokenRules};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, ParsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use jsonwebtoken::dangerous::insecure_decode_claims;
use jsonwebtoken::decode_header;

use crate::claims::{Claims, ISSUER};
use crate::signer::header;

/// Why a token opens nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Bad {
    /// It is no token of the form that we make.
    Malformed,
    /// No key of this service has the name that it gives.
    UnknownKey,
    /// Its signature is not that of the key.
    Signature,
    /// It is for another service, or by another issuer.
    Foreign,
    /// Its time has not come.
    Early,
    /// Its time is over.
    Expired,
    /// It, or whom it was given to, is revoked.
    Revoked,
}

/// A token that is good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// Whom it was given to.
    pub subject: String,
    not_before: i64,
    expires: i64,
}

impl Verified {
    /// Whether it is good at this moment.
    ///
    /// # Errors
    /// Its time has not come, or is over.
    pub fn at(&self, now: Timestamp) -> Result<(), Bad> {
        let now = now.as_second();
        match now {
            now if now < self.not_before => Err(Bad::Early),
            now if now >= self.expires => Err(Bad::Expired),
            _ => Ok(()),
        }
    }
}

/// Knows what opens one service.
pub struct Verifier {
    audience: [String; 2],
    /// Read once and not for each token. `None` for a point that is none of the curve, by which nothing can be signed.
    keys: BTreeMap<String, Option<ParsedPublicKey>>,
    subjects: BTreeSet<String>,
    tokens: BTreeSet<String>,
}

// A key's debug output is of no use to anybody.
impl std::fmt::Debug for Verifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Verifier")
            .field("audience", &self.audience)
            .field("keys", &self.keys.keys())
            .finish_non_exhaustive()
    }
}

impl Verifier {
    /// Takes over what the policy says.
    #[must_use]
    pub fn new(rules: &TokenRules) -> Self {
        let key = |point: &TokenPoint| {
            ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point.as_bytes()).ok()
        };
        let keys = rules.keys.iter();
        Self {
            audience: rules.audience.clone(),
            keys: keys.map(|one| (one.id.clone(), key(&one.point))).collect(),
            subjects: rules.revoked.subjects.iter().cloned().collect(),
            tokens: rules.revoked.tokens.iter().cloned().collect(),
        }
    }

    /// Judges a token.
    ///
    /// # Errors
    /// Why it opens nothing: for the metrics, never for whoever presents it.
    pub fn verify(&self, token: &[u8], now: Timestamp) -> Result<Verified, Bad> {
        let found = decode_header(token).map_err(|_| Bad::Malformed)?;
        let id = found.kid.clone().ok_or(Bad::Malformed)?;
        // Nothing that would have to be understood, fetched or believed.
        if found != header(&id) {
            return Err(Bad::Malformed);
        }
        let key = self.keys.get(&id).ok_or(Bad::UnknownKey)?;
        if !is_signed(token, key.as_ref())? {
            return Err(Bad::Signature);
        }
        // By now they are what we have signed.
        let claims: Claims = insecure_decode_claims(token).map_err(|_| Bad::Malformed)?;
        if claims.iss != ISSUER || claims.aud != self.audience {
            return Err(Bad::Foreign);
        }
        let verified = Verified {
            subject: claims.sub,
            not_before: claims.nbf,
            expires: claims.exp,
        };
        verified.at(now)?;
        if self.subjects.contains(&verified.subject) || self.tokens.contains(&claims.jti) {
            return Err(Bad::Revoked);
        }
        Ok(verified)
    }
}

/// Whether a token's signature is that of a key, over all that stands before it.
fn is_signed(token: &[u8], key: Option<&ParsedPublicKey>) -> Result<bool, Bad> {
    let dot = token.iter().rposition(|byte| *byte == b'.');
    let (signed, signature) = token.split_at(dot.ok_or(Bad::Malformed)?);
    let signature = URL_SAFE_NO_PAD.decode(&signature[1..]);
    let signature = signature.map_err(|_| Bad::Malformed)?;
    Ok(key.is_some_and(|key| key.verify_sig(signed, &signature).is_ok()))
}
