//! Answers of the cluster: read piece by piece, with what went wrong told apart.

use std::time::Duration;

use bytes::Bytes;
use http::{Response, StatusCode};
use http_body_util::BodyExt as _;
use kube::client::Body;
use kube::core::Status;
use tokio::time::Instant;

use crate::failure::{Failure, causes};
use crate::table::plain;

/// How much of a strange answer is shown.
const SHOWN: usize = 300;

/// An answer whose body has yet to be read.
pub struct Answer {
    response: Response<Body>,
    group: String,
    limit: Option<(Duration, Instant)>,
}

impl Answer {
    /// An answer from an API group, to be read before the limit.
    pub fn new(
        response: Response<Body>,
        group: String,
        limit: Option<(Duration, Instant)>,
    ) -> Self {
        Self {
            response,
            group,
            limit,
        }
    }

    /// Its status.
    pub fn status(&self) -> StatusCode {
        self.response.status()
    }

    /// A header of it, if it is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.response.headers().get(name)?.to_str().ok()
    }

    /// The API group that was asked.
    pub fn group(&self) -> &str {
        &self.group
    }

    /// The next piece of the body, as it comes; none after the last.
    pub async fn piece(&mut self) -> Result<Option<Bytes>, Failure> {
        loop {
            let next = self.response.body_mut().frame();
            let next = match self.limit {
                None => next.await,
                Some((limit, end)) => tokio::time::timeout_at(end, next)
                    .await
                    .map_err(|_| Failure::TimedOut(limit))?,
            };
            match next {
                None => return Ok(None),
                Some(Err(error)) => return Err(Failure::CutOff(causes(&error))),
                // Trailers are no part of the body.
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => return Ok(Some(data)),
                    Err(_) => continue,
                },
            }
        }
    }

    /// The whole body.
    pub async fn whole(mut self) -> Result<Vec<u8>, Failure> {
        let mut bytes = Vec::new();
        while let Some(piece) = self.piece().await? {
            bytes.extend_from_slice(&piece);
        }
        Ok(bytes)
    }

    /// The answer, unless it is a refusal.
    pub async fn accepted(self) -> Result<Self, Failure> {
        let code = self.status();
        if code.is_success() {
            return Ok(self);
        }
        let group = self.group.clone();
        let body = self.whole().await?;
        Err(refusal(code, &body).unwrap_or_else(|| unspoken(code, &body, &group)))
    }
}

/// A refusal that is said as Kubernetes says them.
pub fn refusal(code: StatusCode, body: &[u8]) -> Option<Failure> {
    #[derive(serde::Deserialize)]
    struct Kind {
        kind: String,
    }
    // Every field of a Status may be left out, so any object would pass for one.
    let kind: Kind = serde_json::from_slice(body).ok()?;
    if kind.kind != "Status" {
        return None;
    }
    let mut status: Status = serde_json::from_slice(body).ok()?;
    status.code = code.as_u16();
    Some(Failure::Refused(status.boxed()))
}

/// An error that does not come from the server of the API group: the cluster speaks plain text where it has nobody to
/// ask.
pub fn unspoken(code: StatusCode, body: &[u8], group: &str) -> Failure {
    let text: String = String::from_utf8_lossy(body).chars().take(SHOWN).collect();
    let message = plain(text.trim());
    match code {
        StatusCode::NOT_FOUND => Failure::NotServed(group.into()),
        StatusCode::SERVICE_UNAVAILABLE => Failure::NotUp {
            group: group.into(),
            message,
        },
        _ => Failure::Strange { code, message },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GROUP: &str = "actions.atelier.dev";

    #[test]
    fn a_status_is_a_refusal_and_no_other_object_is() {
        let body = br#"{"kind":"Status","reason":"Forbidden","message":"no"}"#;
        let failure = refusal(StatusCode::FORBIDDEN, body).unwrap();
        assert_eq!(failure.to_string(), "Error from server (Forbidden): no");
        for body in [&b"{}"[..], b"[1]", b"", br#"{"kind":"Odd"}"#, b"{\"kind\":"] {
            assert!(refusal(StatusCode::FORBIDDEN, body).is_none());
        }
    }

    #[test]
    fn a_group_that_is_not_served_is_told_from_one_that_is_down() {
        let said = |code, body: &[u8]| unspoken(code, body, GROUP).to_string();
        assert_eq!(
            said(StatusCode::NOT_FOUND, b"404 page not found\n"),
            "error: this cluster does not serve actions.atelier.dev: is the operator installed and up?"
        );
        assert_eq!(
            said(StatusCode::SERVICE_UNAVAILABLE, b"service unavailable\n"),
            "error: nobody answers for actions.atelier.dev in this cluster: is the operator up? (service unavailable)"
        );
        assert_eq!(
            said(StatusCode::BAD_GATEWAY, b"\x1b[2J"),
            "Error from server: 502 Bad Gateway:  [2J"
        );
    }
}
