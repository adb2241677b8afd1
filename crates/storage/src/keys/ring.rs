//! The keys of one workspace.

use std::{collections::BTreeMap, fmt};

use aws_lc_rs::aead::{Aad, Nonce};
use zeroize::Zeroizing;

use super::KeyError;
use crate::{
    Entropy,
    format::{Header, KEY_LEN, ObjectKey, Owner, RingId, TAG_LEN, binding, cipher, prefix},
};

pub(super) type Key = Zeroizing<[u8; KEY_LEN]>;

/// The keys of one workspace, by generations. The newest wraps what is written; all unwrap.
///
/// A generation is good for 2³² objects, the bound for random nonces of AES-GCM.
#[derive(Clone)]
pub struct KeyRing {
    pub(super) id: RingId,
    /// Never empty.
    pub(super) keys: BTreeMap<u32, Key>,
}

impl KeyRing {
    /// A new ring with a first key.
    ///
    /// # Errors
    /// Without randomness.
    pub fn generate(entropy: &dyn Entropy) -> Result<Self, KeyError> {
        let mut id = [0; 16];
        entropy.fill(&mut id)?;
        Ok(Self {
            id: RingId(id),
            keys: BTreeMap::from([(1, key(entropy)?)]),
        })
    }

    /// The same ring with a newer key. Objects that exist keep theirs, and stay readable.
    ///
    /// # Errors
    /// Without randomness, or when every number has been used.
    pub fn with_next_generation(&self, entropy: &dyn Entropy) -> Result<Self, KeyError> {
        let next = self
            .generation()
            .checked_add(1)
            .ok_or(KeyError::NoMoreGenerations)?;
        let mut ring = self.clone();
        ring.keys.insert(next, key(entropy)?);
        Ok(ring)
    }

    /// Which ring it is.
    pub fn id(&self) -> RingId {
        self.id
    }

    /// The generation that wraps what is written now.
    pub fn generation(&self) -> u32 {
        self.keys
            .last_key_value()
            .map_or(0, |(generation, _)| *generation)
    }

    /// Whether the ring has the key that a header names.
    pub fn knows(&self, header: &Header) -> bool {
        header.ring == self.id && self.keys.contains_key(&header.generation)
    }

    /// A data key for an object that is about to be written, and the header that says so.
    ///
    /// # Errors
    /// Without randomness.
    pub fn wrap(
        &self,
        owner: &Owner,
        path: &str,
        entropy: &dyn Entropy,
    ) -> Result<(Header, ObjectKey), KeyError> {
        let Some((&generation, wrapping)) = self.keys.last_key_value() else {
            return Err(KeyError::RingDamaged);
        };
        let data_key = key(entropy)?;
        let mut nonce = [0; 12];
        entropy.fill(&mut nonce)?;
        let mut wrapped = [0; KEY_LEN + TAG_LEN];
        wrapped[..KEY_LEN].copy_from_slice(&*data_key);
        let tag = cipher(wrapping)?
            .seal_in_place_separate_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(aad(self.id, generation, owner, path)),
                &mut wrapped[..KEY_LEN],
            )
            .map_err(|_| crate::format::FormatError::Cipher)?;
        wrapped[KEY_LEN..].copy_from_slice(tag.as_ref());
        let header = Header {
            ring: self.id,
            generation,
            nonce,
            wrapped,
        };
        Ok((header, ObjectKey::new(data_key, owner, path)))
    }

    /// The data key of an object that exists.
    ///
    /// # Errors
    /// When the ring does not have the key, or the header is not that of this object.
    pub fn unwrap(
        &self,
        header: &Header,
        owner: &Owner,
        path: &str,
    ) -> Result<ObjectKey, KeyError> {
        if header.ring != self.id {
            return Err(KeyError::OtherRing {
                wanted: header.ring,
                had: self.id,
            });
        }
        let wrapping = self
            .keys
            .get(&header.generation)
            .ok_or(KeyError::NoGeneration(header.generation))?;
        let mut wrapped = Zeroizing::new(header.wrapped);
        cipher(wrapping)?
            .open_in_place(
                Nonce::assume_unique_for_key(header.nonce),
                Aad::from(aad(header.ring, header.generation, owner, path)),
                &mut wrapped[..],
            )
            .map_err(|_| KeyError::NotThisObject)?;
        let mut data_key = Key::default();
        data_key.copy_from_slice(&wrapped[..KEY_LEN]);
        Ok(ObjectKey::new(data_key, owner, path))
    }
}

impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyRing")
            .field("id", &self.id)
            .field("generation", &self.generation())
            .finish_non_exhaustive()
    }
}

fn key(entropy: &dyn Entropy) -> Result<Key, KeyError> {
    let mut key = Key::default();
    entropy.fill(&mut *key)?;
    Ok(key)
}

/// All of the header but the wrap itself, and where the object belongs.
fn aad(ring: RingId, generation: u32, owner: &Owner, path: &str) -> [u8; 60] {
    let mut bytes = [0; 60];
    bytes[..28].copy_from_slice(&prefix(ring, generation));
    bytes[28..].copy_from_slice(&binding(owner, path));
    bytes
}
