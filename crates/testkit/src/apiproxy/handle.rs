//! One request, from its arrival to its answer.

use std::sync::Arc;
use std::time::Duration;

use http::header::ACCEPT;
use http::{Request, Response};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use serde_json::Value;
use tokio::sync::oneshot;

use super::answers::{failure, json_answer};
use super::entry::{self, Preconditions};
use super::forward::{Asked, Got};
use super::frames::Frame;
use super::killer::{AFTERTHOUGHT, Killer};
use super::request::{Call, Verb};
use super::rule::{Action, Phase};
use super::rules::Rules;
use super::trail::Trail;
use super::upstream::Upstream;
use super::watch;

pub(super) type BoxError = Box<dyn std::error::Error + Send + Sync>;
pub(super) type Body = UnsyncBoxBody<Bytes, BoxError>;

/// What all connections share.
pub(super) struct Inner {
    pub rules: Rules,
    pub trail: Trail,
    pub killer: Arc<Killer>,
    pub upstream: Upstream,
}

/// The connection is reset instead of an answer.
#[derive(Debug)]
pub(super) struct Reset;

impl std::fmt::Display for Reset {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the proxy resets the connection")
    }
}

impl std::error::Error for Reset {}

/// Ends a request in the trail, however it ends: the client may go away at any time.
pub(super) struct Ended {
    pub trail: Trail,
    pub seq: u64,
    pub status: Option<u16>,
}

impl Drop for Ended {
    fn drop(&mut self) {
        self.trail.end(self.seq, self.status);
    }
}

/// Answers a request, or says that the connection is to be reset.
pub(super) async fn handle(
    inner: Arc<Inner>,
    connection: u64,
    request: Request<Incoming>,
) -> Result<Response<Body>, Reset> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.map_err(|_| Reset)?.to_bytes();
    if !inner.killer.pass(connection).await {
        return Err(Reset);
    }
    let mut call = Call::parse(&parts.method, parts.uri.path(), parts.uri.query());
    let sent: Option<Value> = call
        .verb
        .is_write()
        .then(|| serde_json::from_slice(&body).ok())
        .flatten();
    if call.name.is_empty() && call.verb == Verb::Create {
        let name = sent
            .as_ref()
            .and_then(|sent| entry::text(sent, "/metadata/name"));
        call.name = name.unwrap_or_default();
    }
    let preconditions = Preconditions::of(call.verb, sent.as_ref());
    let accept = parts
        .headers
        .get(ACCEPT)
        .and_then(|accept| accept.to_str().ok());
    let accept = accept.unwrap_or_default().to_owned();

    let seq = inner.trail.begin(&call, entry::user(&parts.headers));
    let mut ended = Ended {
        trail: inner.trail.clone(),
        seq,
        status: None,
    };
    let actions = inner.rules.on_request(&call, &accept);
    inner.trail.note(seq, |entry| {
        entry.body = sent;
        entry.preconditions = preconditions.clone();
        entry.faults = actions.iter().map(Action::name).collect();
    });
    let mut fault = None;
    for action in actions {
        match action {
            Action::Delay(delay) => tokio::time::sleep(delay).await,
            Action::HoldRequest(gate) => gate.opened().await,
            other => fault = Some(other),
        }
    }
    // It may have waited for long.
    if !inner.killer.pass(connection).await {
        return Err(Reset);
    }
    match &fault {
        Some(Action::DropBefore) => return Err(Reset),
        Some(Action::Kill {
            phase: Phase::BeforeSend,
        }) => return Err(kill(&inner, connection).await),
        Some(Action::Answer {
            status,
            retry_after,
            reason,
        }) => {
            let answer = failure(*status, *retry_after, reason.as_deref());
            return Ok(whole(&mut ended, answer));
        }
        // As the API server does it: 200, and the error as the only event.
        Some(Action::ExpireWatch) => {
            return Ok(whole(&mut ended, json_answer(Frame::expired().bytes)));
        }
        Some(Action::ReplayOldList { snapshot }) => {
            return Ok(whole(&mut ended, json_answer(snapshot.body.clone())));
        }
        _ => {}
    }
    let asked = Asked {
        inner: inner.clone(),
        seq,
        call: call.clone(),
        preconditions,
        accept,
        parts,
        body,
    };
    let got = asked.send().await?;
    match fault {
        Some(Action::CommitThenReset) => Err(Reset),
        Some(Action::Kill {
            phase: Phase::Committed,
        }) => Err(kill(&inner, connection).await),
        Some(Action::Kill {
            phase: Phase::Answered,
        }) => {
            let told = kill_when_told(&inner, connection).await;
            let answer = finish(inner, call, connection, ended, got);
            // The closure, and with it what it owns, goes when all of the body has been taken.
            Ok(answer.map(|body| {
                body.map_frame(move |frame| {
                    let _ = &told;
                    frame
                })
                .boxed_unsync()
            }))
        }
        Some(Action::TruncateJson) => match got {
            Got::Whole(answer) => {
                let half = answer.map(|body| body.slice(..body.len() / 2));
                Ok(whole(&mut ended, half))
            }
            stream => Ok(finish(inner, call, connection, ended, stream)),
        },
        _ => Ok(finish(inner, call, connection, ended, got)),
    }
}

fn finish(
    inner: Arc<Inner>,
    call: Call,
    connection: u64,
    mut ended: Ended,
    got: Got,
) -> Response<Body> {
    match got {
        Got::Whole(answer) => whole(&mut ended, answer),
        Got::Stream(answer) => {
            ended.status = Some(answer.status().as_u16());
            inner
                .trail
                .note(ended.seq, |entry| entry.status = ended.status);
            answer.map(|body| match call.verb {
                Verb::Watch => watch::body(inner, call, connection, ended, body),
                _ => {
                    let body = body.map_frame(move |frame| {
                        let _ = &ended;
                        frame
                    });
                    body.map_err(Into::into).boxed_unsync()
                }
            })
        }
    }
}

fn whole(ended: &mut Ended, answer: Response<Bytes>) -> Response<Body> {
    ended.status = Some(answer.status().as_u16());
    answer.map(|body| {
        Full::new(body)
            .map_err(|never| match never {})
            .boxed_unsync()
    })
}

async fn kill(inner: &Inner, connection: u64) -> Reset {
    let standstill = inner.killer.standstill().await;
    inner.killer.kill(connection, standstill).await;
    Reset
}

/// Kills the client soon after what is returned is dropped. Nothing passes in the meantime.
async fn kill_when_told(inner: &Arc<Inner>, connection: u64) -> oneshot::Sender<()> {
    let (told, when) = oneshot::channel();
    let standstill = inner.killer.standstill().await;
    let inner = inner.clone();
    tokio::spawn(async move {
        // A watch is told when it has begun.
        let _ = tokio::time::timeout(Duration::from_millis(500), when).await;
        tokio::time::sleep(AFTERTHOUGHT).await;
        inner.killer.kill(connection, standstill).await;
    });
    told
}
