//! A ring as it is kept: wrapped by a key-encryption key.

use std::{collections::BTreeMap, fmt};

use aws_lc_rs::{
    aead::{Aad, Nonce},
    digest,
};
use zeroize::Zeroizing;

use super::{KeyError, KeyRing, ring::Key};
use crate::{
    Entropy,
    format::{FormatError, KEY_LEN, Owner, RingId, TAG_LEN, cipher},
};

const MAGIC: &[u8; 8] = b"ATELKEY\x01";
/// Magic, ring, key-encryption key, nonce.
const PREFIX_LEN: usize = 44;
const ENTRY_LEN: usize = 4 + KEY_LEN;
/// More generations than hourly rotations of a year.
const MOST_KEYS: usize = 16_384;

/// Tells key-encryption keys apart without saying anything of them: the beginning of a digest of 32 random bytes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct KekId([u8; 8]);

impl fmt::Display for KekId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for KekId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A key-encryption key: the service's own, or the user's.
#[derive(Clone)]
pub struct Kek(Key);

impl Kek {
    /// From the bytes of a Secret: exactly 32, and random.
    ///
    /// # Errors
    /// When there are more or fewer.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, KeyError> {
        let mut key = Key::default();
        if bytes.len() != KEY_LEN {
            return Err(KeyError::KekLength(bytes.len()));
        }
        key.copy_from_slice(bytes);
        Ok(Self(key))
    }

    /// Which one it is.
    pub fn id(&self) -> KekId {
        let mut context = digest::Context::new(&digest::SHA256);
        context.update(b"atelier kek 1");
        context.update(&*self.0);
        let mut id = [0; 8];
        id.copy_from_slice(&context.finish().as_ref()[..8]);
        KekId(id)
    }
}

impl fmt::Debug for Kek {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Kek({})", self.id())
    }
}

impl KeyRing {
    /// The ring as it is kept, for one workspace.
    ///
    /// # Errors
    /// Without randomness.
    pub fn seal(
        &self,
        kek: &Kek,
        owner: &Owner,
        entropy: &dyn Entropy,
    ) -> Result<Vec<u8>, KeyError> {
        // In clear until the last lines.
        let len = PREFIX_LEN + self.keys.len() * ENTRY_LEN + TAG_LEN;
        let mut bytes = Zeroizing::new(Vec::with_capacity(len));
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&self.id.0);
        bytes.extend_from_slice(&kek.id().0);
        let mut nonce = [0; 12];
        entropy.fill(&mut nonce)?;
        bytes.extend_from_slice(&nonce);
        let aad = aad(&bytes[..32], owner);
        for (generation, key) in &self.keys {
            bytes.extend_from_slice(&generation.to_be_bytes());
            bytes.extend_from_slice(&**key);
        }
        let tag = cipher(&kek.0)?
            .seal_in_place_separate_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(aad),
                &mut bytes[PREFIX_LEN..],
            )
            .map_err(|_| FormatError::Cipher)?;
        bytes.extend_from_slice(tag.as_ref());
        Ok(std::mem::take(&mut *bytes))
    }

    /// Reads a ring that was kept.
    ///
    /// # Errors
    /// When another key wraps it, when it is damaged, or when it is another workspace's.
    pub fn open(sealed: &[u8], kek: &Kek, owner: &Owner) -> Result<Self, KeyError> {
        let wrapped_by = Self::wrapped_by(sealed)?;
        if wrapped_by != kek.id() {
            return Err(KeyError::WrongKek {
                wrapped_by,
                given: kek.id(),
            });
        }
        let (prefix, body) = sealed.split_at(PREFIX_LEN);
        let mut nonce = [0; 12];
        nonce.copy_from_slice(&prefix[32..]);
        let mut body = Zeroizing::new(body.to_vec());
        let entries = cipher(&kek.0)?
            .open_in_place(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(aad(&prefix[..32], owner)),
                &mut body,
            )
            .map_err(|_| KeyError::RingDamaged)?;
        let mut id = [0; 16];
        id.copy_from_slice(&prefix[8..24]);
        Ok(Self {
            id: RingId(id),
            keys: read(entries)?,
        })
    }

    /// Which key-encryption key wraps a ring that was kept. Not authenticated: a hint for an error or a condition.
    ///
    /// # Errors
    /// When it is no ring.
    pub fn wrapped_by(sealed: &[u8]) -> Result<KekId, KeyError> {
        let keys = sealed.len().checked_sub(PREFIX_LEN + TAG_LEN);
        let whole =
            keys.is_some_and(|len| len > 0 && len % ENTRY_LEN == 0 && len / ENTRY_LEN <= MOST_KEYS);
        if !whole || !sealed.starts_with(MAGIC) {
            return Err(KeyError::RingDamaged);
        }
        let mut id = [0; 8];
        id.copy_from_slice(&sealed[24..32]);
        Ok(KekId(id))
    }
}

/// The same ring, wrapped by another key: all there is to do when the key-encryption key is replaced.
///
/// # Errors
/// When the ring does not open with the key it had.
pub fn rewrap(
    sealed: &[u8],
    from: &Kek,
    to: &Kek,
    owner: &Owner,
    entropy: &dyn Entropy,
) -> Result<Vec<u8>, KeyError> {
    KeyRing::open(sealed, from, owner)?.seal(to, owner, entropy)
}

fn read(entries: &[u8]) -> Result<BTreeMap<u32, Key>, KeyError> {
    let mut keys = BTreeMap::new();
    for entry in entries.chunks_exact(ENTRY_LEN) {
        let mut generation = [0; 4];
        generation.copy_from_slice(&entry[..4]);
        let mut key = Key::default();
        key.copy_from_slice(&entry[4..]);
        keys.insert(u32::from_be_bytes(generation), key);
    }
    if keys.len() * ENTRY_LEN == entries.len() && !keys.is_empty() {
        Ok(keys)
    } else {
        Err(KeyError::RingDamaged)
    }
}

fn aad(prefix: &[u8], owner: &Owner) -> Vec<u8> {
    [prefix, owner.as_str().as_bytes()].concat()
}
