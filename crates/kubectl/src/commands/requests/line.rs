//! Which lines of a gateway's log are records, and how one is shown.

use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::table::plain;

/// What a gateway has recorded of a request.
#[derive(Clone, Debug, PartialEq)]
pub struct Record(Map<String, Value>);

impl Record {
    /// Reads a line. `None` for one of the gateway's own log. With more than one replica each line begins with the
    /// replica's name in brackets.
    pub fn read(line: &str) -> Option<Self> {
        let json = match line.strip_prefix('[') {
            Some(named) => named.split_once("] ")?.1,
            None => line,
        };
        let record: Map<String, Value> = serde_json::from_str(json).ok()?;
        let is_record = record.contains_key("RequestId") && record.contains_key("StatusCode");
        is_record.then_some(Self(record))
    }

    fn text(&self, name: &str) -> String {
        match self.0.get(name) {
            Some(Value::String(text)) => plain(text),
            Some(Value::Number(number)) => number.to_string(),
            _ => "-".to_owned(),
        }
    }

    fn number(&self, name: &str) -> f64 {
        self.0.get(name).and_then(Value::as_f64).unwrap_or_default()
    }

    /// When the request came, if that can be read.
    pub fn time(&self) -> Option<Timestamp> {
        self.0.get("time")?.as_str()?.parse().ok()
    }

    /// The status that the client saw.
    pub fn status(&self) -> u64 {
        self.0["StatusCode"].as_u64().unwrap_or_default()
    }

    /// How it ended.
    pub fn outcome(&self) -> String {
        self.text("outcome")
    }

    /// How long it took, in milliseconds.
    pub fn duration(&self) -> f64 {
        self.number("Duration")
    }

    /// Whether it was refused, or failed.
    pub fn is_failed(&self) -> bool {
        self.status() >= 400
    }

    /// As it was recorded, without the name of the replica before it.
    pub fn json(&self) -> String {
        format!("{}\n", Value::Object(self.0.clone()))
    }

    /// For people.
    pub fn row(&self, wide: bool) -> String {
        let took = format!("{:.1}ms", self.duration());
        let cells = [
            self.text("time"),
            self.text("HTTPMethod"),
            self.text("name"),
            self.text("StatusCode"),
            self.outcome(),
            took,
            self.text("subject"),
            self.text("RequestId"),
        ];
        let more = [
            self.text("replica"),
            self.text("authMode"),
            self.text("bytesIn"),
            self.text("bytesOut"),
            self.text("queueMs"),
            self.text("modelMs"),
            self.text("ClientRequestId"),
        ];
        row(&cells, wide.then_some(&more))
    }
}

/// The headers of the rows.
pub fn headers(wide: bool) -> String {
    let names = [
        "TIME",
        "METHOD",
        "PATH",
        "STATUS",
        "OUTCOME",
        "TOOK",
        "SUBJECT",
        "REQUEST-ID",
    ];
    let more = [
        "REPLICA",
        "AUTH",
        "BYTES-IN",
        "BYTES-OUT",
        "QUEUE-MS",
        "MODEL-MS",
        "CLIENT-REQUEST-ID",
    ];
    row(
        &names.map(str::to_owned),
        wide.then_some(&more.map(str::to_owned)),
    )
}

/// A row is written before those that come after it are known, so columns have the width that they mostly need.
fn row(cells: &[String; 8], more: Option<&[String; 7]>) -> String {
    const WIDTHS: [usize; 8] = [27, 7, 16, 6, 14, 10, 20, 36];
    const MORE: [usize; 7] = [24, 6, 8, 9, 8, 8, 17];
    let more = more.into_iter().flatten().zip(MORE);
    let mut line = String::new();
    for (cell, width) in cells.iter().zip(WIDTHS).chain(more) {
        line.push_str(&format!("{cell:<width$}   "));
    }
    format!("{}\n", line.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = r#"{"time":"2026-01-04T04:00:00.123456Z","name":"/score","HTTPMethod":"POST","StatusCode":401,"RequestId":"r-1","Duration":0.25,"outcome":"Unauthorized","bytesIn":0}"#;

    #[test]
    fn a_record_is_told_from_the_gateways_own_log() {
        let record = Record::read(LINE).unwrap();
        assert!(record.is_failed());
        assert_eq!(Record::read(&format!("[digits-abc] {LINE}")), Some(record));
        for other in [
            "",
            "text",
            "[x",
            r#"{"level":"INFO","message":"the gateway serves"}"#,
            "[]",
        ] {
            assert_eq!(Record::read(other), None, "{other}");
        }
    }

    #[test]
    fn a_row_stands_under_its_headers_and_cannot_steer_a_terminal() {
        let row = Record::read(LINE).unwrap().row(false);
        let headers = headers(false);
        for (header, cell) in [("METHOD", "POST"), ("STATUS", "401"), ("REQUEST-ID", "r-1")] {
            assert_eq!(
                headers.find(header),
                row.find(cell),
                "{header}\n{headers}{row}"
            );
        }
        let evil = LINE.replace("/score", "/\\u001b[2J\\nx");
        let row = Record::read(&evil).unwrap().row(true);
        assert!(!row.trim_end().contains(['\u{1b}', '\n']), "{row:?}");
    }
}
