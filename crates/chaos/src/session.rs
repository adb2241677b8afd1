//! One run of the machine, from the command line to the verdict.

use std::time::{Duration, Instant};

use anyhow::ensure;

use crate::args::RunArgs;
use crate::dump::difference;
use crate::golden::{Recorder, play};
use crate::plan::Plan;
use crate::random::Random;
use crate::report::{Outcome, Report, Verdict};
use crate::runner::Runner;
use crate::{Caller, Lab, kept, scenarios, schedule};

const STARTS: Duration = Duration::from_secs(30);

/// Plays plans and reports. An error if anything was violated.
pub async fn disturb(args: &RunArgs) -> anyhow::Result<()> {
    let begun = Instant::now();
    let seed = args.seed.unwrap_or_else(Random::seed);
    println!("seed {seed}");
    let wanted: Vec<Plan> = args
        .plan
        .iter()
        .map(|text| text.parse())
        .collect::<anyhow::Result<_>>()?;
    let lab = Lab::up(&args.lab).await?;
    let mut runner = Runner::start(&lab).await?;
    let mut random = Random::new(seed);
    let mut plans = vec![];
    for scenario in scenarios::named(args.scenario.as_deref())? {
        let name = scenario.name();
        if wanted.is_empty() || wanted.iter().any(|plan| plan.scenario == name) {
            let moments = &runner.learn(scenario, args.bless).await?.moments;
            println!(
                "{name}: {} writes, {} sorts of events",
                moments.writes.len(),
                moments.events.len()
            );
            plans.extend(schedule::plans(name, moments, &mut random));
        }
    }
    let chosen = |plan: &Plan| {
        args.share.is_none_or(|share| share.has(plan))
            && args.only.is_none_or(|only| plan.sort() == only)
            && args
                .scenario
                .as_ref()
                .is_none_or(|name| plan.scenario == *name)
    };
    let plans = match wanted.is_empty() {
        true => schedule::ordered(plans, &mut random)?
            .into_iter()
            .filter(chosen)
            .collect(),
        false => wanted,
    };
    if args.list {
        plans.iter().for_each(|plan| println!("{plan}"));
        return Ok(());
    }
    let end = args
        .minutes
        .map(|minutes| begun + Duration::from_secs_f64(minutes * 60.0));
    let report = play_all(&runner, &plans, seed, end).await?;
    println!("{}", report.table());
    if let Some(path) = &args.report {
        report.write(path, seed)?;
    }
    ensure!(
        report.is_clean(),
        "not everything was as it should be; seed {seed}"
    );
    drop(runner);
    lab.forget()
}

async fn play_all(
    runner: &Runner,
    plans: &[Plan],
    seed: u64,
    end: Option<Instant>,
) -> anyhow::Result<Report> {
    let mut report = Report::default();
    for (place, plan) in plans.iter().enumerate() {
        if end.is_some_and(|end| Instant::now() > end) {
            println!(
                "the time is over: {place} of {} plans were played",
                plans.len()
            );
            break;
        }
        let outcome = runner.play(plan).await?;
        print(place + 1, plans.len(), &outcome, seed);
        report.outcomes.push(outcome);
    }
    Ok(report)
}

fn print(place: usize, all: usize, outcome: &Outcome, seed: u64) {
    let Outcome {
        plan,
        verdict,
        took,
    } = outcome;
    let word = match verdict {
        Verdict::Green => "ok",
        Verdict::Missed => "missed",
        Verdict::Violated(_) => "VIOLATION",
    };
    println!("{place}/{all} {plan} {word} {:.1} s", took.as_secs_f64());
    if let Verdict::Violated(wrong) = verdict {
        wrong.iter().for_each(|line| println!("    - {line}"));
        println!("    again: cargo run -p atelier-chaos -- --seed {seed} --plan {plan}");
    }
}

/// Plays the scenarios undisturbed and without a proxy, twice, and prints how long each step took and whether both
/// ended alike.
pub async fn undisturbed(args: &RunArgs) -> anyhow::Result<()> {
    let lab = Lab::up(&args.lab).await?;
    let operator = lab.serving_operator("operator-0", &lab.direct()?)?;
    operator.start()?;
    operator.leading(STARTS).await?;
    let admin = lab.cluster.admin().await?;
    let caller = Caller::of(&lab, &operator).await?;
    let mut alike = true;
    for scenario in scenarios::named(args.scenario.as_deref())? {
        let mut plays = vec![];
        operator.suit(scenario).await?;
        for turn in 1..=2 {
            let recorder = Recorder::default();
            let namespace = format!("{}-{turn}-{}", scenario.name(), std::process::id());
            let all = (&admin, &caller, &operator);
            play(scenario, all, &namespace, &recorder).await?;
            let (marks, steps) = recorder.into_parts();
            let sum: Duration = steps.iter().map(|(_, took)| *took).sum();
            println!("{} {turn}: {:.2} s", scenario.name(), sum.as_secs_f64());
            for (what, took) in steps {
                println!("  {:>6} ms  {what}", took.as_millis());
            }
            plays.push(marks);
        }
        kept::compare(scenario.name(), &plays[0], args.bless)?;
        for (mark, first) in &plays[0] {
            for line in difference(first, &plays[1][mark]) {
                alike = false;
                println!("  at \"{mark}\" {line}");
            }
        }
    }
    println!("resident: {} kB", operator.rss().unwrap_or_default() / 1024);
    ensure!(alike, "two undisturbed plays differ");
    Ok(())
}
