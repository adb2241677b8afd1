//! Where what lies: arithmetic between the content's lengths and the object's.

use std::ops::Range;

use super::{FormatError, HEADER_LEN, TAG_LEN};

/// Bytes of content in a chunk; the last one of an object has fewer, or as many.
pub const CHUNK_LEN: u64 = 64 * 1024;
const SEALED_LEN: u64 = CHUNK_LEN + TAG_LEN as u64;

/// How an object of some length is divided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    chunks: u64,
    last: u64,
}

/// Some chunks of an object that lie side by side, for a part of its content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// The first chunk's number.
    pub first: u64,
    /// The bytes of the object that hold them.
    pub bytes: Range<u64>,
    /// How much of the first chunk's content is before what was asked for.
    pub skip: u64,
    /// How many bytes of content were asked for.
    pub take: u64,
}

impl Layout {
    /// Of content of some length. An empty one has one empty chunk.
    pub fn of_content(len: u64) -> Self {
        let chunks = len.div_ceil(CHUNK_LEN).max(1);
        Self {
            chunks,
            last: len - (chunks - 1) * CHUNK_LEN,
        }
    }

    /// Of an object of some length.
    ///
    /// # Errors
    /// When no object has this length.
    pub fn of_object(len: u64) -> Result<Self, FormatError> {
        let body = len
            .checked_sub(HEADER_LEN as u64)
            .filter(|body| *body >= TAG_LEN as u64)
            .ok_or(FormatError::TooShort(len))?;
        let chunks = body.div_ceil(SEALED_LEN);
        let last = (body - (chunks - 1) * SEALED_LEN)
            .checked_sub(TAG_LEN as u64)
            // An empty last chunk after others would be a second way to write the same content.
            .filter(|last| *last > 0 || chunks == 1)
            .ok_or(FormatError::Length(len))?;
        Ok(Self { chunks, last })
    }

    /// Bytes of content.
    pub fn content_len(&self) -> u64 {
        (self.chunks - 1) * CHUNK_LEN + self.last
    }

    /// Bytes of the object, header included.
    pub fn object_len(&self) -> u64 {
        HEADER_LEN as u64 + (self.chunks - 1) * SEALED_LEN + self.last + TAG_LEN as u64
    }

    /// How many chunks there are, at least one.
    pub fn chunks(&self) -> u64 {
        self.chunks
    }

    /// Bytes of a chunk, sealed.
    pub(super) fn sealed_len(&self, index: u64) -> u64 {
        if index + 1 == self.chunks {
            self.last + TAG_LEN as u64
        } else {
            SEALED_LEN
        }
    }

    /// All of it.
    pub fn whole(&self) -> Span {
        Span {
            first: 0,
            bytes: HEADER_LEN as u64..self.object_len(),
            skip: 0,
            take: self.content_len(),
        }
    }

    /// The chunks that hold a part of the content. `None` if the content does not have all of the part.
    pub fn span(&self, part: Range<u64>) -> Option<Span> {
        if part.start > part.end || part.end > self.content_len() {
            return None;
        }
        // The place after the end lies in the last chunk too: an empty part is still proved to be one.
        let first = (part.start / CHUNK_LEN).min(self.chunks - 1);
        let last = if part.is_empty() {
            first
        } else {
            (part.end - 1) / CHUNK_LEN
        };
        let start = HEADER_LEN as u64 + first * SEALED_LEN;
        let end = HEADER_LEN as u64 + last * SEALED_LEN + self.sealed_len(last);
        Some(Span {
            first,
            bytes: start..end,
            skip: part.start - first * CHUNK_LEN,
            take: part.end - part.start,
        })
    }
}
