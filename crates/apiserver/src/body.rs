//! Bodies of requests and answers.

use bytes::{Bytes, BytesMut};
use http_body::Body as _;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Empty, Full};

use crate::refusal::{Reason, Refusal};

/// Whatever ends a body before its time.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The body of a request or an answer; it may go on as long as it likes.
pub type Body = UnsyncBoxBody<Bytes, BoxError>;

/// A body that is here already.
pub fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into())
        .map_err(|never| match never {})
        .boxed_unsync()
}

/// No body.
#[must_use]
pub fn empty() -> Body {
    Empty::new().map_err(|never| match never {}).boxed_unsync()
}

/// Reads a body to its end, unless it is larger than `limit`.
pub(crate) async fn read(mut body: Body, limit: usize) -> Result<Bytes, Refusal> {
    // What is announced as too large is not read at all.
    if body.size_hint().lower() > limit as u64 {
        return Err(too_large(limit));
    }
    let mut all = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let early = |_| Refusal::bad_request("the request body ended early");
        if let Ok(data) = frame.map_err(early)?.into_data() {
            if all.len() + data.len() > limit {
                return Err(too_large(limit));
            }
            all.extend_from_slice(&data);
        }
    }
    Ok(all.freeze())
}

fn too_large(limit: usize) -> Refusal {
    Refusal::new(
        Reason::RequestEntityTooLarge,
        format!("the request body may have no more than {limit} bytes"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_body_as_large_as_the_limit_is_read_and_one_byte_more_is_not() {
        assert_eq!(read(full("12345"), 5).await.unwrap(), "12345");
        let refusal = read(full("123456"), 5).await.unwrap_err();
        assert_eq!(refusal.code(), 413);
    }
}
