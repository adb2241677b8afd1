//! The line of a call. Pure.

use jiff::Timestamp;
use serde::Serialize;

use super::{
    content::{Content, content},
    side::Side,
};
use crate::record::micros;

/// A call that is to be written.
#[derive(Debug)]
pub struct Taken {
    /// When the request's header was complete.
    pub time: Timestamp,
    /// The request id.
    pub request_id: String,
    /// The client's own id.
    pub client_request_id: Option<String>,
    /// What was asked.
    pub input: Side,
    /// What was answered.
    pub prediction: Side,
}

/// What is the same in every line of this process.
#[derive(Clone, Debug, Serialize)]
pub struct Whose {
    /// The service.
    pub service: String,
    /// Its workspace.
    pub workspace: String,
    /// Its namespace.
    pub namespace: String,
    /// The pod.
    pub replica: String,
}

/// What a line begins with.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Head<'a> {
    #[serde(serialize_with = "micros")]
    time: Timestamp,
    request_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_request_id: Option<&'a str>,
    #[serde(flatten)]
    whose: &'a Whose,
}

/// Appends the line of a call.
pub fn append(line: &mut Vec<u8>, call: &Taken, whose: &Whose) {
    let head = Head {
        time: call.time,
        request_id: &call.request_id,
        client_request_id: call.client_request_id.as_deref(),
        whose,
    };
    json(line, &head);
    // The object goes on.
    line.pop();
    side(line, "input", &call.input);
    side(line, "prediction", &call.prediction);
    line.extend_from_slice(b"}\n");
}

fn side(line: &mut Vec<u8>, name: &str, side: &Side) {
    let mut member = |suffix: &str, value: &dyn Fn(&mut Vec<u8>)| {
        line.extend_from_slice(format!(",\"{name}{suffix}\":").as_bytes());
        value(line);
    };
    if let Some(content_type) = &side.content_type {
        member("ContentType", &|line| json(line, content_type));
    }
    member("Bytes", &|line| json(line, &side.len));
    match side.form.and_then(|form| content(form, &side.bytes)) {
        Ok(Content::Json(text)) => member("", &|line| compact(line, text)),
        Ok(Content::Text(text)) => member("", &|line| json(line, text)),
        Ok(Content::Empty) => member("", &|line| json(line, &())),
        Err(why) => {
            member("", &|line| json(line, &()));
            member("Skipped", &|line| json(line, why.as_str()));
        }
    }
}

fn json<T: Serialize + ?Sized>(line: &mut Vec<u8>, value: &T) {
    // Neither strings nor numbers can fail to be JSON, and a Vec takes every byte.
    let _ = serde_json::to_writer(line, value);
}

