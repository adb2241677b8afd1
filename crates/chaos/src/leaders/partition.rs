//! A leader that the API server does not hear any more.

use std::time::Duration;

use anyhow::Context as _;
use atelier_testkit::apiproxy::{Action, Gate, Matcher, Rule};

use super::frozen::TAKES_OVER;
use super::pair::{Pair, line};
use super::place::Place;
use crate::stomp::Outcome;

const REPAIRS: Duration = Duration::from_secs(20);
/// The claim, and a margin.
const STEPS_BACK: Duration = Duration::from_secs(15);
/// How long it is looked at once it is heard again.
const HEALED: Duration = Duration::from_secs(3);
const STOMPS: usize = 8;

/// How requests are lost.
#[derive(Clone, Copy, Debug)]
pub enum Loss {
    /// Connections are reset.
    Reset,
    /// Nothing comes back.
    Silence,
}

/// Plays one round.
pub async fn part(
    pair: &Pair,
    place: &mut Place,
    loss: Loss,
    seed: u64,
    outcome: &mut Outcome,
) -> anyhow::Result<()> {
    let name = format!("partition, {loss:?}").to_lowercase();
    let (old, new) = pair.roles().await?;
    let (rules, trail, gate) = (old.proxy.rules(), old.proxy.trail(), Gate::shut());
    let began = trail.mark();
    let action = match loss {
        Loss::Reset => Action::DropBefore,
        Loss::Silence => Action::HoldRequest(gate.clone()),
    };
    rules.add(Rule::new(Matcher::any(), action));
    if matches!(loss, Loss::Reset) {
        old.proxy.break_connections();
    }
    // Its watches still tell it what goes wrong, if silence is all there is: it wants to write.
    place.stomp(seed, STOMPS).await?;
    new.takes_over(TAKES_OVER).await.context(name.clone())?;
    let taken_over = trail.mark();
    let became = old.steps_back(STEPS_BACK).await?;
    place.is_right(REPAIRS).await.context(name.clone())?;

    rules.clear();
    gate.open();
    // As a kubelet would.
    if !old.operator.is_running() {
        old.stand_by().await?;
    }
    tokio::time::sleep(HEALED).await;
    outcome.figure(format!("{name}: the old leader"), became);
    for write in old.effective_since(taken_over) {
        outcome.wrong(format!("{name}: the old leader wrote: {}", line(&write)));
    }
    let held = trail.entries_since(began, |entry| {
        entry.faults.contains(&"HoldRequest") && entry.effective
    });
    for write in held
        .iter()
        .filter(|write| write.resource != "leases" && matches!(loss, Loss::Silence))
    {
        outcome.wrong(format!(
            "{name}: a write that was held back changed something: {}",
            line(write)
        ));
    }
    place.is_right(REPAIRS).await.context(name)
}
