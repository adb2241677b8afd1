//! The record: one line of JSON on stdout for every request, including the refused.
//!
//! Written by one thread, so that a reader of stdout who stalls stalls only that thread; what
//! then does not fit in the queue is dropped and counted. Holds no payload and no credential.

use std::{io::Write, sync::Arc, thread};

use jiff::Timestamp;
use prometheus_client::encoding::EncodeLabelValue;
use serde::Serialize;
use tokio::sync::{mpsc, oneshot};

use crate::{
    args::{Args, ComputeType},
    metrics::Metrics,
};

/// Records waiting for the writer: two seconds' worth at 2,000 requests a second.
const QUEUE: usize = 4096;

/// Bytes gathered before a write while more records wait.
const BATCH: usize = 32 * 1024;

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
pub struct Record {
    /// When the request's header was complete.
    #[serde(serialize_with = "micros")]
    pub time: Timestamp,
    /// The path, cut at 1024 characters.
    pub name: String,
    /// The method.
    #[serde(rename = "HTTPMethod")]
    pub method: String,
    /// The `User-Agent`, cut at 256 characters.
    #[serde(rename = "UserAgent")]
    pub user_agent: String,
    /// The path and, if there was a query, that there was one: queries may hold credentials.
    #[serde(rename = "RequestUrl")]
    pub request_url: String,
    /// The status the client saw; 499 if it left before there was one.
    #[serde(rename = "StatusCode")]
    pub status: u16,
    /// The request id.
    #[serde(rename = "RequestId")]
    pub request_id: String,
    /// The client's own id.
    #[serde(rename = "ClientRequestId", skip_serializing_if = "Option::is_none")]
    pub client_request_id: Option<String>,
    /// From the request's header to the answer's end, in milliseconds.
    #[serde(rename = "Duration")]
    pub duration_ms: f64,
    /// The mode in force; absent if the request was refused before it mattered.
    #[serde(rename = "authMode", skip_serializing_if = "Option::is_none")]
    pub auth_mode: Option<&'static str>,
    /// The caller, where the operator vouches for one. Percent-encoded beyond visible ASCII.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
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
    #[serde(rename = "ComputeType")]
    compute_type: ComputeType,
    service: String,
    workspace: String,
    namespace: String,
    replica: String,
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

enum Message {
    Record(Box<Record>),
    Flush(oneshot::Sender<()>),
}

/// Where records are handed in.
#[derive(Clone, Debug)]
pub struct Records {
    queue: mpsc::Sender<Message>,
    metrics: Arc<Metrics>,
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
        let (queue, waiting) = mpsc::channel(QUEUE);
        let writer = Writer {
            waiting,
            identity,
            out,
            metrics: Arc::clone(&metrics),
        };
        thread::Builder::new()
            .name("records".to_owned())
            .stack_size(256 * 1024)
            .spawn(|| writer.run())?;
        Ok(Self { queue, metrics })
    }

    /// Hands a record in, without ever waiting.
    pub fn push(&self, record: Record) {
        if self
            .queue
            .try_send(Message::Record(Box::new(record)))
            .is_err()
        {
            self.metrics.record_dropped();
        }
    }

    /// Waits until everything handed in before is written. The caller bounds the wait: a
    /// stalled stdout never ends it.
    pub async fn flush(&self) {
        let (done, written) = oneshot::channel();
        if self.queue.send(Message::Flush(done)).await.is_ok() {
            let _ = written.await;
        }
    }
}

struct Writer<W> {
    waiting: mpsc::Receiver<Message>,
    identity: Identity,
    out: W,
    metrics: Arc<Metrics>,
}

#[derive(Serialize)]
struct Line<'a> {
    #[serde(flatten)]
    record: &'a Record,
    #[serde(flatten)]
    identity: &'a Identity,
}

impl<W: Write> Writer<W> {
    fn run(mut self) {
        let mut batch = Vec::new();
        let mut lines = 0;
        while let Some(message) = self.waiting.blocking_recv() {
            let mut next = Some(message);
            while let Some(message) = next {
                match message {
                    Message::Record(record) => {
                        append(&mut batch, &record, &self.identity);
                        lines += 1;
                    }
                    Message::Flush(done) => {
                        self.write(&mut batch, &mut lines);
                        let _ = done.send(());
                    }
                }
                next = if batch.len() < BATCH {
                    self.waiting.try_recv().ok()
                } else {
                    None
                };
            }
            self.write(&mut batch, &mut lines);
        }
    }

    fn write(&mut self, batch: &mut Vec<u8>, lines: &mut u32) {
        if self
            .out
            .write_all(batch)
            .and_then(|()| self.out.flush())
            .is_err()
        {
            for _ in 0..*lines {
                self.metrics.record_dropped();
            }
        }
        batch.clear();
        batch.shrink_to(2 * BATCH);
        *lines = 0;
    }
}

fn append(batch: &mut Vec<u8>, record: &Record, identity: &Identity) {
    // Neither strings nor numbers can fail to be JSON, and a Vec takes every byte.
    let _ = serde_json::to_writer(&mut *batch, &Line { record, identity });
    batch.push(b'\n');
}

fn micros<S: serde::Serializer>(time: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("{time:.6}"))
}

/// A path as the record shows it: without its query, which may hold credentials.
#[must_use]
pub fn redacted_url(path: &str, has_query: bool) -> String {
    let mut url = clipped(path, 1024);
    if has_query {
        url.push_str("?REDACTED");
    }
    url
}

/// The first `limit` characters.
#[must_use]
pub fn clipped(text: &str, limit: usize) -> String {
    text.chars().take(limit).collect()
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
            name: "/score".to_owned(),
            method: "POST".to_owned(),
            user_agent: "curl\n\"8\"".to_owned(),
            request_url: redacted_url("/score", true),
            status: 200,
            request_id: "r".to_owned(),
            client_request_id: Some("c".to_owned()),
            duration_ms: 1.5,
            auth_mode: Some("Action"),
            subject: Some("rita".to_owned()),
            bytes_in: 1,
            bytes_out: 2,
            model_ms: Some(1.25),
            queue_ms: Some(0.0),
            outcome: Outcome::Completed,
        };
        let mut line = Vec::new();
        append(&mut line, &record, &identity);
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
}
