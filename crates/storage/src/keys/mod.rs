//! Three keys, each wrapped by the next:
//!
//! - a *data key* for each object, in its header;
//! - the *workspace's keys*, by generations, in a [`KeyRing`];
//! - the *key-encryption key* ([`Kek`]), the service's own or the user's, which wraps the ring and nothing else.
//!
//! So a new key-encryption key re-wraps one ring, however many objects there are; and where it is gone, nothing opens.

mod cache;
mod ring;
mod sealed;
#[cfg(test)]
mod tests;

pub use cache::{KeySource, Keys};
pub use ring::KeyRing;
pub use sealed::{Kek, KekId, rewrap};

use crate::{
    entropy::NoEntropy,
    format::{FormatError, RingId},
};

/// Why there is no key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The ring is wrapped by another key than the one that was given.
    #[error(
        "the workspace's keys are wrapped by key {wrapped_by}, and key {given} was given; give that key back, or, if it \
         was replaced, re-wrap the keys with both"
    )]
    WrongKek {
        /// The key that wraps the ring.
        wrapped_by: KekId,
        /// The key that was given.
        given: KekId,
    },
    /// A key-encryption key has a fixed length.
    #[error(
        "a key-encryption key has 32 bytes, and this one has {0}; make one by `openssl rand 32`"
    )]
    KekLength(usize),
    /// The ring is not readable, or it is another workspace's.
    #[error(
        "the workspace's keys are damaged, or those of another workspace; put back the Secret that held them"
    )]
    RingDamaged,
    /// The object was sealed with a ring that this is not.
    #[error("it was encrypted with the keys {wanted}, and this workspace has {had}")]
    OtherRing {
        /// The ring that the object names.
        wanted: RingId,
        /// The ring that there is.
        had: RingId,
    },
    /// The ring no longer, or not yet, has the key.
    #[error("it was encrypted with generation {0} of the workspace's keys, which is not there")]
    NoGeneration(u32),
    /// The data key does not unwrap.
    #[error("it belongs to another workspace or another path, or its header has been changed")]
    NotThisObject,
    /// Every number has been used.
    #[error("the workspace's keys have had their last generation")]
    NoMoreGenerations,
    /// The keys could not be fetched.
    #[error("the workspace's keys cannot be had: {0}")]
    Unavailable(String),
    /// There is no randomness.
    #[error(transparent)]
    NoEntropy(#[from] NoEntropy),
    /// The cipher failed.
    #[error(transparent)]
    Cipher(#[from] FormatError),
}
