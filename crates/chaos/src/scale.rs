//! The check `scale`: with a thousand objects the operator is quiet when nothing happens, soon knows everything after
//! a restart, and puts right what somebody changes.

mod city;
mod usage;

use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use atelier_testkit::cluster::OPERATOR;
use clap::Args;
use k8s_openapi::api::core::v1::Service;

use crate::args::RunArgs;
use crate::random::Random;
use crate::rights::audit::{Asked, Audit};
use crate::stomp::stomper::Stomper;
use crate::stomp::view::View;
use crate::stomp::{Outcome, STARTS};
use crate::user::User;
use crate::{Lab, Operator};

/// How long nothing may be written for all to be at rest.
const REST: Duration = Duration::from_secs(5);
const RESTS_WITHIN: Duration = Duration::from_secs(120);
/// From the start of the process until everything was looked at.
const CAUGHT_UP: Duration = Duration::from_secs(3);
const GIVES_UP: Duration = Duration::from_secs(60);
/// How long it is looked at whether a restart writes anything.
const AFTER: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(10);
/// How many writes are shown that should not have been.
const SHOWN: usize = 5;
/// A busy machine gets a second chance.
const TRIES: usize = 2;

/// Brings many objects up, leaves them alone, restarts the operator, changes children.
#[derive(Clone, Debug, Args)]
pub struct ScaleArgs {
    /// Namespaces, of twenty objects each.
    #[arg(long, default_value_t = 50)]
    pub namespaces: usize,
    /// How long nothing happens.
    #[arg(long, default_value_t = 10.0, value_name = "M")]
    pub idle_minutes: f64,
    /// How many changes are made to children, ten a second.
    #[arg(long, default_value_t = 200)]
    pub changes: usize,
}

/// Runs the check.
pub async fn run(args: &RunArgs, scale: &ScaleArgs) -> anyhow::Result<()> {
    let seed = args.seed.unwrap_or_else(Random::seed);
    let options = format!(
        " --namespaces {} --idle-minutes {} --changes {}",
        scale.namespaces, scale.idle_minutes, scale.changes
    );
    let mut outcome = Outcome::new("scale", seed, options);
    let lab = Lab::up(&args.lab).await?;
    let admin = lab.cluster.admin().await?;
    let operator = lab.operator("scale-0", &lab.direct()?)?;
    operator.start()?;
    operator.leading(STARTS).await?;

    let prefix = format!("scale-{}-", std::process::id());
    let view = View::start(&admin, &prefix);
    outcome.figure("nodes added", city::nodes(&admin, scale.namespaces).await?);
    let begun = Instant::now();
    let users = city::build(&admin, &prefix, scale.namespaces).await?;
    outcome.figure("objects", users.len() * city::OBJECTS);
    outcome.figure("brought up in, s", begun.elapsed().as_secs());
    let audit = Audit::from_now(&lab.cluster.kubeconfig, OPERATOR);
    at_rest(&audit).await?;
    view.freeze();
    outcome.figure("children", view.children().len());

    idle(&lab, &operator, scale.idle_minutes, &mut outcome).await?;
    for nth in 1..=TRIES {
        let took = restart(&lab, &operator, &view, &users, &mut outcome).await?;
        if took <= CAUGHT_UP {
            break;
        }
        outcome.expect(nth < TRIES, format!("caught up only after {took:?}"));
    }
    let mut stomper = Stomper::new(&admin, &view, Random::new(seed));
    stomper.go(scale.changes).await?;
    stomper.report(&mut outcome);
    outcome.figure(
        "resident at the end, kB",
        operator.rss().unwrap_or_default() / 1024,
    );
    for line in view.differences() {
        outcome.wrong(format!("in the end {line}"));
    }
    for user in &users {
        user.leave().await?;
    }
    outcome.conclude(args)
}

/// Waits until the operator writes nothing any more.
async fn at_rest(audit: &Audit) -> anyhow::Result<()> {
    let begun = Instant::now();
    let writes = || {
        anyhow::Ok(
            audit
                .asked()?
                .iter()
                .filter(|asked| asked.is_write())
                .count(),
        )
    };
    let mut last = writes()?;
    loop {
        tokio::time::sleep(REST).await;
        let now = writes()?;
        if now == last {
            return Ok(());
        }
        ensure!(
            begun.elapsed() < RESTS_WITHIN,
            "the operator goes on writing"
        );
        last = now;
    }
}

