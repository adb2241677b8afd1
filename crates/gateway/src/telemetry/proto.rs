//! Writes protobuf: the little of it that OTLP needs, into one buffer, without a message in memory first.
//!
//! <https://protobuf.dev/programming-guides/encoding/>

/// A message being written.
#[derive(Debug, Default)]
pub struct Writer(Vec<u8>);

/// How a field's value is written.
const VARINT: u32 = 0;
const FIXED64: u32 = 1;
const BYTES: u32 = 2;
const FIXED32: u32 = 5;

impl Writer {
    /// With room for so many bytes.
    #[must_use]
    pub fn with_capacity(bytes: usize) -> Self {
        Self(Vec::with_capacity(bytes))
    }

    /// What was written.
    #[must_use]
    pub fn finish(self) -> Vec<u8> {
        self.0
    }

    fn key(&mut self, field: u32, wire: u32) {
        self.varint(u64::from(field << 3 | wire));
    }

    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    /// An integer, an enumeration's value or a truth value.
    pub fn uint(&mut self, field: u32, value: u64) {
        self.key(field, VARINT);
        self.varint(value);
    }

    /// A `fixed64`.
    pub fn fixed64(&mut self, field: u32, value: u64) {
        self.key(field, FIXED64);
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    /// A `double`.
    pub fn double(&mut self, field: u32, value: f64) {
        self.fixed64(field, value.to_bits());
    }

    /// A `fixed32`.
    pub fn fixed32(&mut self, field: u32, value: u32) {
        self.key(field, FIXED32);
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    /// Bytes or a string.
    pub fn bytes(&mut self, field: u32, value: &[u8]) {
        self.key(field, BYTES);
        self.varint(value.len() as u64);
        self.0.extend_from_slice(value);
    }

    /// A string in parts.
    pub fn text(&mut self, field: u32, parts: &[&str]) {
        self.key(field, BYTES);
        self.varint(parts.iter().map(|part| part.len() as u64).sum());
        for part in parts {
            self.0.extend_from_slice(part.as_bytes());
        }
    }

    /// Fields that were written before.
    pub fn append(&mut self, fields: &[u8]) {
        self.0.extend_from_slice(fields);
    }

    /// A message in the message.
    pub fn message(&mut self, field: u32, content: impl FnOnce(&mut Self)) {
        self.key(field, BYTES);
        let at = self.0.len();
        // Room for a length below 128, which most have.
        self.0.push(0);
        content(self);
        let length = self.0.len() - at - 1;
        if length < 0x80 {
            self.0[at] = length as u8;
            return;
        }
        // What was written moves aside, by one byte for most: that is less than to count beforehand.
        let mut prefix = ([0; 10], 0);
        let mut left = length as u64;
        while left > 0 {
            prefix.0[prefix.1] = left as u8 & 0x7f | if left >= 0x80 { 0x80 } else { 0 };
            prefix.1 += 1;
            left >>= 7;
        }
        let (bytes, count) = prefix;
        self.0.splice(at..=at, bytes[..count].iter().copied());
    }
}

/// The value of a field in a message, the last one of those that there are: a message as bytes, a number as itself.
pub fn field(mut message: &[u8], wanted: u32) -> Option<Field<'_>> {
    let mut found = None;
    while !message.is_empty() {
        let key = read_varint(&mut message)?;
        let value = match u32::try_from(key & 7).ok()? {
            VARINT => Field::Number(read_varint(&mut message)?),
            FIXED64 => Field::Bytes(message.split_off(..8)?),
            FIXED32 => Field::Bytes(message.split_off(..4)?),
            BYTES => {
                let length = usize::try_from(read_varint(&mut message)?).ok()?;
                Field::Bytes(message.split_off(..length)?)
            }
            _ => return None,
        };
        if key >> 3 == u64::from(wanted) {
            found = Some(value);
        }
    }
    found
}

/// A field's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field<'a> {
    /// A number.
    Number(u64),
    /// Anything else.
    Bytes(&'a [u8]),
}

fn read_varint(from: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let byte = from.split_off_first()?;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_written_as_the_specification_has_them() {
        // Its own examples: field 1 with 150, field 2 with "testing", field 3 with the first.
        let mut writer = Writer::default();
        writer.uint(1, 150);
        writer.bytes(2, b"testing");
        writer.message(3, |inner| inner.uint(1, 150));
        let expected = b"\x08\x96\x01\x12\x07testing\x1a\x03\x08\x96\x01";
        assert_eq!(writer.finish(), expected);
    }

    #[test]
    fn a_long_message_has_a_long_length() {
        for length in [0, 1, 124, 125, 126, 127, 128, 16_383, 16_384, 300_000] {
            let text = vec![b'x'; length];
            let mut writer = Writer::default();
            writer.message(1, |outer| outer.message(2, |inner| inner.bytes(3, &text)));
            writer.uint(4, 7);
            let all = writer.finish();
            let Some(Field::Bytes(outer)) = field(&all, 1) else {
                unreachable!("{length}");
            };
            let Some(Field::Bytes(inner)) = field(outer, 2) else {
                unreachable!("{length}");
            };
            assert_eq!(field(inner, 3), Some(Field::Bytes(&text)));
            assert_eq!(field(&all, 4), Some(Field::Number(7)));
        }
    }

    #[test]
    fn nonsense_has_no_fields() {
        for bad in [
            &b"\x08"[..],
            b"\x12\x05a",
            b"\x0b",
            b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
            b"\x09\x01",
        ] {
            assert_eq!(field(bad, 1), None, "{bad:?}");
        }
    }
}
