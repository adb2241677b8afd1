//! What is kept of a service in the workspace's storage, as it comes: for `requests --archive` and for `data`.

mod lines;
mod unpacked;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use crate::answer::Answer;
use crate::failure::Failure;
use crate::output;
use crate::table::plain;

pub use lines::Lines;
use unpacked::Unpacked;

/// From when to when, where that is for us to say.
#[derive(Clone, Copy, Debug, Default)]
pub struct Span {
    since: Option<Timestamp>,
    until: Option<Timestamp>,
}

impl Span {
    /// From so many seconds before `now` to so many before it.
    pub fn back(since: Option<u64>, until: Option<u64>, now: Timestamp) -> Self {
        let back = |seconds: Option<u64>| {
            let seconds = i64::try_from(seconds?).unwrap_or(i64::MAX);
            now.checked_sub(SignedDuration::from_secs(seconds)).ok()
        };
        Self {
            since: back(since),
            until: back(until),
        }
    }

    /// Whether a moment is in it. One that is not known is.
    pub fn has(&self, time: Option<Timestamp>) -> bool {
        let Some(time) = time else {
            return true;
        };
        self.since.is_none_or(|since| time >= since) && self.until.is_none_or(|until| time <= until)
    }

    /// As parameters of a request.
    pub fn query(&self) -> Vec<String> {
        [("sinceTime", self.since), ("untilTime", self.until)]
            .into_iter()
            .filter_map(|(name, time)| Some(format!("{name}={}", time?)))
            .collect()
    }
}

/// What was said in place of parts that cannot be read.
#[derive(Debug, Default)]
pub struct Complaints(u64);

impl Complaints {
    /// Repeats it, if the line is one.
    pub fn note(&mut self, line: &str) {
        if let Some(why) = complaint(line) {
            self.0 += 1;
            output::aside(&format!("warning: {}", plain(&why)));
        }
    }

    /// Fails if there were any.
    pub fn end(self) -> Result<(), Failure> {
        match self.0 {
            0 => Ok(()),
            complaints => Err(Failure::Incomplete(complaints)),
        }
    }
}

/// Unpacks an answer, piece by piece.
pub async fn unpack(
    mut answer: Answer,
    mut each: impl FnMut(&[u8]) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let mut unpacked = Unpacked::new();
    while let Some(piece) = answer.piece().await? {
        unpacked.add(&piece, &mut each)?;
    }
    each(&unpacked.end()?)
}

/// What the operator says in place of a part that it cannot read.
fn complaint(line: &str) -> Option<String> {
    let said: Value = serde_json::from_str(line).ok()?;
    let has_id = ["RequestId", "requestId"]
        .iter()
        .any(|id| said.get(id).is_some());
    let is_one = said["level"] == "ERROR" && !has_id;
    is_one.then(|| said["message"].as_str().map(str::to_owned))?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_complaint_is_told_from_a_record() {
        let line = r#"{"level":"ERROR","message":"it is damaged"}"#;
        assert_eq!(complaint(line).as_deref(), Some("it is damaged"));
        for other in [
            r#"{"RequestId":"r","StatusCode":200}"#,
            r#"{"requestId":"r","level":"ERROR","message":"x"}"#,
            "text",
            "{}",
        ] {
            assert_eq!(complaint(other), None);
        }
    }

    #[test]
    fn a_span_has_what_is_between_its_ends() {
        let at = |time: &str| time.parse::<Timestamp>().unwrap();
        let span = Span::back(Some(3600), Some(60), at("2026-01-04T05:00:00Z"));
        assert_eq!(
            span.query(),
            [
                "sinceTime=2026-01-04T04:00:00Z",
                "untilTime=2026-01-04T04:59:00Z"
            ]
        );
        for (time, is_in) in [
            ("2026-01-04T03:59:59Z", false),
            ("2026-01-04T04:00:00Z", true),
            ("2026-01-04T04:59:01Z", false),
        ] {
            assert_eq!(span.has(Some(at(time))), is_in, "{time}");
        }
        assert!(span.has(None) && Span::default().has(Some(at("1970-01-01T00:00:00Z"))));
        assert!(Span::default().query().is_empty());
    }
}
