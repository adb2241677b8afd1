//! One body of a call, as far as it is collected: copied while it passes.

use std::sync::Arc;

use http::{HeaderMap, header::CONTENT_TYPE};

use super::{
    budget::{Budget, Hold},
    content::{Form, Skipped, form},
};
use crate::record::clipped;

/// Characters of a content type that are kept.
const TYPE_LONGEST: usize = 128;

/// An input, or a prediction.
#[derive(Debug)]
pub struct Side {
    /// What it is by its header, or why it is not collected.
    pub form: Result<Form, Skipped>,
    /// Its `Content-Type`, cut at 128 characters.
    pub content_type: Option<String>,
    /// What has passed, as far as it is collected.
    pub bytes: Vec<u8>,
    /// How many have passed.
    pub len: u64,
    most: usize,
    is_whole: bool,
    hold: Hold,
}

impl Side {
    /// The body that comes after this header, if it has no more than `most` bytes.
    #[must_use]
    pub fn new(headers: &HeaderMap, most: usize, budget: &Arc<Budget>) -> Self {
        let content_type = headers.get(CONTENT_TYPE).map(|value| {
            let text = String::from_utf8_lossy(value.as_bytes());
            clipped(&text, TYPE_LONGEST).to_owned()
        });
        Self {
            form: form(headers),
            content_type,
            bytes: Vec::new(),
            len: 0,
            most,
            is_whole: false,
            hold: Hold::new(budget),
        }
    }

    /// Copies what passes. A clone of it would be cheaper, and keep alive the whole buffer of its connection, headers and
    /// all, however little of it is the body: what is held could not be counted.
    pub fn take(&mut self, data: &[u8]) {
        self.len += data.len() as u64;
        if self.form.is_err() {
            return;
        }
        let needs = self.bytes.len() + data.len();
        if needs > self.most {
            return self.skip(Skipped::TooLong);
        }
        let has = self.bytes.capacity();
        if needs > has {
            let capacity = needs.max(2 * has).min(self.most);
            if !self.hold.grow(capacity - has) {
                return self.skip(Skipped::NoRoom);
            }
            self.bytes.reserve_exact(capacity - self.bytes.len());
        }
        self.bytes.extend_from_slice(data);
    }

    /// Notes that it has passed to its end.
    pub fn end(&mut self) {
        self.is_whole = true;
    }

    /// Ends the copying of it. What was not all of it is nothing.
    pub fn close(&mut self) {
        if !self.is_whole && self.form.is_ok() {
            self.skip(Skipped::Unread);
        }
    }

    fn skip(&mut self, why: Skipped) {
        self.form = Err(why);
        self.bytes = Vec::new();
        self.hold.release();
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn side(content_type: &'static str, most: usize, budget: &Arc<Budget>) -> Side {
        let value = HeaderValue::from_static(content_type);
        Side::new(&[(CONTENT_TYPE, value)].into_iter().collect(), most, budget)
    }

    #[test]
    fn what_passes_is_copied_to_the_last_byte_that_is_allowed_and_what_it_takes_is_counted() {
        let budget = Budget::new(1000);
        let mut whole = side("text/plain", 100, &budget);
        for _ in 0..100 {
            whole.take(b"x");
        }
        whole.end();
        whole.close();
        assert_eq!((whole.form, whole.bytes.len()), (Ok(Form::Text), 100));
        assert_eq!(budget.held(), whole.bytes.capacity());
        let mut long = side("text/plain", 100, &budget);
        long.take(&[b'x'; 100]);
        long.take(b"x");
        long.take(&[b'x'; 900]);
        assert_eq!((long.form, long.len), (Err(Skipped::TooLong), 1001));
        assert_eq!((long.bytes.capacity(), budget.held()), (0, 100));
        drop((whole, long));
        assert_eq!(budget.held(), 0);
    }

    #[test]
    fn what_is_not_collected_takes_no_room() {
        let budget = Budget::new(1000);
        let mut image = side("image/png", 100, &budget);
        image.take(b"abc");
        assert_eq!((image.form, image.len), (Err(Skipped::ContentType), 3));
        let mut half = side("text/plain", 100, &budget);
        half.take(b"abc");
        half.close();
        assert_eq!((half.form, half.len), (Err(Skipped::Unread), 3));
        assert_eq!(budget.held(), 0);
    }

    #[test]
    fn without_room_nothing_is_copied() {
        let budget = Budget::new(10);
        let mut one = side("text/plain", 100, &budget);
        one.take(&[b'x'; 10]);
        let mut other = side("text/plain", 100, &budget);
        other.take(b"x");
        other.take(b"x");
        assert_eq!((other.form, other.len), (Err(Skipped::NoRoom), 2));
        assert_eq!(one.bytes.len(), 10);
    }
}
