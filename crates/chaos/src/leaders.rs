//! The check `leaders`: of two replicas one writes, whatever happens to it, to the lease, or in between.

mod frozen;
mod handover;
mod lease;
mod pair;
mod partition;
mod place;

use anyhow::Context as _;
use clap::{Args, ValueEnum};

use crate::Lab;
use crate::args::RunArgs;
use crate::random::Random;
use crate::stomp::Outcome;
use frozen::InFlight;
use pair::Pair;
use place::Place;

/// Freezes leaders, hands over, takes the lease away, cuts the line.
#[derive(Clone, Debug, Args)]
pub struct LeadersArgs {
    /// Only this part.
    #[arg(long, value_enum)]
    pub part: Option<Part>,
    /// How often a leader hands over.
    #[arg(long, default_value_t = 10)]
    pub handovers: usize,
}

/// Parts of the check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Part {
    /// A leader stands still with a write on its way.
    Frozen,
    /// A leader is told to end.
    Handover,
    /// The lease is deleted, or stolen.
    Lease,
    /// A leader is cut off from the API server.
    Partition,
}

/// Runs the check.
pub async fn run(args: &RunArgs, leaders: &LeadersArgs) -> anyhow::Result<()> {
    let seed = args.seed.unwrap_or_else(Random::seed);
    let part = leaders.part.and_then(|part| part.to_possible_value());
    let part = part.map(|part| format!(" --part {}", part.get_name()));
    let mut outcome = Outcome::new("leaders", seed, part.unwrap_or_default());
    let lab = Lab::up(&args.lab).await?;
    let pair = Pair::start(&lab).await?;
    let admin = lab.cluster.admin().await?;
    let mut places = vec![];
    let is_wanted = |part: Part| leaders.part.is_none_or(|only| only == part);

    if is_wanted(Part::Frozen) {
        for (nth, in_flight) in (0..).zip(InFlight::ALL) {
            let place = new_place(&admin, &mut places).await?;
            frozen::round(&pair, place, in_flight, seed + nth, &mut outcome)
                .await
                .with_context(|| format!("frozen, {in_flight:?}; seed {seed}"))?;
        }
    }
    if is_wanted(Part::Handover) {
        let place = new_place(&admin, &mut places).await?;
        handover::hand_over(&pair, place, leaders.handovers, &mut outcome).await?;
    }
    if is_wanted(Part::Lease) {
        let place = new_place(&admin, &mut places).await?;
        for loss in [lease::Loss::Deleted, lease::Loss::Stolen] {
            lease::lose(&pair, place, loss, &mut outcome).await?;
        }
    }
    if is_wanted(Part::Partition) {
        let place = new_place(&admin, &mut places).await?;
        for loss in [partition::Loss::Reset, partition::Loss::Silence] {
            partition::part(&pair, place, loss, seed, &mut outcome).await?;
        }
    }
    for place in &places {
        place.user.leave().await?;
    }
    for replica in pair.both() {
        let log = replica.operator.log();
        println!("  {}: {}", replica.name, log.display());
    }
    outcome.conclude(args)
}

async fn new_place<'a>(
    admin: &kube::Client,
    places: &'a mut Vec<Place>,
) -> anyhow::Result<&'a mut Place> {
    let name = format!("leaders-{}-{}", std::process::id(), places.len());
    places.push(Place::new(admin, &name).await?);
    places.last_mut().context("a place was just made")
}
