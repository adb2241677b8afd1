//! What a body is, by its header and by its bytes. Pure.

use std::{fmt, str};

use http::{
    HeaderMap,
    header::{CONTENT_ENCODING, CONTENT_TYPE},
};
use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, SeqAccess, Visitor},
};

/// What a header says of a body that may be collected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// JSON.
    Json,
    /// Text of another kind.
    Text,
    /// A form, which is what `curl --data` calls everything: JSON where it is an object or an array, and else text.
    Fields,
    /// Nothing is said: likewise, and else nothing that can be told.
    Unknown,
}

/// Why a body is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Skipped {
    /// It is no text: an image, audio, video, or something unknown.
    ContentType,
    /// It is compressed.
    ContentEncoding,
    /// It is said to be text, and no UTF-8.
    NotText,
    /// It is longer than what is collected.
    TooLong,
    /// The model answered without having read all of it.
    Unread,
    /// There was no room for it. Such a call is lost as a whole, and counted.
    NoRoom,
}

impl Skipped {
    /// As it stands in a line.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ContentType => "ContentType",
            Self::ContentEncoding => "ContentEncoding",
            Self::NotText => "NotText",
            Self::TooLong => "TooLong",
            Self::Unread => "Unread",
            Self::NoRoom => "NoRoom",
        }
    }
}

/// What a header says of its body.
///
/// # Errors
/// Why the body is not to be collected.
pub fn form(headers: &HeaderMap) -> Result<Form, Skipped> {
    let mut codings = headers.get_all(CONTENT_ENCODING).iter();
    if !codings.all(|coding| coding.as_bytes().eq_ignore_ascii_case(b"identity")) {
        return Err(Skipped::ContentEncoding);
    }
    let Some(value) = headers.get(CONTENT_TYPE) else {
        return Ok(Form::Unknown);
    };
    let text = str::from_utf8(value.as_bytes()).map_err(|_| Skipped::ContentType)?;
    let (essence, _) = text.split_once(';').unwrap_or((text, ""));
    let essence = essence.trim().to_ascii_lowercase();
    let (kind, sub) = essence.split_once('/').ok_or(Skipped::ContentType)?;
    match (kind, sub) {
        // Some of them are XML.
        ("image" | "audio" | "video", _) => Err(Skipped::ContentType),
        (_, "json") => Ok(Form::Json),
        (_, sub) if sub.ends_with("+json") => Ok(Form::Json),
        ("application", "x-www-form-urlencoded") => Ok(Form::Fields),
        ("application", "xml" | "x-ndjson" | "jsonl") | ("text", _) => Ok(Form::Text),
        (_, sub) if sub.ends_with("+xml") => Ok(Form::Text),
        _ => Err(Skipped::ContentType),
    }
}

/// A body as it stands in a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content<'a> {
    /// There is none.
    Empty,
    /// A value of JSON, to be put there as it is but for white space between its parts.
    Json(&'a str),
    /// Text, to be put there as a string.
    Text(&'a str),
}

/// What a body is.
///
/// # Errors
/// Why it cannot be put into a line.
pub fn content(form: Form, body: &[u8]) -> Result<Content<'_>, Skipped> {
    if body.is_empty() {
        return Ok(Content::Empty);
    }
    let not_text = match form {
        Form::Unknown => Skipped::ContentType,
        _ => Skipped::NotText,
    };
    let text = str::from_utf8(body).map_err(|_| not_text)?;
    let is_whole = text.trim_start().starts_with(['{', '[']);
    let may_be_json = form == Form::Json || form != Form::Text && is_whole;
    match may_be_json && serde_json::from_str::<Readable>(text).is_ok() {
        true => Ok(Content::Json(text)),
        false if form == Form::Unknown => Err(Skipped::ContentType),
        false => Ok(Content::Text(text)),
    }
}

/// A value of JSON that whoever reads the lines can read too: not nested beyond 128, no half of a surrogate pair, no
/// number beyond a double's. Otherwise one caller could make a whole file unreadable to its reader. Nothing of it is kept.
struct Readable;

impl<'de> Deserialize<'de> for Readable {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reading)
    }
}

struct Reading;

