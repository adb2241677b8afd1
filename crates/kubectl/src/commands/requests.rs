//! `requests`: who asked a web service what, and how it ended, as its gateways recorded it.

mod line;
mod summary;

use clap::{Args, ValueEnum};
use http::header::ACCEPT;
use jiff::Timestamp;

use crate::answer::Answer;
use crate::args::GlobalArgs;
use crate::client::{Cluster, SERVICES};
use crate::commands::kept::{Complaints, Lines, Span, unpack};
use crate::durations;
use crate::failure::Failure;
use crate::names::Name;
use crate::output;
use line::Record;
use summary::Summary;

/// Longer lines are none of a gateway's.
const LONGEST: usize = 64 * 1024;

/// Arguments of `requests`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    # The requests of the last hour, and those that follow\n  \
    kubectl atelier requests digits --since 1h -f\n\n  \
    # Only those that failed or were refused, with all there is to know of them\n  \
    kubectl atelier requests digits --failed -o json\n\n  \
    # How many of which status, and how long they took\n  \
    kubectl atelier requests digits --since 1h --summary\n\n  \
    # Those of last week that failed, out of the archive: also of pods that are gone\n  \
    kubectl atelier requests digits --archive --since 7d --failed")]
pub struct RequestsArgs {
    /// The web service.
    pub service: Name,
    /// Go on with those that come, until you stop it.
    #[arg(short, long)]
    pub follow: bool,
    /// Only what is younger than this: 30s, 5m, 1h30m, 7d. Out of the archive, a day if nothing is said.
    #[arg(long, value_name = "TIME", value_parser = durations::far_back)]
    pub since: Option<u64>,
    /// Only what is older than this.
    #[arg(long, value_name = "TIME", value_parser = durations::far_back, requires = "archive")]
    pub until: Option<u64>,
    /// Out of the archive in the workspace's storage, instead of the logs of the pods that there are.
    #[arg(long, conflicts_with = "follow")]
    pub archive: bool,
    /// Only those that were answered with a status of 400 or more.
    #[arg(long)]
    pub failed: bool,
    /// Count them instead: by status and outcome, with the time they took.
    #[arg(long, conflicts_with_all = ["follow", "output"])]
    pub summary: bool,
    /// Form of the output: table, wide or json, which is one line for each as it was recorded.
    #[arg(short = 'o', long, value_enum, default_value_t = Form::Table, value_name = "FORMAT", hide_possible_values = true)]
    pub output: Form,
}

/// Form of the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Form {
    /// For people.
    Table,
    /// For people, with more columns.
    Wide,
    /// As recorded.
    Json,
}

/// Does what the arguments say.
pub async fn run(args: RequestsArgs, global: &GlobalArgs) -> Result<(), Failure> {
    let span = match args.archive {
        true => Span::back(args.since, args.until, Timestamp::now()),
        false => Span::default(),
    };
    let mut answer = ask(&args, &span, global).await?;
    let mut shown = Shown::new(&args, span);
    shown.begin()?;
    if args.archive {
        unpack(answer, |lines| shown.lines(lines)).await?;
    } else {
        while let Some(piece) = answer.piece().await? {
            shown.lines(&piece)?;
        }
    }
    shown.end()
}

/// What has been shown so far, and how.
struct Shown<'a> {
    args: &'a RequestsArgs,
    span: Span,
    lines: Lines,
    summary: Summary,
    complaints: Complaints,
}

impl<'a> Shown<'a> {
    fn new(args: &'a RequestsArgs, span: Span) -> Self {
        Self {
            args,
            span,
            lines: Lines::new(LONGEST),
            summary: Summary::default(),
            complaints: Complaints::default(),
        }
    }

    fn begin(&self) -> Result<(), Failure> {
        match self.args.output {
            Form::Json => Ok(()),
            _ if self.args.summary => Ok(()),
            form => output::print(&line::headers(form == Form::Wide)),
        }
    }

    fn lines(&mut self, piece: &[u8]) -> Result<(), Failure> {
        let mut told = String::new();
        for text in self.lines.take(piece) {
            let Some(record) = Record::read(&text) else {
                if self.args.archive {
                    self.complaints.note(&text);
                }
                continue;
            };
            if self.args.failed && !record.is_failed() || !self.span.has(record.time()) {
                continue;
            }
            match self.args.output {
                _ if self.args.summary => self.summary.add(&record),
                Form::Table => told.push_str(&record.row(false)),
                Form::Wide => told.push_str(&record.row(true)),
                Form::Json => told.push_str(&record.json()),
            }
        }
        // Those that come together are written together, and at once.
        match told.is_empty() {
            true => Ok(()),
            false => output::print(&told),
        }
    }

    fn end(self) -> Result<(), Failure> {
        if self.args.summary {
            output::print(&self.summary.render())?;
        }
        self.complaints.end()
    }
}

/// The log of the gateways, or what the archive has of it. A refusal is JSON, a log is text.
async fn ask(args: &RequestsArgs, span: &Span, global: &GlobalArgs) -> Result<Answer, Failure> {
    let cluster = Cluster::open(global).await?;
    let mut uri = cluster.action(SERVICES, &args.service, "log");
    if args.archive {
        uri.push_str("?archive=true");
        for parameter in span.query() {
            uri.push_str(&format!("&{parameter}"));
        }
    } else {
        uri.push_str("?container=gateway");
        if args.follow {
            uri.push_str("&follow=true");
        }
        if let Some(seconds) = args.since {
            uri.push_str(&format!("&sinceSeconds={seconds}"));
        }
    }
    let request = http::Request::get(uri)
        .header(ACCEPT, "text/plain, application/json, */*")
        .body(Vec::new())?;
    cluster.send(request).await?.accepted().await
}
