//! Tokens that open a web service for a while (docs/design/tokens.md): JSON Web Tokens, RFC 7519, signed by ES256.
//!
//! The operator signs them, in the name of whoever asked; a gateway verifies them by what stands in its policy, and
//! asks nobody. Both are pure: the time is an argument.

mod claims;
mod signer;
mod verifier;

pub use claims::{Claims, ISSUER};
pub use signer::{Cannot, SigningKey};
pub use verifier::{Bad, Verified, Verifier};