impl<'de> Visitor<'de> for Reading {
    type Value = Readable;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Readable, E> {
        Ok(Readable)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Readable, E> {
        Ok(Readable)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Readable, E> {
        Ok(Readable)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Readable, E> {
        Ok(Readable)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Readable, E> {
        Ok(Readable)
    }

    fn visit_str<E>(self, _: &str) -> Result<Readable, E> {
        Ok(Readable)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut all: A) -> Result<Readable, A::Error> {
        while all.next_element::<Readable>()?.is_some() {}
        Ok(Readable)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut all: A) -> Result<Readable, A::Error> {
        while all.next_entry::<Readable, Readable>()?.is_some() {}
        Ok(Readable)
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn judged(content_type: &str, coding: Option<&str>) -> Result<Form, Skipped> {
        let mut headers = HeaderMap::new();
        let value = |text| HeaderValue::from_str(text).expect("a value");
        if !content_type.is_empty() {
            headers.insert(CONTENT_TYPE, value(content_type));
        }
        if let Some(coding) = coding {
            headers.insert(CONTENT_ENCODING, value(coding));
        }
        form(&headers)
    }

    #[test]
    fn text_is_collected_and_nothing_else() {
        for (content_type, expected) in [
            ("application/json", Ok(Form::Json)),
            ("Application/JSON ; charset=utf-8", Ok(Form::Json)),
            ("application/vnd.seldon+json", Ok(Form::Json)),
            ("text/csv; header=present", Ok(Form::Text)),
            ("text/event-stream", Ok(Form::Text)),
            ("application/soap+xml", Ok(Form::Text)),
            ("application/x-www-form-urlencoded", Ok(Form::Fields)),
            ("", Ok(Form::Unknown)),
            ("image/png", Err(Skipped::ContentType)),
            ("image/svg+xml", Err(Skipped::ContentType)),
            ("audio/wav", Err(Skipped::ContentType)),
            ("video/mp4", Err(Skipped::ContentType)),
            ("application/octet-stream", Err(Skipped::ContentType)),
            ("multipart/form-data; boundary=x", Err(Skipped::ContentType)),
            ("json", Err(Skipped::ContentType)),
        ] {
            assert_eq!(judged(content_type, None), expected, "{content_type}");
        }
        let json = "application/json";
        assert_eq!(judged(json, Some("Identity")), Ok(Form::Json));
        for coding in ["gzip", "identity, gzip", "br"] {
            assert_eq!(judged(json, Some(coding)), Err(Skipped::ContentEncoding));
        }
    }

    #[test]
    fn json_is_a_value_where_everybody_can_read_it() {
        use Content::{Empty, Json, Text};
        let of = |form, body: &'static str| content(form, body.as_bytes());
        for good in [
            "{\"a\": [1, 2.5e3, null, true, \"\\ud83d\\ude00\"]}",
            "7",
            "\"x\"",
            " [] ",
        ] {
            assert_eq!(of(Form::Json, good), Ok(Json(good)));
        }
        for bad in [
            "{",
            "[1,]",
            "NaN",
            "{'a': 1}",
            "\"\\ud83d\"",
            "1e999",
            "1 2",
            "\u{feff}1",
        ] {
            assert_eq!(of(Form::Json, bad), Ok(Text(bad)));
        }
        let deep = "[".repeat(500) + &"]".repeat(500);
        assert_eq!(content(Form::Json, deep.as_bytes()), Ok(Text(&deep)));
        // What curl sends unless told otherwise.
        assert_eq!(of(Form::Fields, "{\"a\":1}"), Ok(Json("{\"a\":1}")));
        assert_eq!(of(Form::Fields, "a=1&b=2"), Ok(Text("a=1&b=2")));
        assert_eq!(of(Form::Fields, "12"), Ok(Text("12")));
        assert_eq!(of(Form::Text, "[1]"), Ok(Text("[1]")));
        assert_eq!(of(Form::Unknown, "[1]"), Ok(Json("[1]")));
        assert_eq!(of(Form::Unknown, "abc"), Err(Skipped::ContentType));
        for form in [Form::Json, Form::Text, Form::Fields, Form::Unknown] {
            assert_eq!(content(form, b""), Ok(Empty));
        }
        assert_eq!(content(Form::Text, b"\xff"), Err(Skipped::NotText));
        assert_eq!(content(Form::Unknown, b"\xff"), Err(Skipped::ContentType));
    }
}
