//! Verifies tokens by a gateway's policy.

use std::collections::{BTreeMap, BTreeSet};

use atelier_api::gateway_policy::{TokenPoint, TokenRules};
use jiff::Timestamp;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};

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
    keys: BTreeMap<String, DecodingKey>,
    subjects: BTreeSet<String>,
    tokens: BTreeSet<String>,
    validation: Validation,
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
        let key = |point: &TokenPoint| DecodingKey::from_ec_der(point.as_bytes());
        let keys = rules.keys.iter();
        // The times are judged by the clock that is handed in, the audience as a whole.
        let mut validation = Validation::new(Algorithm::ES256);
        validation.validate_exp = false;
        validation.validate_aud = false;
        validation.set_required_spec_claims(&["exp", "nbf", "aud", "iss", "sub"]);
        validation.set_issuer(&[ISSUER]);
        Self {
            audience: rules.audience.clone(),
            keys: keys.map(|one| (one.id.clone(), key(&one.point))).collect(),
            subjects: rules.revoked.subjects.iter().cloned().collect(),
            tokens: rules.revoked.tokens.iter().cloned().collect(),
            validation,
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
        let data = decode::<Claims>(token, key, &self.validation);
        let claims = data.map_err(|error| reason(&error))?.claims;
        if claims.aud != self.audience {
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

fn reason(error: &jsonwebtoken::errors::Error) -> Bad {
    use jsonwebtoken::errors::ErrorKind;
    match error.kind() {
        ErrorKind::InvalidSignature => Bad::Signature,
        ErrorKind::InvalidIssuer => Bad::Foreign,
        _ => Bad::Malformed,
    }
}
