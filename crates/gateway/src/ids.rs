//! Request ids: taken from the client or made, handed to the model, returned to the client. Pure.

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::respond::Refusal;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const MS_REQUEST_ID: HeaderName = HeaderName::from_static("x-ms-request-id");
const MS_CLIENT_REQUEST_ID: HeaderName = HeaderName::from_static("x-ms-client-request-id");

/// The headers that hold ids.
pub const NAMES: [HeaderName; 3] = [MS_REQUEST_ID, REQUEST_ID, MS_CLIENT_REQUEST_ID];

/// The longest id that is accepted, in bytes.
const MAX_LEN: usize = 100;

/// The ids of one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestIds {
    /// Never empty: the client's, or the one made for it.
    request: HeaderValue,
    /// What the client calls the request, if it does.
    client: Option<HeaderValue>,
    too_long: bool,
}

impl RequestIds {
    /// Reads the ids of a request. `made` is used when the client sends none that can be used:
    /// only visible ASCII can, since ids end up in logs and other people's headers.
    pub fn read(headers: &HeaderMap, made: impl FnOnce() -> String) -> Self {
        let sent = NAMES.each_ref().map(|name| headers.get(name));
        let too_long = sent.iter().flatten().any(|value| value.len() > MAX_LEN);
        let [ms, plain, client] = sent.map(|value| value.filter(|value| usable(value)).cloned());
        let request = ms.or(plain).unwrap_or_else(|| {
            // A UUID is always a header value; an id must not be the reason for a failure.
            HeaderValue::try_from(made()).unwrap_or(HeaderValue::from_static("unknown"))
        });
        Self {
            request,
            client,
            too_long,
        }
    }

    /// Refuses ids over 100 characters.
    ///
    /// # Errors
    /// [`Refusal::IdTooLong`].
    pub fn check(&self) -> Result<(), Refusal> {
        if self.too_long {
            Err(Refusal::IdTooLong)
        } else {
            Ok(())
        }
    }

    /// Writes the ids into a header, to the model or to the client: there is always a request id
    /// under both names, and the client's own comes back.
    pub fn write(&self, headers: &mut HeaderMap) {
        headers.insert(REQUEST_ID, self.request.clone());
        headers.insert(MS_REQUEST_ID, self.request.clone());
        match &self.client {
            Some(client) => headers.insert(MS_CLIENT_REQUEST_ID, client.clone()),
            None => headers.remove(MS_CLIENT_REQUEST_ID),
        };
    }

    /// The request id as text.
    #[must_use]
    pub fn request_id(&self) -> &str {
        self.request.to_str().unwrap_or_default()
    }

    /// The client's own id as text.
    #[must_use]
    pub fn client_request_id(&self) -> Option<&str> {
        self.client.as_ref()?.to_str().ok()
    }
}

fn usable(value: &HeaderValue) -> bool {
    (1..=MAX_LEN).contains(&value.len()) && value.as_bytes().iter().all(u8::is_ascii_graphic)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(lines: &[(&'static str, &[u8])]) -> RequestIds {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(
                *name,
                HeaderValue::from_bytes(value).expect("a header value"),
            );
        }
        RequestIds::read(&headers, || "made".to_owned())
    }

    #[test]
    fn there_is_always_a_request_id() {
        for (lines, expected) in [
            (&[][..], "made"),
            (&[("x-request-id", &b"a"[..])], "a"),
            (&[("x-ms-request-id", b"b")], "b"),
            (&[("x-request-id", b"a"), ("x-ms-request-id", b"b")], "b"),
            (&[("x-ms-client-request-id", b"c")], "made"),
            (&[("x-request-id", b"")], "made"),
            (&[("x-request-id", b"two words")], "made"),
            (&[("x-request-id", b"\xff")], "made"),
            (&[("x-ms-request-id", b"\xff"), ("x-request-id", b"a")], "a"),
        ] {
            let ids = read(lines);
            assert_eq!(ids.request_id(), expected, "{lines:?}");
            let mut headers = HeaderMap::new();
            ids.write(&mut headers);
            assert_eq!(headers[REQUEST_ID], expected);
            assert_eq!(headers[MS_REQUEST_ID], expected);
        }
    }

    #[test]
    fn the_clients_id_comes_back_and_nobody_elses() {
        let mut headers = HeaderMap::new();
        headers.insert(
            MS_CLIENT_REQUEST_ID,
            HeaderValue::from_static("of the model"),
        );
        read(&[]).write(&mut headers);
        assert!(!headers.contains_key(MS_CLIENT_REQUEST_ID));
        read(&[("x-ms-client-request-id", b"c")]).write(&mut headers);
        assert_eq!(headers[MS_CLIENT_REQUEST_ID], "c");
    }

    #[test]
    fn an_id_may_have_a_hundred_characters() {
        let (longest, longer) = ([b'a'; 100], [b'a'; 101]);
        for name in ["x-request-id", "x-ms-request-id", "x-ms-client-request-id"] {
            assert_eq!(read(&[(name, &longest)]).check(), Ok(()), "{name}");
            let ids = read(&[(name, &longer)]);
            assert_eq!(ids.check(), Err(Refusal::IdTooLong), "{name}");
            assert_eq!(ids.request_id(), "made", "{name}");
        }
    }
}
