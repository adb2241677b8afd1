//! `data`: what was asked of a web service and what its model answered, as far as that is collected.

use std::borrow::Cow;

use atelier_api::actions::CONTINUE;
use clap::{Args, ValueEnum};
use http::header::ACCEPT;
use jiff::Timestamp;
use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::answer::Answer;
use crate::args::GlobalArgs;
use crate::client::{Cluster, SERVICES};
use crate::commands::kept::{Complaints, Lines, Span, unpack};
use crate::durations;
use crate::failure::Failure;
use crate::names::Name;
use crate::output;

/// Longer lines are none of a gateway's: two bodies of 256 KiB, each byte as six, and what stands around them.
const LONGEST: usize = 4 * 1024 * 1024;

/// Arguments of `data`.
#[derive(Debug, Args)]
#[command(
    after_help = "It is what callers sent. spec.collectData of the service says what is collected, and for how long it is kept.\n\n\
    Examples:\n  \
    # Inputs and predictions of the last hour\n  \
    kubectl atelier data digits --since 1h\n\n  \
    # Those of last week, as a file\n  \
    kubectl atelier data digits --since 7d > week.jsonl"
)]
pub struct DataArgs {
    /// The web service.
    pub service: Name,
    /// Only what is younger than this: 30s, 5m, 1h30m, 7d. A day if nothing is said.
    #[arg(long, value_name = "TIME", value_parser = durations::far_back)]
    pub since: Option<u64>,
    /// Only what is older than this.
    #[arg(long, value_name = "TIME", value_parser = durations::far_back)]
    pub until: Option<u64>,
    /// Form of the output: json, which is one line for each call as it was collected.
    #[arg(short = 'o', long, value_enum, default_value_t = Form::Json, value_name = "FORMAT", hide_possible_values = true)]
    pub output: Form,
}

/// Form of the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Form {
    /// As collected.
    Json,
}

/// Does what the arguments say.
pub async fn run(args: DataArgs, global: &GlobalArgs) -> Result<(), Failure> {
    let span = Span::back(args.since, args.until, Timestamp::now());
    let cluster = Cluster::open(global).await?;
    let Form::Json = args.output;
    let mut shown = Shown {
        span,
        complaints: Complaints::default(),
    };
    let mut after = None;
    loop {
        let answer = ask(&cluster, &args.service, &span, after.as_deref()).await?;
        let next = answer.header(CONTINUE).map(str::to_owned);
        // A part ends with a line, and so does a page.
        let mut lines = Lines::new(LONGEST);
        unpack(answer, |piece| shown.lines(lines.take(piece))).await?;
        match next {
            // Whoever answers the same again would be asked for ever.
            Some(next) if Some(&next) != after.as_ref() => after = Some(next),
            _ => return shown.complaints.end(),
        }
    }
}

/// A page of it. A refusal is JSON.
async fn ask(
    cluster: &Cluster,
    service: &Name,
    span: &Span,
    after: Option<&str>,
) -> Result<Answer, Failure> {
    let mut parameters = span.query();
    parameters.extend(after.map(|after| format!("continue={after}")));
    let mut uri = cluster.action(SERVICES, service, "data");
    if !parameters.is_empty() {
        uri = format!("{uri}?{}", parameters.join("&"));
    }
    let request = http::Request::get(uri)
        .header(ACCEPT, "application/gzip, application/json, */*")
        .body(Vec::new())?;
    cluster.send(request).await?.accepted().await
}

/// What has been shown so far.
struct Shown {
    span: Span,
    complaints: Complaints,
}

impl Shown {
    fn lines(&mut self, lines: Vec<String>) -> Result<(), Failure> {
        let mut told = String::new();
        for line in lines {
            let Some(call) = Call::read(&line) else {
                self.complaints.note(&line);
                continue;
            };
            if self.span.has(call.time.parse().ok()) {
                told.push_str(&harmless(&line));
                told.push('\n');
            }
        }
        match told.is_empty() {
            true => Ok(()),
            false => output::print(&told),
        }
    }
}

/// What tells a call from other lines. Its bodies are passed over.
#[derive(Debug, Deserialize)]
struct Call<'a> {
    time: &'a str,
    #[serde(rename = "requestId")]
    _request_id: IgnoredAny,
}

impl<'a> Call<'a> {
    fn read(line: &'a str) -> Option<Self> {
        serde_json::from_str(line).ok()
    }
}

/// The same JSON, without what steers a terminal: JSON lets such characters stand in strings, where they can be escaped.
fn harmless(line: &str) -> Cow<'_, str> {
    let steers = |c: char| c.is_control();
    if !line.contains(steers) {
        return line.into();
    }
    let mut told = String::with_capacity(line.len() + 64);
    for c in line.chars() {
        match steers(c) {
            true => told.push_str(&format!("\\u{:04x}", u32::from(c))),
            false => told.push(c),
        }
    }
    told.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_told_from_what_is_none() {
        let deep = "[".repeat(1000) + &"]".repeat(1000);
        let line = format!(r#"{{"time":"2026-01-04T04:00:00Z","requestId":"r","input":{deep}}}"#);
        assert_eq!(Call::read(&line).unwrap().time, "2026-01-04T04:00:00Z");
        for other in [
            "",
            "text",
            "{}",
            r#"{"level":"ERROR","message":"damaged"}"#,
            "[]",
        ] {
            assert!(Call::read(other).is_none(), "{other}");
        }
    }

    #[test]
    fn what_is_printed_is_the_same_and_steers_no_terminal() {
        let line = "{\"input\":\"a\u{9b}31m\u{7f} \\u001b ä\"}";
        let told = harmless(line);
        assert!(!told.contains(char::is_control), "{told}");
        let read = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
        assert_eq!(read(&told), read(line));
        assert!(matches!(harmless("{\"a\":1}"), Cow::Borrowed(_)));
    }
}
