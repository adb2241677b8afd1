//! The record: one line of JSON on stdout for every request, including the refused.
//!
//! Written by one thread, so that a reader of stdout who stalls stalls only that thread; what
//! then does not fit in the queue is dropped and counted. Holds no payload and no credential.

use std::{
    borrow::Cow,
    io::Write,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use jiff::Timestamp;
use prometheus_client::encoding::EncodeLabelValue;
use serde::Serialize;
use tokio::sync::oneshot;

use crate::{
    args::{Args, ComputeType},
    metrics::Metrics,
};

/// Bytes of records waiting for the writer: two seconds' worth at 2,000 requests a second.
const QUEUE: usize = 2 * 1024 * 1024;

/// Bytes gathered before a write, unless [`GATHER`] is over.
const BATCH: usize = 32 * 1024;

/// How long records are gathered. To wake the writer for each would cost more than to make it.
const GATHER: Duration = Duration::from_millis(50);

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, EncodeLabelValue)]
pub enum Outcome {
    /// The model's answer was delivered, whatever its status.
    Completed,
    /// Refused: malformed.
    BadRequest,
    /// Refused: no acceptable credential.
    Unauthorized,
    /// Refused: no such path.
    NotFound,
    /// Refused: no such method.
    MethodNotAllowed,
    /// Refused: body too large.
    BodyTooLarge,
    /// Refused: header or id too large.
    HeaderTooLarge,
    /// Refused: no turn in time.
    QueueTimeout,
    /// Refused: no policy, or the model can be reached around the gateway.
    NotReady,
    /// The model does not accept connections.
    ModelUnreachable,
    /// The model broke off, was malformed, or said that its function failed.
    ModelFailed,
    /// Took longer than allowed, before or during the answer.
    TimedOut,
    /// The client left before the answer's end.
    ClientAborted,
    /// The gateway's shutdown could wait no longer.
    ShutdownAborted,
}

/// What is recorded of one request. Names as in the original's request telemetry.
#[derive(Debug, Serialize)]
pub struct Record<'a> {
    /// When the request's header was complete.
    #[serde(serialize_with = "micros")]
    pub time: Timestamp,
    /// The path, cut at 1024 characters.
    pub name: &'a str,
    /// The method.
    #[serde(rename = "HTTPMethod")]
    pub method: &'a str,
    /// The `User-Agent`, cut at 256 characters.
    #[serde(rename = "UserAgent")]
    pub user_agent: &'a str,
    /// The path and, if there was a query, that there was one: queries may hold credentials.
    #[serde(rename = "RequestUrl")]
    pub request_url: Cow<'a, str>,
    /// The status the client saw; 499 if it left before there was one.
    #[serde(rename = "StatusCode")]
    pub status: u16,
    /// The request id.
    #[serde(rename = "RequestId")]
    pub request_id: &'a str,
    /// The client's own id.
    #[serde(rename = "ClientRequestId", skip_serializing_if = "Option::is_none")]
    pub client_request_id: Option<&'a str>,
    /// From the request's header to the answer's end, in milliseconds.
    #[serde(rename = "Duration")]
    pub duration_ms: f64,
    /// The mode in force; absent if the request was refused before it mattered.
    #[serde(rename = "authMode", skip_serializing_if = "Option::is_none")]
    pub auth_mode: Option<&'static str>,
    /// The caller, where the operator vouches for one. Percent-encoded beyond visible ASCII.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<Cow<'a, str>>,
    /// Bytes of the body read from the client.
    #[serde(rename = "bytesIn")]
    pub bytes_in: u64,
    /// Bytes of the body handed to the client's connection.
    #[serde(rename = "bytesOut")]
    pub bytes_out: u64,
    /// From forwarding to the answer's end, in milliseconds.
    #[serde(rename = "modelMs", skip_serializing_if = "Option::is_none")]
    pub model_ms: Option<f64>,
    /// Time spent waiting for a turn, in milliseconds.
    #[serde(rename = "queueMs", skip_serializing_if = "Option::is_none")]
    pub queue_ms: Option<f64>,
    /// How it ended.
    pub outcome: Outcome,
}

