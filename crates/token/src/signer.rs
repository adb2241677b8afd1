//! Makes keys, and signs.

use atelier_api::gateway_policy::TokenKey;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use crate::Claims;

/// How many bytes of the public key's digest name it.
const ID_BYTES: usize = 8;

/// Why a key cannot be made or used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Cannot {
    /// The system gives no random numbers.
    #[error("a signing key cannot be made: the system gives no random numbers")]
    Make,
    /// The bytes are no key.
    #[error("what is stored is no private key of ES256 in PKCS#8")]
    Read,
    /// Signing failed.
    #[error("the token cannot be signed")]
    Sign,
}

/// A private key by which tokens are signed. Its bytes are erased when it is dropped, and never show in debug output.
#[derive(Clone, PartialEq, Eq)]
pub struct SigningKey {
    pkcs8: Zeroizing<Vec<u8>>,
    public: TokenKey,
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SigningKey")
            .field("public", &self.public)
            .finish_non_exhaustive()
    }
}

impl SigningKey {
    /// Makes a key out of the system's random numbers.
    ///
    /// # Errors
    /// The system has none.
    pub fn generate() -> Result<Self, Cannot> {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING);
        let document = pair.and_then(|pair| pair.to_pkcs8v1());
        let document = document.map_err(|_| Cannot::Make)?;
        Self::from_pkcs8(document.as_ref())
    }

    /// Reads a key as it is stored: DER, PKCS#8.
    ///
    /// # Errors
    /// The bytes are no key of this sort.
    pub fn from_pkcs8(pkcs8: &[u8]) -> Result<Self, Cannot> {
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8);
        let pair = pair.map_err(|_| Cannot::Read)?;
        let point = pair.public_key().as_ref();
        let id = Sha256::digest(point);
        let id = id.iter().take(ID_BYTES).map(|byte| format!("{byte:02x}"));
        Ok(Self {
            pkcs8: Zeroizing::new(pkcs8.to_vec()),
            public: TokenKey {
                id: id.collect(),
                point: point.try_into().map_err(|_| Cannot::Read)?,
            },
        })
    }

    /// The key as it is stored.
    #[must_use]
    pub fn pkcs8(&self) -> &[u8] {
        &self.pkcs8
    }

    /// What gateways know it by.
    #[must_use]
    pub fn public(&self) -> &TokenKey {
        &self.public
    }

    /// Signs a token.
    ///
    /// # Errors
    /// None in practice.
    pub fn sign(&self, claims: &Claims) -> Result<String, Cannot> {
        let key = EncodingKey::from_ec_der(&self.pkcs8);
        encode(&header(&self.public.id), claims, &key).map_err(|_| Cannot::Sign)
    }
}

/// The header of a token that a key signs. A token's header has to be exactly this.
pub(crate) fn header(id: &str) -> Header {
    Header {
        kid: Some(id.to_owned()),
        ..Header::new(Algorithm::ES256)
    }
}