/// Appends JSON byte by byte, without the white space between its parts: lines end where their calls do.
fn compact(line: &mut Vec<u8>, text: &str) {
    let (mut in_string, mut escaped) = (false, false);
    for byte in text.bytes() {
        if !in_string && matches!(byte, b' ' | b'\n' | b'\r' | b'\t') {
            continue;
        }
        line.push(byte);
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = in_string,
            b'"' => in_string = !in_string,
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue, header::CONTENT_TYPE};
    use serde_json::Value;

    use super::*;
    use crate::data::budget::Budget;

    fn body(content_type: Option<&'static str>, bytes: &[u8]) -> Side {
        let mut headers = HeaderMap::new();
        if let Some(value) = content_type {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(value));
        }
        let mut side = Side::new(&headers, 1000, &Budget::new(10_000));
        side.take(bytes);
        side.end();
        side
    }

    fn line(input: Side, prediction: Side) -> String {
        let call = Taken {
            time: "2026-01-02T03:04:05.123456789Z".parse().expect("a time"),
            request_id: "r".into(),
            client_request_id: Some("c\"".into()),
            input,
            prediction,
        };
        let whose = Whose {
            service: "iris".into(),
            workspace: "ws".into(),
            namespace: "ml".into(),
            replica: "iris-0".into(),
        };
        let mut line = Vec::new();
        append(&mut line, &call, &whose);
        String::from_utf8(line).expect("UTF-8")
    }

    #[test]
    fn a_call_is_one_line_of_json_with_all_members() {
        let input = body(
            Some("application/json"),
            b" {\"a b\" :\n [1.50, \"x\\\" y\\\\\", 12345678901234567890123]\r\n}\t",
        );
        let prediction = body(Some("text/csv"), b"a,b\n1,\"2\"\n");
        assert_eq!(
            line(input, prediction),
            concat!(
                r#"{"time":"2026-01-02T03:04:05.123456Z","requestId":"r","clientRequestId":"c\"","#,
                r#""service":"iris","workspace":"ws","namespace":"ml","replica":"iris-0","#,
                r#""inputContentType":"application/json","inputBytes":57,"#,
                r#""input":{"a b":[1.50,"x\" y\\",12345678901234567890123]},"#,
                r#""predictionContentType":"text/csv","predictionBytes":10,"prediction":"a,b\n1,\"2\"\n"}"#,
                "\n"
            )
        );
    }

    #[test]
    fn what_is_not_there_is_said() {
        let told = line(body(None, b""), body(Some("image/png"), b"\x89PNG"));
        let told: Value = serde_json::from_str(&told).expect("JSON");
        assert!(told["input"].is_null() && told.get("inputSkipped").is_none());
        assert_eq!(told["inputBytes"], 0);
        assert!(told["prediction"].is_null());
        assert_eq!(told["predictionSkipped"], "ContentType");
        assert_eq!(told["predictionBytes"], 4);
        let told = line(
            body(Some("text/plain"), &[b'x'; 1001]),
            body(Some("text/plain"), b"\xff"),
        );
        let told: Value = serde_json::from_str(&told).expect("JSON");
        assert_eq!(
            (&told["inputSkipped"], &told["inputBytes"]),
            (&"TooLong".into(), &1001.into())
        );
        assert_eq!(told["predictionSkipped"], "NotText");
    }

    #[test]
    fn nothing_in_a_body_ends_a_line_or_adds_a_member() {
        for text in [
            "a\nb\r\n",
            "\",\"requestId\":\"forged",
            "\u{0}\u{1b}[2J\u{2028}",
            "{\"time\":",
        ] {
            for content_type in ["text/plain", "application/json"] {
                let told = line(body(Some(content_type), text.as_bytes()), body(None, b""));
                assert_eq!(told.find('\n'), Some(told.len() - 1));
                let read: Value = serde_json::from_str(&told).expect("JSON");
                assert_eq!(
                    (&read["input"], &read["requestId"]),
                    (&text.into(), &"r".into())
                );
            }
        }
    }

    /// Whatever callers and models make up, a line is one line of JSON, of this call.
    #[test]
    fn bodies_made_up_at_random_stay_in_their_places() {
        const PIECES: &[&str] = &[
            "{",
            "}",
            "[",
            "]",
            "\"",
            "\\",
            ",",
            ":",
            " ",
            "\n",
            "\r",
            "\t",
            "\\u",
            "d83d",
            "\\n",
            "1",
            "-",
            "e",
            ".",
            "0",
            "null",
            "true",
            "ä",
            "\u{2028}",
            "\u{0}",
            "\u{9b}",
            "\"requestId\":",
            "\"a\":1",
            "\u{feff}",
        ];
        const TYPES: [Option<&str>; 5] = [
            None,
            Some("application/json"),
            Some("text/plain"),
            Some("application/x-www-form-urlencoded"),
            Some("image/png"),
        ];
        let mut random = 1_u64;
        let mut next = |below: usize| {
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (random >> 33) as usize % below
        };
        for _ in 0..20_000 {
            let mut made = || {
                let length = next(12);
                let text: String = (0..length).map(|_| PIECES[next(PIECES.len())]).collect();
                let mut bytes = text.into_bytes();
                if next(8) == 0 {
                    bytes.push(next(256) as u8);
                }
                (body(TYPES[next(TYPES.len())], &bytes), bytes)
            };
            let ((input, asked), (prediction, answered)) = (made(), made());
            let told = line(input, prediction);
            assert_eq!(told.find('\n'), Some(told.len() - 1), "{told}");
            let read: Value = serde_json::from_str(&told).expect(&told);
            let members = ["requestId", "service", "replica"].map(|name| read[name].clone());
            assert_eq!(members, ["r", "iris", "iris-0"]);
            for (name, bytes) in [("input", asked), ("prediction", answered)] {
                assert_eq!(read[format!("{name}Bytes")], bytes.len());
                // It says the same, as a value or as text; or why it is not there.
                let is_so = match (&read[name], read.get(format!("{name}Skipped"))) {
                    (Value::Null, Some(_)) => true,
                    (Value::String(text), None) if text.as_bytes() == bytes => true,
                    (Value::Null, None) if bytes.is_empty() => true,
                    (value, None) => serde_json::from_slice(&bytes).ok().as_ref() == Some(value),
                    (_, Some(_)) => false,
                };
                assert!(is_so, "{bytes:?} became {told}");
            }
        }
    }
}
