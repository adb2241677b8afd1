//! Content to object.

use bytes::BytesMut;

use super::{CHUNK_LEN, Chunks, FormatError, ObjectKey};

/// Seals content as it comes. Holds at most one chunk of it.
///
/// The header is not its business: it comes first, with [`super::Header::encode`].
pub struct Sealer {
    chunks: Chunks,
    index: u64,
    /// Of the next chunk. Sealed only when more comes, since the last one is sealed as the last.
    pending: zeroize::Zeroizing<Vec<u8>>,
}

impl Sealer {
    /// For one object. A key seals one content and never another: the numbers of the chunks begin anew.
    ///
    /// # Errors
    /// When there is no cipher.
    pub fn new(key: &ObjectKey) -> Result<Self, FormatError> {
        Ok(Self {
            chunks: Chunks::new(key)?,
            index: 0,
            pending: Vec::with_capacity(CHUNK_LEN as usize).into(),
        })
    }

    /// Takes content, and adds the chunks that are complete to `out`.
    ///
    /// # Errors
    /// When the cipher fails. The object is to be given up then.
    pub fn push(&mut self, mut content: &[u8], out: &mut BytesMut) -> Result<(), FormatError> {
        while !content.is_empty() {
            if self.pending.len() as u64 == CHUNK_LEN {
                self.seal(false, out)?;
            }
            let room = CHUNK_LEN as usize - self.pending.len();
            let (now, later) = content.split_at(room.min(content.len()));
            self.pending.extend_from_slice(now);
            content = later;
        }
        Ok(())
    }

    /// Adds the last chunk. Without it the object does not open, so a content that was cut off is never taken for all.
    ///
    /// # Errors
    /// When the cipher fails. The object is to be given up then.
    pub fn finish(mut self, out: &mut BytesMut) -> Result<(), FormatError> {
        self.seal(true, out)
    }

    fn seal(&mut self, last: bool, out: &mut BytesMut) -> Result<(), FormatError> {
        let nonce = Chunks::nonce(self.index, last);
        let start = out.len();
        out.extend_from_slice(&self.pending);
        let tag = self.chunks.cipher.seal_in_place_separate_tag(
            nonce,
            self.chunks.aad(),
            &mut out[start..],
        );
        let Ok(tag) = tag else {
            // Nothing in clear stays behind.
            out.truncate(start);
            return Err(FormatError::Cipher);
        };
        out.extend_from_slice(tag.as_ref());
        self.index += 1;
        self.pending.clear();
        Ok(())
    }
}
