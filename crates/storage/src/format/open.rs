//! Object to content.

use bytes::{Buf, BytesMut};

use super::{Chunks, FormatError, Layout, ObjectKey, Span};

/// Opens chunks as they come, and gives out only what has been authenticated. Holds at most one chunk, and what was
/// pushed at once.
pub struct Opener {
    chunks: Chunks,
    layout: Layout,
    index: u64,
    /// After the last chunk that is wanted.
    end: u64,
    sealed: BytesMut,
    skip: u64,
    take: u64,
}

impl Opener {
    /// For a span of an object: its bytes are to be pushed, in order.
    ///
    /// # Errors
    /// When there is no cipher.
    pub fn new(key: &ObjectKey, layout: Layout, span: &Span) -> Result<Self, FormatError> {
        let mut end = span.first;
        let mut bytes = span.bytes.end - span.bytes.start;
        while bytes > 0 && end < layout.chunks() {
            bytes = bytes.saturating_sub(layout.sealed_len(end));
            end += 1;
        }
        Ok(Self {
            chunks: Chunks::new(key)?,
            layout,
            index: span.first,
            end,
            sealed: BytesMut::new(),
            skip: span.skip,
            take: span.take,
        })
    }

    /// Takes bytes of the object, and adds to `out` what could be opened.
    ///
    /// # Errors
    /// When they are not what was sealed for this object, at this place. What `out` was given before is right.
    pub fn push(&mut self, object: &[u8], out: &mut BytesMut) -> Result<(), FormatError> {
        self.sealed.extend_from_slice(object);
        while self.index < self.end {
            let len = self.layout.sealed_len(self.index) as usize;
            if self.sealed.len() < len {
                return Ok(());
            }
            let mut chunk = self.sealed.split_to(len);
            let last = self.index + 1 == self.layout.chunks();
            let content = self
                .chunks
                .cipher
                .open_in_place(
                    Chunks::nonce(self.index, last),
                    self.chunks.aad(),
                    &mut chunk,
                )
                .map_err(|_| FormatError::Chunk(self.index))?;
            let mut content = &content[..];
            let skip = self.skip.min(content.len() as u64);
            content.advance(skip as usize);
            self.skip -= skip;
            let take = self.take.min(content.len() as u64);
            out.extend_from_slice(&content[..take as usize]);
            self.take -= take;
            self.index += 1;
        }
        if self.sealed.is_empty() {
            Ok(())
        } else {
            Err(FormatError::Excess)
        }
    }

    /// Ends it. Content that was given out is all of it only after this.
    ///
    /// # Errors
    /// When the object ended before its length.
    pub fn finish(self) -> Result<(), FormatError> {
        if self.index == self.end && self.take == 0 {
            Ok(())
        } else {
            Err(FormatError::Truncated)
        }
    }
}
