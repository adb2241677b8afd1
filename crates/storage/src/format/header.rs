//! The header of an object: which key of which ring wraps the data key.

use std::fmt;

use super::{FormatError, KEY_LEN, TAG_LEN};

/// Bytes of a header.
pub const HEADER_LEN: usize = 88;

const MAGIC: &[u8; 7] = b"ATELOBJ";
const VERSION: u8 = 1;

/// Which ring of keys: made at random with the ring, and kept through all rotations.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RingId(pub [u8; 16]);

impl fmt::Display for RingId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for RingId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A header, taken apart. Nothing of it is secret; all of it is authenticated when the data key is unwrapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// The ring that the wrapping key is in.
    pub ring: RingId,
    /// Which key of the ring.
    pub generation: u32,
    pub(crate) nonce: [u8; 12],
    pub(crate) wrapped: [u8; KEY_LEN + TAG_LEN],
}

impl Header {
    /// The first [`HEADER_LEN`] bytes of the object.
    pub fn encode(&self) -> [u8; HEADER_LEN] {
        let mut bytes = [0; HEADER_LEN];
        bytes[..28].copy_from_slice(&self.prefix());
        bytes[28..40].copy_from_slice(&self.nonce);
        bytes[40..].copy_from_slice(&self.wrapped);
        bytes
    }

    /// Reads the first bytes of an object.
    ///
    /// # Errors
    /// When they are not the header of an object of a known version. Whether the rest is right is known when the data
    /// key has been unwrapped.
    pub fn decode(bytes: &[u8]) -> Result<Self, FormatError> {
        let seen = bytes.len().min(MAGIC.len());
        if bytes[..seen] != MAGIC[..seen] {
            return Err(FormatError::NotOurs);
        }
        if let Some(&version) = bytes.get(7)
            && version != VERSION
        {
            return Err(FormatError::Version(version));
        }
        let Some(bytes) = bytes.first_chunk::<HEADER_LEN>() else {
            return Err(FormatError::TooShort(bytes.len() as u64));
        };
        Ok(Self {
            ring: RingId(take(bytes, 8)),
            generation: u32::from_be_bytes(take(bytes, 24)),
            nonce: take(bytes, 28),
            wrapped: take(bytes, 40),
        })
    }

    /// What comes before the nonce: authenticated by the wrap.
    pub(crate) fn prefix(&self) -> [u8; 28] {
        prefix(self.ring, self.generation)
    }
}

pub(crate) fn prefix(ring: RingId, generation: u32) -> [u8; 28] {
    let mut bytes = [0; 28];
    bytes[..7].copy_from_slice(MAGIC);
    bytes[7] = VERSION;
    bytes[8..24].copy_from_slice(&ring.0);
    bytes[24..].copy_from_slice(&generation.to_be_bytes());
    bytes
}

fn take<const N: usize>(bytes: &[u8; HEADER_LEN], from: usize) -> [u8; N] {
    std::array::from_fn(|at| bytes[from + at])
}
