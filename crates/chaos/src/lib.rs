//! The machine that tries to knock the operator over.
//!
//! It runs the operator's executable as a process of its own, against a real API server without kubelets, lets a user
//! do what users do, and disturbs: kills between writes, lost answers, views that lag or have gaps. Whatever happens,
//! the end must be the end of an undisturbed run. It knows nothing of the operator's code.
#![allow(clippy::unwrap_used, clippy::panic)]

pub mod args;
pub mod chart;
pub mod control_plane;
pub mod dump;
pub mod lab;
pub mod operator;
pub mod scenario;
pub mod scenarios;
pub mod user;

pub use lab::Lab;
pub use operator::Operator;
pub use scenario::{Scenario, Stage};

pub mod golden;

use std::time::Duration;

/// Plays the scenarios undisturbed, twice, and prints how long each step took and whether both ended alike.
pub async fn undisturbed(args: &args::RunArgs) -> anyhow::Result<()> {
    let lab = Lab::up(&args.lab).await?;
    let operator = lab.operator("operator-0", &lab.direct()?)?;
    operator.start()?;
    operator.leading(Duration::from_secs(30)).await?;
    let admin = lab.cluster.admin().await?;
    let mut alike = true;
    for scenario in scenarios::named(args.scenario.as_deref())? {
        let mut plays = vec![];
        for turn in 1..=2 {
            let recorder = golden::Recorder::default();
            let namespace = format!("{}-{turn}-{}", scenario.name(), std::process::id());
            golden::play(scenario, &admin, &namespace, &recorder).await?;
            let (marks, steps) = recorder.into_parts();
            let sum: Duration = steps.iter().map(|(_, took)| *took).sum();
            println!("{} {turn}: {:.2} s", scenario.name(), sum.as_secs_f64());
            for (what, took) in steps {
                println!("  {:>6} ms  {what}", took.as_millis());
            }
            plays.push(marks);
        }
        for (mark, first) in &plays[0] {
            for line in dump::difference(first, &plays[1][mark]) {
                alike = false;
                println!("  at \"{mark}\" {line}");
            }
        }
    }
    println!("resident: {} kB", operator.rss().unwrap_or_default() / 1024);
    anyhow::ensure!(alike, "two undisturbed plays differ");
    Ok(())
}
