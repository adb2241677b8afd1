//! Records as OTLP: a log record each, and a span where its trace is recorded. Pure.
//!
//! Fields and their numbers are those of opentelemetry-proto 1.8 (`logs/v1/logs.proto`, `trace/v1/trace.proto`), stable
//! since its 1.0; attributes have the names of OpenTelemetry's semantic conventions 1.37 where these have one, and begin
//! with `atelier.` else. Written straight into the message: a record costs no allocation.

use serde::Serialize as _;

use super::{line::Line, proto::Writer, queue::Batch, trace::Trace};
use crate::record::Identity;

/// Methods that HTTP has. Another, which a client may make up, is `_OTHER` by the conventions.
const METHODS: [&str; 9] = [
    "GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH",
];

/// Severities as OTLP numbers them, and their names.
const INFO: (u64, &str) = (9, "INFO");
const WARN: (u64, &str) = (13, "WARN");
const ERROR: (u64, &str) = (17, "ERROR");

/// `SPAN_KIND_SERVER`.
const SERVER: u64 = 2;

/// `STATUS_CODE_ERROR`.
const FAILED: u64 = 2;

/// Of a span's flags: it is known whether the parent is somebody else's, and it is.
const REMOTE_PARENT: u32 = 0x300;

/// Whose records these are.
#[derive(Clone, Debug)]
pub struct Source {
    resource: Vec<u8>,
    scheme: &'static str,
}

impl Source {
    /// The process. `tls` says how its public listener is reached.
    #[must_use]
    pub fn new(identity: &Identity, tls: bool) -> Self {
        let mut writer = Writer::default();
        let mut compute_type = String::new();
        // As the record has it. Writing a name into a string cannot fail.
        if let Ok(serde_json::Value::String(name)) = identity
            .compute_type
            .serialize(serde_json::value::Serializer)
        {
            compute_type = name;
        }
        for (name, value) in [
            ("service.name", &identity.service),
            ("service.namespace", &identity.namespace),
            ("service.instance.id", &identity.replica),
            ("k8s.namespace.name", &identity.namespace),
            ("k8s.pod.name", &identity.replica),
            ("atelier.workspace.name", &identity.workspace),
            ("atelier.compute.type", &compute_type),
        ] {
            text(&mut writer, 1, name, value);
        }
        Self {
            resource: writer.finish(),
            scheme: if tls { "https" } else { "http" },
        }
    }
}

/// Batches as they are sent.
#[derive(Debug, Default)]
pub struct Encoded {
    /// An `ExportLogsServiceRequest`.
    pub logs: Vec<u8>,
    /// Records in it.
    pub records: u64,
    /// An `ExportTraceServiceRequest`.
    pub traces: Vec<u8>,
    /// Spans in it.
    pub spans: u64,
}

/// Writes a batch.
#[must_use]
pub fn encode(batch: &Batch, source: &Source) -> Encoded {
    let (mut records, mut spans) = (0, 0);
    let lines = batch.records().filter_map(|(line, trace)| {
        // Our own lines: all can be read.
        let line = serde_json::from_slice::<Line<'_>>(line).ok()?;
        Some((line, trace))
    });
    // Both at once, so that each line is read once.
    let mut all_spans = Writer::default();
    let logs = envelope(source, batch.lines().len() * 3 / 2, |logs| {
        for (line, trace) in lines {
            records += 1;
            logs.message(2, |log| write_log(log, &line, trace, source));
            if let Some(trace) = trace.filter(|trace| trace.sampled) {
                spans += 1;
                all_spans.message(2, |span| write_span(span, &line, trace, source));
            }
        }
    });
    let all_spans = all_spans.finish();
    let traces = match spans {
        0 => vec![],
        _ => envelope(source, all_spans.len() + 1024, |traces| {
            traces.append(&all_spans)
        }),
    };
    Encoded {
        logs,
        records,
        traces,
        spans,
    }
}

/// What both signals have around their records: a resource, and a scope that is the gateway.
fn envelope(source: &Source, room: usize, records: impl FnOnce(&mut Writer)) -> Vec<u8> {
    let mut writer = Writer::with_capacity(room);
    writer.message(1, |of_resource| {
        of_resource.bytes(1, &source.resource);
        of_resource.message(2, |of_scope| {
            of_scope.message(1, |scope| {
                scope.bytes(1, b"atelier-gateway");
                scope.bytes(2, env!("CARGO_PKG_VERSION").as_bytes());
            });
            records(of_scope);
        });
    });
    writer.finish()
}