/// What is the same in every record of this process.
#[derive(Clone, Debug, Serialize)]
pub struct Identity {
    /// The class of the service.
    #[serde(rename = "ComputeType")]
    pub compute_type: ComputeType,
    /// The service.
    pub service: String,
    /// Its workspace.
    pub workspace: String,
    /// Its namespace.
    pub namespace: String,
    /// The pod.
    pub replica: String,
}

impl From<&Args> for Identity {
    fn from(args: &Args) -> Self {
        Self {
            compute_type: args.compute_type,
            service: args.service.clone(),
            workspace: args.workspace.clone(),
            namespace: args.namespace.clone(),
            replica: args.replica.clone(),
        }
    }
}

/// Takes the line of a record over, to send it elsewhere.
pub type Export<'a> = &'a dyn Fn(&[u8]);

/// Where records are handed in.
#[derive(Clone, Debug)]
pub struct Records(Arc<Last>);

#[derive(Debug)]
struct Shared {
    waiting: Mutex<Waiting>,
    /// Told when the first record of a batch is there, when a batch is full, and when somebody waits.
    more: Condvar,
    /// What every line ends with.
    identity: Vec<u8>,
    metrics: Arc<Metrics>,
}

/// What the writer has not taken yet.
#[derive(Debug, Default)]
struct Waiting {
    lines: Vec<u8>,
    count: u32,
    flushes: Vec<oneshot::Sender<()>>,
    /// Nobody is left who could hand one in.
    last: bool,
}

impl Waiting {
    fn is_urgent(&self) -> bool {
        self.lines.len() >= BATCH || !self.flushes.is_empty() || self.last
    }
}

impl Shared {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Tells the writer that it was the last.
#[derive(Debug)]
struct Last(Arc<Shared>);

impl Drop for Last {
    fn drop(&mut self) {
        self.0.waiting().last = true;
        self.0.more.notify_one();
    }
}

impl Records {
    /// Starts the writer. It ends with the last [`Records`].
    ///
    /// # Errors
    /// The system has no thread left.
    pub fn start(
        identity: Identity,
        out: impl Write + Send + 'static,
        metrics: Arc<Metrics>,
    ) -> std::io::Result<Self> {
        let shared = Arc::new(Shared {
            waiting: Mutex::default(),
            more: Condvar::new(),
            identity: tail(&identity),
            metrics,
        });
        let writer = Arc::clone(&shared);
        thread::Builder::new()
            .name("records".to_owned())
            .stack_size(256 * 1024)
            .spawn(move || write(&writer, out))?;
        Ok(Self(Arc::new(Last(shared))))
    }

    /// Hands a record in, without ever waiting for stdout. Its line, which is written once for all, also goes to
    /// `export`, if there is one: that stdout has no room for it is not its fault.
    pub fn push(&self, record: &Record<'_>, export: Option<Export<'_>>) {
        let shared = &self.0.0;
        let mut waiting = shared.waiting();
        let before = waiting.lines.len();
        if before > QUEUE {
            drop(waiting);
            shared.metrics.record_dropped();
            if let Some(export) = export {
                let mut line = Vec::with_capacity(512);
                append(&mut line, record, &shared.identity);
                export(&line);
            }
            return;
        }
        append(&mut waiting.lines, record, &shared.identity);
        waiting.count += 1;
        if let Some(export) = export {
            export(&waiting.lines[before..]);
        }
        let is_full = before < BATCH && waiting.lines.len() >= BATCH;
        drop(waiting);
        if before == 0 || is_full {
            shared.more.notify_one();
        }
    }

