//! One request's account, from its header to the end of its answer, however that comes about.
//!
//! It travels with the request and then inside the body of the answer. Whoever drops it early –
//! hyper does when a client leaves – closes it: no request goes unrecorded.

use std::{borrow::Cow, sync::Arc, time::Duration};

use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header::USER_AGENT, request::Parts};
use jiff::Timestamp;
use tokio::time::Instant;

use crate::{
    archive::{Archive, Recorded},
    body::Passed,
    data::{Call, Calls, Input},
    ids::RequestIds,
    lifecycle::Lifecycle,
    metrics::{Counted, Metrics},
    record::{Outcome, Record, Records, clipped, redacted_url},
    telemetry::{Telemetry, trace::Trace},
};

/// The status recorded for a client that left before there was one, as nginx has it.
const CLIENT_CLOSED_REQUEST: u16 = 499;

/// Where closed tickets go.
#[derive(Debug)]
pub struct Reporter {
    /// The metrics.
    pub metrics: Arc<Metrics>,
    /// The records.
    pub records: Records,
    /// Where records go besides.
    pub telemetry: Arc<Telemetry>,
    /// Where they are kept.
    pub archive: Arc<Archive<Recorded>>,
    /// Where inputs and predictions are kept, if anybody asks for them.
    pub data: Arc<Archive<Calls>>,
    /// Tells a client that left from one that was sent away.
    pub lifecycle: Lifecycle,
}

/// One request's account.
#[derive(Debug)]
pub struct Ticket {
    reporter: Arc<Reporter>,
    /// Taken when the account is closed.
    account: Option<Account>,
    arrived: Instant,
    forwarded: Option<Instant>,
    passed: Arc<Passed>,
    trace: Option<Trace>,
    /// What is collected of it.
    call: Option<Box<Call>>,
    _in_flight: Counted,
}

/// What is known of a request so far. It shares the bytes of the header instead of copying them.
#[derive(Debug)]
struct Account {
    time: Timestamp,
    /// Absent where there was no header to read.
    asked: Option<(Method, Uri)>,
    user_agent: Option<HeaderValue>,
    ids: RequestIds,
    status: u16,
    auth_mode: Option<&'static str>,
    subject: Option<HeaderValue>,
    queued: Option<Duration>,
    bytes_out: u64,
}

impl Ticket {
    /// Opens the account of a request.
    #[must_use]
    pub fn open(
        reporter: &Arc<Reporter>,
        head: &Parts,
        ids: &RequestIds,
        now: Timestamp,
        arrived: Instant,
    ) -> Self {
        let account = Account {
            time: now,
            asked: Some((head.method.clone(), head.uri.clone())),
            user_agent: head.headers.get(USER_AGENT).cloned(),
            ids: ids.clone(),
            status: CLIENT_CLOSED_REQUEST,
            auth_mode: None,
            subject: None,
            queued: None,
            bytes_out: 0,
        };
        Self {
            reporter: Arc::clone(reporter),
            account: Some(account),
            arrived,
            forwarded: None,
            passed: Arc::default(),
            trace: reporter.telemetry.trace(&head.headers, ids),
            call: None,
            _in_flight: reporter.metrics.in_flight(),
        }
    }

    /// The request's place in a trace, where spans are exported.
    #[must_use]
    pub fn trace(&self) -> Option<Trace> {
        self.trace
    }

    /// Counts what was read of the request's body.
    #[must_use]
    pub fn passed(&self) -> Arc<Passed> {
        Arc::clone(&self.passed)
    }

    /// Notes that there was no header to read method and path from.
    pub fn unreadable(&mut self) {
        self.edit(|account| account.asked = None);
    }

    /// Notes the mode by which the request was judged.
    pub fn judged(&mut self, mode: &'static str) {
        self.edit(|account| account.auth_mode = Some(mode));
    }

    /// Notes who the caller is.
    pub fn called_by(&mut self, subject: &HeaderValue) {
        self.edit(|account| account.subject = Some(subject.clone()));
    }

    /// Notes that the request's turn came.
    pub fn forwarded(&mut self, waited: Duration, now: Instant) {
        self.forwarded = Some(now);
        self.edit(|account| account.queued = Some(waited));
    }

    /// Begins to collect the request's body, which comes after this header, and its answer, if they are to be.
    pub fn collect(&mut self, headers: &HeaderMap) -> Option<Input> {
        let ids = &self.account.as_ref()?.ids;
        self.call = self.reporter.data.begin(headers, ids).map(Box::new);
        self.call.as_ref().map(|call| call.input())
    }

    /// Notes the status the client sees, with an answer of the gateway's own.
    pub fn answered(&mut self, status: StatusCode) {
        self.call = None;
        self.edit(|account| account.status = status.as_u16());
    }

    /// Notes the header of the model's answer, as the client sees it.
    pub fn answered_by_model(&mut self, status: StatusCode, headers: &HeaderMap) {
        self.call.take_if(|call| !call.answered(status, headers));
        self.edit(|account| account.status = status.as_u16());
    }

    /// Counts what is handed to the client.
    pub fn sent(&mut self, data: &[u8]) {
        if let Some(call) = &mut self.call {
            call.predicted(data);
        }
        self.edit(|account| account.bytes_out += data.len() as u64);
    }

    /// Closes the account. Later calls change nothing.
    pub fn close(&mut self, outcome: Outcome) {
        let Some(account) = self.account.take() else {
            return;
        };
        let call = self.call.take().filter(|_| outcome == Outcome::Completed);
        if let Some(call) = call {
            self.reporter.data.push(*call, account.time, &account.ids);
        }
        let now = Instant::now();
        let duration = now - self.arrived;
        let (method, path, has_query) = match &account.asked {
            Some((method, uri)) => (method.as_str(), uri.path(), uri.query().is_some()),
            None => ("", "", false),
        };
        let user_agent = account.user_agent.as_ref().map(text).unwrap_or_default();
        let record = Record {
            time: account.time,
            name: clipped(path, 1024),
            method: clipped(method, 32),
            user_agent: clipped(&user_agent, 256),
            request_url: redacted_url(path, has_query),
            status: account.status,
            request_id: account.ids.request_id(),
            client_request_id: account.ids.client_request_id(),
            duration_ms: millis(duration),
            auth_mode: account.auth_mode,
            subject: account.subject.as_ref().map(text),
            bytes_in: self.passed.bytes(),
            bytes_out: account.bytes_out,
            model_ms: self.forwarded.map(|since| millis(now - since)),
            queue_ms: account.queued.map(millis),
            outcome,
        };
        self.reporter
            .metrics
            .finished(record.status, outcome, duration);
        let (live, archive) = (self.reporter.telemetry.live(), &self.reporter.archive);
        if live.is_none() && !archive.is_on() {
            return self.reporter.records.push(&record, None);
        }
        let also = |line: &[u8]| {
            if let Some(live) = &live {
                live.push(line, self.trace);
            }
            if archive.is_on() {
                archive.push(line);
            }
        };
        self.reporter.records.push(&record, Some(&also));
    }

    fn edit(&mut self, change: impl FnOnce(&mut Account)) {
        if let Some(account) = &mut self.account {
            change(account);
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let outcome = if self.reporter.lifecycle.is_killed() {
            Outcome::ShutdownAborted
        } else {
            Outcome::ClientAborted
        };
        self.close(outcome);
    }
}

/// Milliseconds with three decimals: the record's resolution is the microsecond.
fn millis(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}

fn text(value: &HeaderValue) -> Cow<'_, str> {
    String::from_utf8_lossy(value.as_bytes())
}
