//! An object as bytes: a header, then chunks, each sealed by AES-256-GCM. See `docs/design/storage.md`, byte by byte.
//!
//! A data key of its own for each object; it stands in the header, wrapped by a key of the workspace. Which workspace
//! and which path the object belongs to is authenticated and not written down: an object somewhere else does not open.

mod header;
mod layout;
mod open;
mod seal;
#[cfg(test)]
mod tests;

pub(crate) use header::prefix;
pub use header::{HEADER_LEN, Header, RingId};
pub use layout::{CHUNK_LEN, Layout, Span};
pub use open::Opener;
pub use seal::Sealer;

use std::fmt;

use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    digest,
};
use zeroize::Zeroizing;

/// Bytes of every key.
pub const KEY_LEN: usize = 32;
/// Bytes by which a sealed thing is longer: the tag of GCM.
pub const TAG_LEN: usize = 16;

/// Why bytes are not the object they should be. Nothing of it is believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FormatError {
    /// Shorter than the shortest object.
    #[error("it has {0} bytes, fewer than any object")]
    TooShort(u64),
    /// The first bytes are of something else.
    #[error("it is not encrypted by Atelier; it was written by something else")]
    NotOurs,
    /// A version that is not known.
    #[error("it has format version {0}, and version 1 is known; a newer Atelier wrote it")]
    Version(u8),
    /// A length that no object has.
    #[error("no object is {0} bytes long; something was cut off or added")]
    Length(u64),
    /// The content ended before the length that was said.
    #[error("it ends early")]
    Truncated,
    /// The content went on after the length that was said.
    #[error("it goes on after its end")]
    Excess,
    /// What was sealed is not what is there.
    #[error("chunk {0} has been changed, moved, or belongs to another object or path")]
    Chunk(u64),
    /// Never seen: keys have the right length by their type, and chunks are short.
    #[error("the cipher refuses to work")]
    Cipher,
}

/// A workspace's name in what is authenticated. Stays the same for as long as objects are kept: not the uid of a
/// Workspace, since a new one may adopt what an old one left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner(String);

impl Owner {
    /// Any text.
    pub fn new(name: impl Into<String>) -> Self {
        Self(name.into())
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What it takes to seal or open one object, and no other.
#[derive(Clone)]
pub struct ObjectKey {
    data_key: Zeroizing<[u8; KEY_LEN]>,
    binding: [u8; 32],
}

impl ObjectKey {
    /// The data key of the object at `path` of a workspace.
    pub fn new(data_key: Zeroizing<[u8; KEY_LEN]>, owner: &Owner, path: &str) -> Self {
        Self {
            data_key,
            binding: binding(owner, path),
        }
    }

    /// The two halves, for whoever moves this one object on our behalf: the data key, and what every chunk is bound to.
    pub fn parts(&self) -> (&[u8; KEY_LEN], &[u8; 32]) {
        (&self.data_key, &self.binding)
    }

    /// From the two halves.
    pub fn from_parts(data_key: Zeroizing<[u8; KEY_LEN]>, binding: [u8; 32]) -> Self {
        Self { data_key, binding }
    }
}

impl fmt::Debug for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ObjectKey(…)")
    }
}

/// Lengths first, so that no two pairs look the same.
pub(crate) fn binding(owner: &Owner, path: &str) -> [u8; 32] {
    let mut context = digest::Context::new(&digest::SHA256);
    context.update(b"atelier object 1");
    for part in [owner.as_str(), path] {
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part.as_bytes());
    }
    let mut bytes = [0; 32];
    bytes.copy_from_slice(context.finish().as_ref());
    bytes
}

/// A key as the cipher takes it.
pub(crate) fn cipher(key: &[u8; KEY_LEN]) -> Result<LessSafeKey, FormatError> {
    UnboundKey::new(&AES_256_GCM, key)
        .map(LessSafeKey::new)
        .map_err(|_| FormatError::Cipher)
}

/// The chunks of one object, by their numbers.
struct Chunks {
    cipher: LessSafeKey,
    binding: [u8; 32],
}

impl Chunks {
    fn new(key: &ObjectKey) -> Result<Self, FormatError> {
        Ok(Self {
            cipher: cipher(&key.data_key)?,
            binding: key.binding,
        })
    }

    /// Three zeros, the number of the chunk, and whether it is the last: no two chunks of an object share one, and no
    /// other object has the key.
    fn nonce(index: u64, last: bool) -> Nonce {
        let mut nonce = [0; NONCE_LEN];
        nonce[3..11].copy_from_slice(&index.to_be_bytes());
        nonce[11] = last.into();
        Nonce::assume_unique_for_key(nonce)
    }

    fn aad(&self) -> Aad<&[u8; 32]> {
        Aad::from(&self.binding)
    }
}
