//! The events of a watch: one JSON object a line.

use hyper::body::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::json;

/// Type of a watch event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum EventType {
    /// There is a new object, or one that matches the selector now.
    Added,
    /// An object has changed.
    Modified,
    /// An object has gone, or matches the selector no more.
    Deleted,
    /// Nothing has happened up to this version.
    Bookmark,
    /// The watch has failed.
    Error,
}

impl EventType {
    /// Whether it tells of an object that has changed.
    pub fn is_change(self) -> bool {
        matches!(self, Self::Added | Self::Modified | Self::Deleted)
    }
}

/// What is to be known about an object.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Meta {
    pub namespace: String,
    pub name: String,
    pub uid: String,
    pub resource_version: String,
}

#[derive(Deserialize)]
struct Envelope {
    r#type: EventType,
    object: Object,
}

#[derive(Deserialize)]
struct Object {
    #[serde(default)]
    kind: String,
    #[serde(default)]
    metadata: Meta,
}

/// An event as it came.
#[derive(Clone, Debug)]
pub(super) struct Frame {
    /// The line, with its end.
    pub bytes: Bytes,
    pub event: EventType,
    pub kind: String,
    pub meta: Meta,
}

impl Frame {
    /// Reads a line. What cannot be read is an error that the client has to make sense of.
    pub fn parse(bytes: Bytes) -> Self {
        match serde_json::from_slice::<Envelope>(&bytes) {
            Ok(Envelope { r#type, object }) => Self {
                bytes,
                event: r#type,
                kind: object.kind,
                meta: object.metadata,
            },
            Err(_) => Self {
                bytes,
                event: EventType::Error,
                kind: String::new(),
                meta: Meta::default(),
            },
        }
    }

    /// What the API server says of a version that it no longer knows.
    pub fn expired() -> Self {
        let event = json!({"type": "ERROR", "object": super::answers::status(
            410,
            "Expired",
            "too old resource version: the proxy says so",
        )});
        Self::parse(format!("{event}\n").into())
    }
}

/// Cuts a stream of bytes into lines.
#[derive(Debug, Default)]
pub(super) struct Splitter {
    rest: Vec<u8>,
}

impl Splitter {
    /// Takes more bytes and returns the lines that are complete.
    pub fn push(&mut self, bytes: &[u8]) -> Vec<Bytes> {
        let mut lines = Vec::new();
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.rest.extend_from_slice(piece);
            if piece.ends_with(b"\n") {
                lines.push(std::mem::take(&mut self.rest).into());
            }
        }
        lines
    }

    /// A last line without an end.
    pub fn finish(self) -> Option<Bytes> {
        Some(self.rest.into()).filter(|rest: &Bytes| !rest.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::{EventType, Frame, Splitter};

    #[test]
    fn lines_are_whole_wherever_they_were_cut() {
        let text = b"{\"a\":1}\n{\"b\":2}\n{\"c\"";
        for size in 1..text.len() {
            let mut splitter = Splitter::default();
            let lines: Vec<_> = text
                .chunks(size)
                .flat_map(|chunk| splitter.push(chunk))
                .collect();
            assert_eq!(lines, [&b"{\"a\":1}\n"[..], b"{\"b\":2}\n"], "{size}");
            assert_eq!(splitter.finish().unwrap(), &b"{\"c\""[..]);
        }
        assert!(Splitter::default().finish().is_none());
    }

    #[test]
    fn events_are_read() {
        let line = r#"{"type":"MODIFIED","object":{"apiVersion":"v1","kind":"Pod","metadata":
            {"name":"p","namespace":"a","uid":"u","resourceVersion":"7","labels":{}}}}"#;
        let frame = Frame::parse(line.into());
        assert_eq!(
            (frame.event, frame.kind.as_str()),
            (EventType::Modified, "Pod")
        );
        assert_eq!(frame.meta.resource_version, "7");
        let bookmark =
            r#"{"type":"BOOKMARK","object":{"kind":"Pod","metadata":{"resourceVersion":"9"}}}"#;
        assert_eq!(Frame::parse(bookmark.into()).event, EventType::Bookmark);
        assert_eq!(Frame::parse("nonsense\n".into()).event, EventType::Error);
        assert_eq!(Frame::expired().kind, "Status");
    }
}
