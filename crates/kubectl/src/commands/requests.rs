//! `requests`: who asked a web service what, and how it ended, as its gateways recorded it.

mod line;
mod summary;

use clap::{Args, ValueEnum};
use http::header::ACCEPT;

use crate::answer::Answer;
use crate::args::GlobalArgs;
use crate::client::{Cluster, SERVICES};
use crate::durations;
use crate::failure::Failure;
use crate::names::Name;
use crate::output;
use line::{Lines, Record};
use summary::Summary;

/// Arguments of `requests`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    # The requests of the last hour, and those that follow\n  \
    kubectl atelier requests digits --since 1h -f\n\n  \
    # Only those that failed or were refused, with all there is to know of them\n  \
    kubectl atelier requests digits --failed -o json\n\n  \
    # How many of which status, and how long they took\n  \
    kubectl atelier requests digits --since 1h --summary")]
pub struct RequestsArgs {
    /// The web service.
    pub service: Name,
    /// Go on with those that come, until you stop it.
    #[arg(short, long)]
    pub follow: bool,
    /// Only what is younger than this: 30s, 5m, 1h30m.
    #[arg(long, value_name = "TIME", value_parser = durations::seconds_back)]
    pub since: Option<u64>,
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
    let mut answer = ask(&args, global).await?;
    let (mut lines, mut summary) = (Lines::default(), Summary::default());
    if !args.summary && args.output != Form::Json {
        output::print(&line::headers(args.output == Form::Wide))?;
    }
    while let Some(piece) = answer.piece().await? {
        let mut told = String::new();
        for text in lines.take(&piece) {
            let Some(record) = Record::read(&text).filter(|one| !args.failed || one.is_failed())
            else {
                continue;
            };
            match args.output {
                _ if args.summary => summary.add(&record),
                Form::Table => told.push_str(&record.row(false)),
                Form::Wide => told.push_str(&record.row(true)),
                Form::Json => told.push_str(&record.json()),
            }
        }
        // Those that come together are written together, and at once.
        if !told.is_empty() {
            output::print(&told)?;
        }
    }
    match args.summary {
        true => output::print(&summary.render()),
        false => Ok(()),
    }
}

/// The log of the gateways. A refusal is JSON, a log is text.
async fn ask(args: &RequestsArgs, global: &GlobalArgs) -> Result<Answer, Failure> {
    let cluster = Cluster::open(global).await?;
    let mut uri = cluster.action(SERVICES, &args.service, "log");
    uri.push_str("?container=gateway");
    if args.follow {
        uri.push_str("&follow=true");
    }
    if let Some(seconds) = args.since {
        uri.push_str(&format!("&sinceSeconds={seconds}"));
    }
    let request = http::Request::get(uri)
        .header(ACCEPT, "text/plain, application/json, */*")
        .body(Vec::new())?;
    cluster.send(request).await?.accepted().await
}
