//! `logs`: lines as they come.

use clap::{Args, ValueEnum};
use http::header::ACCEPT;

use crate::args::GlobalArgs;
use crate::client::{Cluster, RUNS, SERVICES};
use crate::durations;
use crate::failure::Failure;
use crate::names::LogTarget;
use crate::output;

/// Arguments of `logs`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    # The last 20 lines of the model of digits, and those that follow\n  \
    kubectl atelier logs digits --tail 20 -f\n\n  \
    # The requests of the last hour, as its gateways recorded them\n  \
    kubectl atelier logs digits --container gateway --since 1h\n\n  \
    # What the run first has printed\n  \
    kubectl atelier logs run/first")]
pub struct LogsArgs {
    /// A web service (NAME or service/NAME) or a run (run/NAME).
    #[arg(value_name = "SERVICE|run/NAME|service/NAME")]
    pub target: LogTarget,
    /// Go on with what comes, until the end.
    #[arg(short, long)]
    pub follow: bool,
    /// Begin with the last lines, this many; -1 is all.
    #[arg(long, value_name = "LINES", default_value_t = -1, allow_negative_numbers = true, value_parser = clap::value_parser!(i64).range(-1..))]
    pub tail: i64,
    /// Only what is younger than this: 30s, 5m, 1h30m.
    #[arg(long, value_name = "TIME", value_parser = durations::seconds_back)]
    pub since: Option<u64>,
    /// Which part of a web service: model or gateway.
    #[arg(
        short,
        long,
        value_enum,
        value_name = "PART",
        hide_possible_values = true
    )]
    pub container: Option<Container>,
    /// The attempt before this one.
    #[arg(short, long)]
    pub previous: bool,
    /// Begin each line with its time.
    #[arg(long)]
    pub timestamps: bool,
}

/// Part of a web service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Container {
    /// The model server.
    Model,
    /// The gateway before it.
    Gateway,
}

impl LogsArgs {
    /// What is asked, without what is left to the server.
    fn query(&self) -> String {
        let Self {
            target: _,
            follow,
            tail,
            since,
            container,
            previous,
            timestamps,
        } = self;
        let mut asked = Vec::new();
        if *follow {
            asked.push("follow=true".to_owned());
        }
        if *tail >= 0 {
            asked.push(format!("tailLines={tail}"));
        }
        if let Some(seconds) = since {
            asked.push(format!("sinceSeconds={seconds}"));
        }
        match container {
            None => {}
            Some(Container::Model) => asked.push("container=model".into()),
            Some(Container::Gateway) => asked.push("container=gateway".into()),
        }
        if *previous {
            asked.push("previous=true".into());
        }
        if *timestamps {
            asked.push("timestamps=true".into());
        }
        asked.join("&")
    }
}

/// Does what the arguments say.
pub async fn run(args: LogsArgs, global: &GlobalArgs) -> Result<(), Failure> {
    let (resource, name) = match &args.target {
        LogTarget::Service(name) => (SERVICES, name),
        LogTarget::Run(_) if args.container.is_some() => {
            return Err(Failure::Usage("--container is for web services".into()));
        }
        LogTarget::Run(name) => (RUNS, name),
    };
    let cluster = Cluster::open(global).await?;
    let mut uri = cluster.action(resource, name, "log");
    let query = args.query();
    if !query.is_empty() {
        uri = format!("{uri}?{query}");
    }
    // A refusal is JSON, a log is text.
    let request = http::Request::get(uri)
        .header(ACCEPT, "text/plain, application/json, */*")
        .body(Vec::new())?;
    let mut answer = cluster.send(request).await?.accepted().await?;
    while let Some(piece) = answer.piece().await? {
        output::bytes(&piece)?;
    }
    Ok(())
}
