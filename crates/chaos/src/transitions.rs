//! Every leaf of every kind's schema is set, altered and deleted, one after the other. An object that came to a `spec`
//! step by step must stand as one that was made with it, a bad value must be told of and be forgotten once a good one
//! follows, and a refused change must change nothing. Which values are good, bad or refused nobody writes down: the API
//! server and the operator say.

mod canary;
mod compare;
mod course;
mod edit;
mod exceptions;
mod kubelet;
mod possessions;
mod schema;
mod stage;
mod standing;
mod subject;
mod tally;
mod values;
mod walk;

use std::time::{Duration, Instant};

use atelier_api::{ComputeTarget, RoleAssignment, Run, WebService, Workspace};
use clap::Args;
use kube::Client;
use kube::core::ApiResource;

use crate::Lab;
use crate::args::RunArgs;
use crate::random::Random;
use canary::Canary;
use stage::Stage;
use subject::{Subject, subjects};
use tally::{Summary, Tally};
use walk::{Walk, World};

const STARTS: Duration = Duration::from_secs(30);

/// How far to walk.
#[derive(Clone, Debug, Args)]
pub struct TransitionsArgs {
    /// Only this kind.
    #[arg(long, value_name = "KIND")]
    kind: Option<String>,
    /// Only this leaf, as in `managed.nodes.min`.
    #[arg(long, value_name = "PATH")]
    leaf: Option<String>,
    /// Only so many changes of each kind.
    #[arg(long, value_name = "N")]
    steps: Option<usize>,
    /// Begin no change after so many minutes. Whatever was walked by then is a fair share of each leaf.
    #[arg(long = "for", value_name = "MINUTES")]
    minutes: Option<f64>,
    /// Compare after so many accepted changes.
    #[arg(long, value_name = "N", default_value_t = 4)]
    every: usize,
}

fn kinds() -> [ApiResource; 5] {
    [
        ApiResource::erase::<Workspace>(&()),
        ApiResource::erase::<RoleAssignment>(&()),
        ApiResource::erase::<ComputeTarget>(&()),
        ApiResource::erase::<Run>(&()),
        ApiResource::erase::<WebService>(&()),
    ]
}

/// Walks all kinds at a time and reports. An error if anything is not as it should be.
pub async fn run(args: &RunArgs, wanted: &TransitionsArgs) -> anyhow::Result<()> {
    let begun = Instant::now();
    let seed = args.seed.unwrap_or_else(Random::seed);
    println!("seed {seed}");
    let lab = Lab::up(&args.lab).await?;
    let operator = lab.operator("operator-0", &lab.direct()?)?;
    operator.start()?;
    operator.leading(STARTS).await?;
    let admin = lab.cluster.admin().await?;
    let run = format!("walk-{}", std::process::id());
    let canary = Canary::open(admin.clone(), &format!("{run}-canary")).await?;
    let world = World {
        operator: &operator,
        canary: &canary,
        run,
        every: wanted.every,
        end: wanted
            .minutes
            .or(args.minutes)
            .map(|minutes| begun + Duration::from_secs_f64(minutes * 60.0)),
    };
    let subjects = subjects();
    let chosen: Vec<_> = subjects
        .iter()
        .filter(|one| wanted.kind.as_ref().is_none_or(|kind| one.kind == kind))
        .collect();
    anyhow::ensure!(!chosen.is_empty(), "no such kind");
    let walks = chosen
        .into_iter()
        .map(|subject| walk(subject, &world, &admin, wanted, seed));
    let summary = Summary {
        seed,
        tallies: futures::future::join_all(walks).await,
    };
    canary.leave().await?;
    println!("{}", summary.markdown());
    println!("\ntook {:.0} s", begun.elapsed().as_secs_f64());
    if let Some(path) = &args.report {
        std::fs::write(path, serde_json::to_string_pretty(&summary.json())?)?;
    }
    anyhow::ensure!(
        summary.is_clean(),
        "not everything was as it should be; seed {seed}; the operator's log: {}",
        operator.log().display()
    );
    Ok(())
}

/// Walks one kind. What goes wrong with the walk itself is a failure too.
async fn walk(
    subject: &Subject,
    world: &World<'_>,
    admin: &Client,
    wanted: &TransitionsArgs,
    seed: u64,
) -> Tally {
    let begun = Instant::now();
    let mut tally = Tally::new(subject.kind);
    let done = async {
        let mut turns = course::course(subject, wanted.leaf.as_deref(), seed)?;
        turns.truncate(wanted.steps.unwrap_or(usize::MAX));
        let namespace = world.namespace(subject.kind, "walk");
        world.canary.consents_to(&namespace).await?;
        let stage = Stage::open(subject, admin.clone(), &namespace).await?;
        let mut walk = Walk::begin(world, stage).await?;
        let done = walk.all(&turns).await;
        walk.leave().await?;
        tally = walk.tally;
        done
    };
    if let Err(error) = done.await {
        tally.fail("the walk", &format!("{error:#}"));
    }
    println!(
        "{}: {} changes in {:.0} s",
        subject.kind,
        tally.changes,
        begun.elapsed().as_secs_f64()
    );
    tally
}