/// Nothing happens.
async fn idle(
    lab: &Lab,
    operator: &Operator,
    minutes: f64,
    outcome: &mut Outcome,
) -> anyhow::Result<()> {
    let audit = Audit::from_now(&lab.cluster.kubeconfig, OPERATOR);
    let (cpu, reconciles) = (usage::cpu(operator)?, usage::reconciles(operator).await?);
    tokio::time::sleep(Duration::from_secs_f64(60.0 * minutes)).await;
    let asked = audit.asked()?;
    let writes: Vec<_> = asked.iter().filter(|asked| asked.is_effective()).collect();
    let a_minute = |count: f64| (10.0 * count / minutes).round() / 10.0;
    let leases = asked
        .iter()
        .filter(|asked| asked.resource == "leases")
        .count();
    let used = usage::cpu(operator)?.saturating_sub(cpu);
    let looked = usage::reconciles(operator).await? - reconciles;
    outcome.figure("idle, minutes", minutes);
    outcome.figure("idle: effective writes", writes.len());
    outcome.figure(
        "idle: requests a minute, without the lease",
        a_minute((asked.len() - leases) as f64),
    );
    outcome.figure(
        "idle: requests for the lease a minute",
        a_minute(leases as f64),
    );
    outcome.figure("idle: reconciles a minute", a_minute(looked as f64));
    outcome.figure(
        "idle: processor time a minute, ms",
        a_minute(used.as_secs_f64() * 1000.0),
    );
    outcome.figure(
        "idle: resident, kB",
        operator.rss().unwrap_or_default() / 1024,
    );
    show(&writes, "written while nothing happened", outcome);
    Ok(())
}

/// Kills the operator, changes one child while it is down, starts it, and says how long it took to know everything.
async fn restart(
    lab: &Lab,
    operator: &Operator,
    view: &View,
    users: &[User],
    outcome: &mut Outcome,
) -> anyhow::Result<Duration> {
    let last = users.last().context("there is no namespace")?;
    let objects = u64::try_from(users.len() * city::OBJECTS)?;
    operator.kill();
    last.delete::<Service>("svc9").await?;
    // The own view has to know first, or nothing would seem to be missing.
    while view.differences().is_empty() {
        tokio::time::sleep(POLL).await;
    }
    let audit = Audit::from_now(&lab.cluster.kubeconfig, OPERATOR);
    let begun = Instant::now();
    operator.start()?;
    operator.leading(GIVES_UP).await?;
    let leads = begun.elapsed();
    while !view.differences().is_empty() || usage::reconciles(operator).await? < objects {
        ensure!(
            begun.elapsed() < GIVES_UP,
            "never caught up after a restart"
        );
        tokio::time::sleep(POLL).await;
    }
    let caught_up = begun.elapsed();
    tokio::time::sleep(AFTER).await;
    let asked = audit.asked()?;
    let is_repair = |asked: &Asked| {
        asked.verb == "create" && asked.resource == "services" && asked.namespace == last.namespace
    };
    let (repairs, others): (Vec<_>, Vec<_>) = asked
        .iter()
        .filter(|asked| asked.is_effective())
        .partition(|asked| is_repair(asked));
    outcome.figure(
        "restart: leads after, ms",
        u64::try_from(leads.as_millis())?,
    );
    outcome.figure(
        "restart: caught up after, ms",
        u64::try_from(caught_up.as_millis())?,
    );
    outcome.figure("restart: requests", asked.len());
    outcome.figure("restart: other effective writes", others.len());
    outcome.expect(
        repairs.len() == 1,
        format!("the missing child was made {} times", repairs.len()),
    );
    let what = "written after a restart although nothing else was wrong";
    show(&others, what, outcome);
    Ok(caught_up)
}

/// Of many writes that should not be, the first few tell as much as all.
fn show(writes: &[&Asked], what: &str, outcome: &mut Outcome) {
    for write in writes.iter().take(SHOWN) {
        outcome.wrong(format!("{what}: {write}"));
    }
    if let Some(more) = writes.len().checked_sub(SHOWN).filter(|more| *more > 0) {
        outcome.wrong(format!("{what}: and {more} more"));
    }
}
