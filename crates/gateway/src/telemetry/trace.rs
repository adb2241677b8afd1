//! W3C trace context: whose trace a request belongs to, and what the model is told of it. Pure.
//!
//! <https://www.w3.org/TR/trace-context/>

use http::{HeaderMap, HeaderName, HeaderValue};
use uuid::Uuid;

/// The header that names a trace and the span that asks.
pub const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// What tracing systems say of it besides.
pub const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// Length of the header in its version 00: `00-` trace `-` parent `-` flags.
const LENGTH: usize = 55;

/// The one flag that decides anything: the caller records this trace.
const SAMPLED: u8 = 1;

/// The place of one request in a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trace {
    /// The trace.
    pub id: [u8; 16],
    /// The request's own span.
    pub span: [u8; 8],
    /// The span that asked, where the client named one.
    pub parent: Option<[u8; 8]>,
    /// Whether the span is exported: where the client says so, and where it says nothing.
    pub sampled: bool,
}

impl Trace {
    /// The client's trace, if it names one that can be; else one of the request's own, by its id where that is a UUID.
    /// `fresh` gives random UUIDs.
    #[must_use]
    pub fn of(headers: &HeaderMap, request_id: &str, fresh: impl Fn() -> Uuid) -> Self {
        // The second half of a random UUID has 62 random bits and is never zero, which no span may be.
        let bytes = fresh().into_bytes();
        let mut span = [0; 8];
        span.copy_from_slice(&bytes[8..]);
        match named(headers) {
            Some((id, parent, flags)) => Self {
                id,
                span,
                parent: Some(parent),
                sampled: flags & SAMPLED != 0,
            },
            None => Self {
                id: own(request_id).unwrap_or_else(fresh).into_bytes(),
                span,
                parent: None,
                sampled: true,
            },
        }
    }

    /// Tells the model, which is asked by the request's span. What is known of another trace goes.
    pub fn write(&self, headers: &mut HeaderMap) {
        if self.parent.is_none() {
            headers.remove(TRACESTATE);
        }
        let mut text = Vec::with_capacity(LENGTH);
        text.extend_from_slice(b"00-");
        hex(&self.id, &mut text);
        text.push(b'-');
        hex(&self.span, &mut text);
        text.extend_from_slice(if self.sampled { b"-01" } else { b"-00" });
        // Digits and dashes always are a value.
        if let Ok(value) = HeaderValue::from_maybe_shared(bytes::Bytes::from(text)) {
            headers.insert(TRACEPARENT, value);
        }
    }
}

/// A request's id as a trace's, which is not zero.
fn own(request_id: &str) -> Option<Uuid> {
    Uuid::try_parse(request_id).ok().filter(|id| !id.is_nil())
}

/// Trace, parent and flags as the client has them.
fn named(headers: &HeaderMap) -> Option<([u8; 16], [u8; 8], u8)> {
    let mut all = headers.get_all(TRACEPARENT).iter();
    let (value, None) = (all.next()?.as_bytes(), all.next()) else {
        return None;
    };
    let head = value.get(..LENGTH)?;
    let [version] = digits(&head[..2])?;
    // A later version may go on behind another dash (section 4.3).
    let ends = match version {
        0 => value.len() == LENGTH,
        0xff => false,
        _ => value.get(LENGTH).is_none_or(|next| *next == b'-'),
    };
    let dashes = [2, 35, 52].iter().all(|at| head[*at] == b'-');
    let (id, parent) = (digits(&head[3..35])?, digits(&head[36..52])?);
    let [flags] = digits(&head[53..])?;
    let good = ends && dashes && id != [0; 16] && parent != [0; 8];
    good.then_some((id, parent, flags))
}

/// Lower-case hexadecimal digits, two a byte.
fn digits<const N: usize>(text: &[u8]) -> Option<[u8; N]> {
    let (pairs, []) = text.as_chunks::<2>() else {
        return None;
    };
    let mut bytes = [0; N];
    if pairs.len() != N {
        return None;
    }
    for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
        *byte = nibble(*high)? << 4 | nibble(*low)?;
    }
    Some(bytes)
}

fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

fn hex(bytes: &[u8], text: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for byte in bytes {
        text.push(DIGITS[usize::from(byte >> 4)]);
        text.push(DIGITS[usize::from(byte & 15)]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0198f0c2-0000-7000-8000-00000000abcd";
    const SPAN: [u8; 8] = [0x80, 0, 0, 0, 0, 0, 0, 7];

    fn trace(lines: &[&str]) -> (Trace, HeaderMap) {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(TRACEPARENT, line.parse().expect("a value"));
        }
        headers.insert(TRACESTATE, HeaderValue::from_static("a=b"));
        let trace = Trace::of(&headers, ID, || {
            Uuid::from_u128(u128::from(u64::from_be_bytes(SPAN)))
        });
        trace.write(&mut headers);
        (trace, headers)
    }

    #[test]
    fn a_trace_that_a_client_names_goes_on_by_the_requests_own_span() {
        let client = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let (found, headers) = trace(&[client]);
        assert_eq!(
            found.parent,
            Some([0, 0xf0, 0x67, 0xaa, 0x0b, 0xa9, 0x02, 0xb7])
        );
        assert!(found.sampled);
        let told = "00-4bf92f3577b34da6a3ce929d0e0e4736-8000000000000007-01";
        assert_eq!(headers[TRACEPARENT], told);
        assert_eq!(headers[TRACESTATE], "a=b");

        let (found, headers) = trace(&[&client.replace("-01", "-fe")]);
        assert!(!found.sampled);
        assert_eq!(headers[TRACEPARENT], told.replace("-01", "-00"));
        for later in [
            "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-what",
        ] {
            assert!(trace(&[later]).0.parent.is_some(), "{later}");
        }
    }

    #[test]
    fn what_names_no_trace_is_replaced_by_one_of_the_requests_own() {
        let good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let more = format!("{good}-what");
        let zero = good.replace("4bf92f3577b34da6a3ce929d0e0e4736", &"0".repeat(32));
        let orphan = good.replace("00f067aa0ba902b7", &"0".repeat(16));
        for bad in [
            &[][..],
            &[""],
            &["00"],
            &[&good[..54]],
            &[&more],
            &[&zero],
            &[&orphan],
            &[&good.to_uppercase()],
            &[&good.replace("00-4", "ff-4")],
            &[&good.replace("00-4", "zz-4")],
            &[&good.replace('-', "_")],
            &[good, good],
        ] {
            let (found, headers) = trace(bad);
            assert_eq!(found.parent, None, "{bad:?}");
            assert!(found.sampled);
            let told = "00-0198f0c2000070008000".to_owned() + "00000000abcd-8000000000000007-01";
            assert_eq!(headers[TRACEPARENT], told);
            assert!(!headers.contains_key(TRACESTATE));
        }
    }

    #[test]
    fn an_id_that_is_no_uuid_is_no_traces() {
        for id in ["mine", "", "00000000-0000-0000-0000-000000000000"] {
            let trace = Trace::of(&HeaderMap::new(), id, || Uuid::from_u128(9));
            assert_eq!(trace.id, 9_u128.to_be_bytes(), "{id}");
        }
    }
}
