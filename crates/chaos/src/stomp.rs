//! The check `stomp`: whatever somebody does to a child is undone, soon, and nothing else is touched.

pub mod change;
mod insist;
mod normal;
pub mod outcome;
pub mod stomper;
pub mod town;
pub mod view;

use std::time::{Duration, Instant};

use anyhow::ensure;
use clap::Args;
use futures::future::try_join_all;
use kube::Client;

use crate::Lab;
use crate::args::RunArgs;
use crate::dump::{Dump, difference, dump};
use crate::random::Random;
use crate::user::User;
pub use outcome::Outcome;
use stomper::Stomper;
use town::{BYSTANDER, Plot};
use view::View;

/// How long the operator may take to start.
pub const STARTS: Duration = Duration::from_secs(30);
/// How long the end state may take to be that of the beginning.
const SETTLES: Duration = Duration::from_secs(30);
const REVISION: &str = "deployment.kubernetes.io/revision";

/// Whether a difference is one of what only grows: the Deployment's controller counts changes of the template, and a
/// service counts the keys that it had.
fn is_counter(line: &str) -> bool {
    let path = line.split(": ").next().unwrap_or_default();
    let key = path.ends_with(".serial") && path.contains(".data.state.json.");
    let told = path.ends_with(".generation") && path.contains(".data.policy.json.keys.");
    line.contains(REVISION) || key || told
}
const PLOT: Plot = Plot {
    roles: 2,
    idle_nodes: 1,
    runs: 0,
    services: 2,
};

/// Changes children at random, and measures how long each change lasts.
#[derive(Clone, Debug, Args)]
pub struct StompArgs {
    /// How long, at ten changes a second.
    #[arg(long, default_value_t = 60)]
    pub seconds: usize,
    /// Namespaces to do it in.
    #[arg(long, default_value_t = 10)]
    pub namespaces: usize,
    /// Leave out somebody who insists, which takes two minutes.
    #[arg(long)]
    pub no_contest: bool,
    /// Leave out a change. Can be given several times.
    #[arg(long, value_name = "CHANGE")]
    pub without: Vec<String>,
}

/// Runs the check.
pub async fn run(args: &RunArgs, stomp: &StompArgs) -> anyhow::Result<()> {
    let seed = args.seed.unwrap_or_else(Random::seed);
    let without = stomp
        .without
        .iter()
        .map(|name| format!(" --without \"{name}\""));
    let options = format!(
        " --seconds {} --namespaces {}{}",
        stomp.seconds,
        stomp.namespaces,
        without.collect::<String>()
    );
    let mut outcome = Outcome::new("stomp", seed, options);
    ensure!(
        stomp.namespaces >= insist::CONTESTS.len(),
        "there have to be a few namespaces"
    );
    let lab = Lab::up(&args.lab).await?;
    let operator = lab.operator("stomp-0", &lab.direct()?)?;
    operator.start()?;
    operator.leading(STARTS).await?;
    let admin = lab.cluster.admin().await?;

    let prefix = format!("stomp-{}-", std::process::id());
    let view = View::start(&admin, &prefix);
    let users = town(&admin, &prefix, stomp.namespaces).await?;
    let golden = at_rest(&users).await?;
    view.freeze();
    let bystanders = view.labelled(BYSTANDER);
    outcome.figure("namespaces", users.len());
    outcome.figure("children", view.children().len());
    outcome.figure("bystanders", bystanders.len());

    let mut stomper = Stomper::new(&admin, &view, Random::new(seed));
    stomper.without.clone_from(&stomp.without);
    stomper.go(10 * stomp.seconds).await?;
    stomper.report(&mut outcome);
    compare(&golden, &users, &view, &mut outcome).await?;
    if !stomp.no_contest {
        let contests = insist::CONTESTS.iter().zip(&users);
        let contests = contests.map(|(contest, user)| insist::insist(&lab, &view, user, *contest));
        for found in try_join_all(contests).await? {
            insist::note(&mut outcome, found);
        }
        compare(&golden, &users, &view, &mut outcome).await?;
    }
    let after = view.labelled(BYSTANDER);
    for (key, before) in &bystanders {
        outcome.expect(
            after.get(key) == Some(before),
            format!("{key} is nobody's business and was touched"),
        );
    }
    outcome.expect(operator.is_running(), "the operator has ended by itself");
    for user in &users {
        user.leave().await?;
    }
    outcome.conclude(args)
}

async fn town(admin: &Client, prefix: &str, namespaces: usize) -> anyhow::Result<Vec<User>> {
    let one = async |nth: usize| {
        let user = town::build(admin, &format!("{prefix}{nth}"), PLOT).await?;
        town::settle(&user, PLOT).await?;
        town::bystanders(&user).await?;
        anyhow::Ok(user)
    };
    try_join_all((0..namespaces).map(one)).await
}

/// How all namespaces stand when nothing changes any more.
async fn at_rest(users: &[User]) -> anyhow::Result<Vec<Dump>> {
    let begun = Instant::now();
    let mut last = try_join_all(users.iter().map(dump)).await?;
    loop {
        tokio::time::sleep(Duration::from_secs(2)).await;
        let now = try_join_all(users.iter().map(dump)).await?;
        if now == last {
            return Ok(now);
        }
        ensure!(begun.elapsed() < SETTLES, "it never came to rest");
        last = now;
    }
}

/// Everything has to be as it was, statuses included.
async fn compare(
    golden: &[Dump],
    users: &[User],
    view: &View,
    outcome: &mut Outcome,
) -> anyhow::Result<()> {
    let begun = Instant::now();
    let wrong = loop {
        let now = try_join_all(users.iter().map(dump)).await?;
        let lines = golden
            .iter()
            .zip(&now)
            .zip(users)
            .flat_map(|((before, now), user)| {
                let lines = difference(before, now)
                    .into_iter()
                    .filter(|line| !is_counter(line));
                lines.map(|line| format!("{}: {line}", user.namespace))
            });
        let lines: Vec<_> = lines.chain(view.differences()).collect();
        if lines.is_empty() || begun.elapsed() > SETTLES {
            break lines;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    outcome.figure(
        "as before after, ms",
        u64::try_from(begun.elapsed().as_millis())?,
    );
    for line in wrong {
        outcome.wrong(format!("in the end {line}"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::is_counter;

    #[test]
    fn what_only_grows_is_no_difference_and_a_keys_generation_is_one() {
        assert!(is_counter(
            "Secret/a-keys.data.state.json.primary.serial: 1 → 2"
        ));
        assert!(is_counter(
            "Secret/a-gateway.data.policy.json.keys.primary.generation: 1 → 2"
        ));
        assert!(!is_counter(
            "Secret/a-keys.data.state.json.primary.generation: 1 → 2"
        ));
        assert!(!is_counter(
            "Secret/a-keys.data.state.json.primary: there → missing"
        ));
    }
}