/// A `LogRecord`.
fn write_log(log: &mut Writer, line: &Line<'_>, trace: Option<Trace>, source: &Source) {
    let (begun, ended) = line.span();
    let (severity, name) = match line.status {
        ..400 => INFO,
        400..500 => WARN,
        _ => ERROR,
    };
    log.fixed64(1, begun);
    log.uint(2, severity);
    log.bytes(3, name.as_bytes());
    log.message(5, |body| body.bytes(1, line.outcome.as_bytes()));
    attributes(log, 6, line, source);
    if let Some(trace) = trace {
        log.fixed32(8, u32::from(trace.sampled));
        log.bytes(9, &trace.id);
        log.bytes(10, &trace.span);
    }
    log.fixed64(11, ended);
    log.bytes(12, b"atelier.request");
}

/// A `Span`.
fn write_span(span: &mut Writer, line: &Line<'_>, trace: Trace, source: &Source) {
    let (begun, ended) = line.span();
    span.bytes(1, &trace.id);
    span.bytes(2, &trace.span);
    if let Some(parent) = &trace.parent {
        span.bytes(4, parent);
    }
    // As the conventions name what has no method of HTTP's.
    let method = known(line).unwrap_or("HTTP");
    match line.has_route() {
        true => span.text(5, &[method, " ", &line.name]),
        false => span.bytes(5, method.as_bytes()),
    }
    span.uint(6, SERVER);
    span.fixed64(7, begun);
    span.fixed64(8, ended);
    attributes(span, 9, line, source);
    if line.status >= 500 {
        span.message(15, |status| status.uint(3, FAILED));
    }
    let remote = trace.parent.map_or(0, |_| REMOTE_PARENT);
    span.fixed32(16, 1 | remote);
}

fn known(line: &Line<'_>) -> Option<&'static str> {
    METHODS.into_iter().find(|method| *method == line.method)
}

fn attributes(to: &mut Writer, field: u32, line: &Line<'_>, source: &Source) {
    let mut string = |name: &str, value: &str| {
        if !value.is_empty() {
            text(to, field, name, value);
        }
    };
    match known(line) {
        Some(method) => string("http.request.method", method),
        None => {
            string("http.request.method", "_OTHER");
            string("http.request.method_original", &line.method);
        }
    }
    string("url.path", &line.name);
    if line.has_route() {
        string("http.route", &line.name);
    }
    // The operator's way in is over TLS, whatever the public listener is.
    let vouched = line.auth_mode.as_deref() == Some("Action");
    string("url.scheme", if vouched { "https" } else { source.scheme });
    string("user_agent.original", &line.user_agent);
    string("enduser.id", line.subject.as_deref().unwrap_or_default());
    if line.status >= 500 {
        string("error.type", &line.outcome);
    }
    string("atelier.outcome", &line.outcome);
    string("atelier.request.id", &line.request_id);
    let client = line.client_request_id.as_deref();
    string("atelier.client_request.id", client.unwrap_or_default());
    string(
        "atelier.auth.mode",
        line.auth_mode.as_deref().unwrap_or_default(),
    );
    for (name, value) in [
        ("http.response.status_code", u64::from(line.status)),
        ("http.request.body.size", line.bytes_in),
        ("http.response.body.size", line.bytes_out),
    ] {
        attribute(to, field, name, |any| any.uint(3, value));
    }
    for (name, value) in [
        ("atelier.duration_ms", Some(line.duration_ms)),
        ("atelier.queue_ms", line.queue_ms),
        ("atelier.model_ms", line.model_ms),
    ] {
        if let Some(value) = value {
            attribute(to, field, name, |any| any.double(4, value));
        }
    }
}

fn text(to: &mut Writer, field: u32, name: &str, value: &str) {
    attribute(to, field, name, |any| any.bytes(1, value.as_bytes()));
}

/// A `KeyValue`, whose value is an `AnyValue`.
fn attribute(to: &mut Writer, field: u32, name: &str, value: impl FnOnce(&mut Writer)) {
    to.message(field, |pair| {
        pair.bytes(1, name.as_bytes());
        pair.message(2, value);
    });
}
