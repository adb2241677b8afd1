//! One request's account, from its header to the end of its answer, however that comes about.
//!
//! It travels with the request and then inside the body of the answer. Whoever drops it early –
//! hyper does when a client leaves – closes it: no request goes unrecorded.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use http::{HeaderValue, StatusCode, header::USER_AGENT, request::Parts};
use jiff::Timestamp;
use tokio::time::Instant;

use crate::{
    ids::RequestIds,
    lifecycle::Lifecycle,
    metrics::{Counted, Metrics},
    record::{Outcome, Record, Records, clipped, redacted_url},
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
    /// Tells a client that left from one that was sent away.
    pub lifecycle: Lifecycle,
}

/// One request's account.
#[derive(Debug)]
pub struct Ticket {
    reporter: Arc<Reporter>,
    /// Taken when the account is closed.
    record: Option<Record>,
    arrived: Instant,
    forwarded: Option<Instant>,
    bytes_in: Arc<AtomicU64>,
    _in_flight: Counted,
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
        let user_agent = head
            .headers
            .get(USER_AGENT)
            .map(|value| String::from_utf8_lossy(value.as_bytes()));
        let record = Record {
            time: now,
            name: clipped(head.uri.path(), 1024),
            method: clipped(head.method.as_str(), 32),
            user_agent: clipped(user_agent.as_deref().unwrap_or_default(), 256),
            request_url: redacted_url(head.uri.path(), head.uri.query().is_some()),
            status: CLIENT_CLOSED_REQUEST,
            request_id: ids.request_id().to_owned(),
            client_request_id: ids.client_request_id().map(str::to_owned),
            duration_ms: 0.0,
            auth_mode: None,
            subject: None,
            bytes_in: 0,
            bytes_out: 0,
            model_ms: None,
            queue_ms: None,
            outcome: Outcome::ClientAborted,
        };
        Self {
            reporter: Arc::clone(reporter),
            record: Some(record),
            arrived,
            forwarded: None,
            bytes_in: Arc::default(),
            _in_flight: reporter.metrics.in_flight(),
        }
    }

    /// Counts what was read of the request's body.
    #[must_use]
    pub fn bytes_in(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.bytes_in)
    }

    /// Notes that there was no header to read method and path from.
    pub fn unreadable(&mut self) {
        self.edit(|record| {
            for field in [
                &mut record.name,
                &mut record.method,
                &mut record.request_url,
            ] {
                field.clear();
            }
        });
    }

    /// Notes the mode by which the request was judged.
    pub fn judged(&mut self, mode: &'static str) {
        self.edit(|record| record.auth_mode = Some(mode));
    }

    /// Notes who the caller is.
    pub fn called_by(&mut self, subject: &HeaderValue) {
        let subject = String::from_utf8_lossy(subject.as_bytes()).into_owned();
        self.edit(|record| record.subject = Some(subject));
    }

    /// Notes that the request's turn came.
    pub fn forwarded(&mut self, waited: Duration, now: Instant) {
        self.forwarded = Some(now);
        self.edit(|record| record.queue_ms = Some(millis(waited)));
    }

    /// Notes the status the client sees.
    pub fn answered(&mut self, status: StatusCode) {
        self.edit(|record| record.status = status.as_u16());
    }

    /// Counts bytes handed to the client.
    pub fn sent(&mut self, bytes: usize) {
        self.edit(|record| record.bytes_out += bytes as u64);
    }

    /// Closes the account. Later calls change nothing.
    pub fn close(&mut self, outcome: Outcome) {
        let Some(mut record) = self.record.take() else {
            return;
        };
        let now = Instant::now();
        let duration = now - self.arrived;
        record.outcome = outcome;
        record.duration_ms = millis(duration);
        record.model_ms = self.forwarded.map(|since| millis(now - since));
        record.bytes_in = self.bytes_in.load(Ordering::Relaxed);
        self.reporter
            .metrics
            .finished(record.status, outcome, duration);
        self.reporter.records.push(record);
    }

    fn edit(&mut self, change: impl FnOnce(&mut Record)) {
        if let Some(record) = &mut self.record {
            change(record);
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