    /// Waits until everything handed in before is written. The caller bounds the wait: a
    /// stalled stdout never ends it.
    pub async fn flush(&self) {
        let (done, written) = oneshot::channel();
        self.0.0.waiting().flushes.push(done);
        self.0.0.more.notify_one();
        let _ = written.await;
    }
}

fn write(shared: &Shared, mut out: impl Write) {
    let mut batch = Waiting::default();
    while !batch.last {
        let nothing = |waiting: &mut Waiting| waiting.lines.is_empty() && !waiting.is_urgent();
        let waiting = shared.more.wait_while(shared.waiting(), nothing);
        let waiting = waiting.unwrap_or_else(PoisonError::into_inner);
        let gathering = |waiting: &mut Waiting| !waiting.is_urgent();
        let gathered = shared.more.wait_timeout_while(waiting, GATHER, gathering);
        let (mut waiting, _) = gathered.unwrap_or_else(PoisonError::into_inner);
        std::mem::swap(&mut batch, &mut waiting);
        drop(waiting);

        let written = out.write_all(&batch.lines).and_then(|()| out.flush());
        if written.is_err() {
            for _ in 0..batch.count {
                shared.metrics.record_dropped();
            }
        }
        for done in batch.flushes.drain(..) {
            let _ = done.send(());
        }
        batch.lines.clear();
        batch.lines.shrink_to(2 * BATCH);
        batch.count = 0;
    }
}

/// What follows a record's own members.
fn tail(identity: &Identity) -> Vec<u8> {
    // Strings cannot fail to be JSON.
    let object = serde_json::to_vec(identity).unwrap_or_default();
    let members = object.strip_prefix(b"{").unwrap_or_default();
    [b",", members, b"\n"].concat()
}

fn append(lines: &mut Vec<u8>, record: &Record<'_>, tail: &[u8]) {
    // Neither strings nor numbers can fail to be JSON, and a Vec takes every byte.
    let _ = serde_json::to_writer(&mut *lines, record);
    // The object goes on.
    if lines.pop_if(|end| *end == b'}').is_some() {
        lines.extend_from_slice(tail);
    }
}

/// A time as lines bear it: to the microsecond, in UTC.
///
/// # Errors
/// What the serializer says.
pub fn micros<S: serde::Serializer>(time: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("{time:.6}"))
}

/// A path as the record shows it: without its query, which may hold credentials.
#[must_use]
pub fn redacted_url(path: &str, has_query: bool) -> Cow<'_, str> {
    let path = clipped(path, 1024);
    if has_query {
        format!("{path}?REDACTED").into()
    } else {
        path.into()
    }
}

/// The first `limit` characters.
#[must_use]
pub fn clipped(text: &str, limit: usize) -> &str {
    // No character takes less than a byte.
    let end = text.char_indices().nth(limit.min(text.len()));
    end.map_or(text, |(end, _)| &text[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_one_line_of_json_with_all_members() {
        let identity = Identity {
            compute_type: ComputeType::Cluster,
            service: "iris".to_owned(),
            workspace: "ws".to_owned(),
            namespace: "ml".to_owned(),
            replica: "iris-0".to_owned(),
        };
        let record = Record {
            time: "2026-01-02T03:04:05.123456789Z".parse().expect("a time"),
            name: "/score",
            method: "POST",
            user_agent: "curl\n\"8\"",
            request_url: redacted_url("/score", true),
            status: 200,
            request_id: "r",
            client_request_id: Some("c"),
            duration_ms: 1.5,
            auth_mode: Some("Action"),
            subject: Some("rita".into()),
            bytes_in: 1,
            bytes_out: 2,
            model_ms: Some(1.25),
            queue_ms: Some(0.0),
            outcome: Outcome::Completed,
        };
        let mut line = Vec::new();
        append(&mut line, &record, &tail(&identity));
        assert_eq!(
            String::from_utf8(line).expect("UTF-8"),
            concat!(
                r#"{"time":"2026-01-02T03:04:05.123456Z","name":"/score","HTTPMethod":"POST","#,
                r#""UserAgent":"curl\n\"8\"","RequestUrl":"/score?REDACTED","StatusCode":200,"#,
                r#""RequestId":"r","ClientRequestId":"c","Duration":1.5,"authMode":"Action","subject":"rita","#,
                r#""bytesIn":1,"bytesOut":2,"modelMs":1.25,"queueMs":0.0,"outcome":"Completed","#,
                r#""ComputeType":"Cluster","service":"iris","workspace":"ws","namespace":"ml","#,
                r#""replica":"iris-0"}"#,
                "\n"
            )
        );
    }

    #[test]
    fn what_is_long_is_cut_between_characters() {
        for (text, cut) in [
            ("", ""),
            ("ab", "ab"),
            ("abc", "abc"),
            ("abcd", "abc"),
            ("äöüß", "äöü"),
        ] {
            assert_eq!(clipped(text, 3), cut);
        }
    }
}
