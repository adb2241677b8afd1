//! A request's way to the API server and back.

use std::sync::Arc;
use std::time::Instant;

use http::Response;
use http::request::Parts;
use http_body_util::BodyExt as _;
use hyper::body::{Bytes, Incoming};
use serde_json::Value;

use super::effect::{Key, Known, is_effective};
use super::entry::{Preconditions, text};
use super::handle::{Inner, Reset};
use super::lists::{ListSnapshot, Versions};
use super::request::{Call, Verb};

/// A request that is to be sent.
pub(super) struct Asked {
    pub inner: Arc<Inner>,
    pub seq: u64,
    pub call: Call,
    pub preconditions: Preconditions,
    pub accept: String,
    pub parts: Parts,
    pub body: Bytes,
}

/// What the API server answered.
pub(super) enum Got {
    /// All of it.
    Whole(Response<Bytes>),
    /// Its beginning, of a watch or a log.
    Stream(Response<Incoming>),
}

impl Asked {
    /// Sends it. Goes on to the end even if the client goes away, as the API server would: what it did is in the trail.
    pub async fn send(self) -> Result<Got, Reset> {
        if self.is_stream() {
            return self.exchange().await;
        }
        let exchange = tokio::spawn(self.exchange());
        exchange.await.expect("the exchange does not panic")
    }

    fn is_stream(&self) -> bool {
        self.call.verb == Verb::Watch || matches!(self.call.subresource.as_str(), "log" | "proxy")
    }

    async fn exchange(self) -> Result<Got, Reset> {
        // Before it is sent: a watch may tell of what comes of it before there is an answer.
        let before = self.inner.trail.known(&Key::of(&self.call));
        let answer = self
            .inner
            .upstream
            .send(&self.parts, self.body.clone())
            .await;
        let answer = answer.ok_or(Reset)?;
        let status = answer.status();
        if self.is_stream() && status.is_success() {
            self.inner.trail.note(self.seq, |entry| {
                entry.upstream_status = Some(status.as_u16());
            });
            return Ok(Got::Stream(answer));
        }
        let (head, body) = answer.into_parts();
        let body = body.collect().await.map_err(|_| Reset)?.to_bytes();
        if self.call.verb.is_write() {
            self.note_write(status.as_u16(), before.as_ref(), &body);
        } else {
            self.note_read(status.as_u16(), &body);
        }
        Ok(Got::Whole(Response::from_parts(head, body)))
    }

    fn note_write(&self, status: u16, before: Option<&Known>, body: &Bytes) {
        let response: Option<Value> = serde_json::from_slice(body).ok();
        let committed = (200..300).contains(&status);
        let effective =
            committed && is_effective(&self.call, &self.preconditions, before, response.as_ref());
        if committed {
            self.learn(body);
        }
        self.inner.trail.note(self.seq, |entry| {
            entry.upstream_status = Some(status);
            entry.committed = committed;
            entry.effective = effective;
            if entry.name.is_empty() && entry.verb == Verb::Create && committed {
                let named = response
                    .as_ref()
                    .and_then(|answer| text(answer, "/metadata/name"));
                entry.name = named.unwrap_or_default();
            }
            entry.response = response;
        });
    }

    fn note_read(&self, status: u16, body: &Bytes) {
        self.inner
            .trail
            .note(self.seq, |entry| entry.upstream_status = Some(status));
        if status != 200 || self.call.resource.is_empty() {
            return;
        }
        let version = self.learn(body);
        // A later page is no answer that could be given again.
        if self.call.verb == Verb::List && self.call.parameter("continue").is_none() {
            self.inner.trail.keep(|| ListSnapshot {
                seq: self.seq,
                call: self.call.clone().into(),
                at: Instant::now(),
                resource_version: version.unwrap_or_default(),
                accept: self.accept.clone(),
                body: body.clone(),
            });
        }
    }

    /// Remembers the versions in an answer. Returns that of the answer as a whole.
    fn learn(&self, body: &Bytes) -> Option<String> {
        let versions: Versions = serde_json::from_slice(body).ok()?;
        let trail = &self.inner.trail;
        for item in &versions.items {
            trail.learn(&self.call, &item.metadata);
        }
        trail.learn(&self.call, &versions.metadata);
        Some(versions.metadata.resource_version)
    }
}
