//! Does what the plan says: on the leading replica, one write at a time, each on what was last seen.

mod act;
mod keeper;
mod objects;

use std::time::{Duration, Instant};

use futures::stream::SelectAll;
use futures::{Stream, StreamExt as _};
use jiff::Timestamp;
use kube::Client;
use kube::api::DynamicObject;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use crate::backoff::{Doubling, Pace};
use crate::config::{Config, Elsewhere};
use crate::error::{Error, PeriodsError};
use crate::plan::{Step, plan};
use keeper::Keeper;
use objects::Slot;

/// How often to look at the clock that people set: it may have been.
const LOOK_AGAIN: Duration = Duration::from_secs(30);
/// How soon to ask again whether we lead, and the shortest sleep for a moment that is a fraction away.
const ASK_AGAIN: Duration = Duration::from_millis(500);
const SHORTEST: Duration = Duration::from_millis(5);

/// Keeps the authority, the certificates and the bundles as they should be, until `stop`. `leads` is asked before
/// every write; while it says no, this watches, and makes only what does not exist at all: of two who make the same,
/// the API server refuses one, and a replica that waits for its certificate need not wait for a leader that keeps none.
/// Fails at once if the periods cannot be kept together.
pub async fn run<L>(
    client: Client,
    config: Config,
    leads: L,
    stop: CancellationToken,
) -> Result<(), PeriodsError>
where
    L: Fn() -> bool + Send + Sync,
{
    config.periods.check()?;
    let mut keeper = Keeper::new(client, config);
    let mut changes = watches(&keeper);
    let mut pace = Pace::new(Instant::now());
    while !stop.is_cancelled() {
        let nap = round(&mut keeper, &leads, &mut pace).await;
        tokio::select! {
            biased;
            () = stop.cancelled() => break,
            Some((slot, object)) = changes.next() => keeper.see(slot, object),
            () = written_elsewhere(keeper.config.elsewhere.as_ref()) => {}
            () = tokio::time::sleep(nap) => {}
        }
    }
    Ok(())
}

/// Completes when a certificate that others keep was written.
async fn written_elsewhere(others: Option<&Elsewhere>) {
    match others {
        Some(others) => others.issuer.written_by_others().await,
        None => std::future::pending().await,
    }
}

fn watches(
    keeper: &Keeper,
) -> SelectAll<impl Stream<Item = (Slot, Option<DynamicObject>)> + Send + use<>> {
    let watches = keeper.slots().map(|slot| {
        let (api, name) = keeper.find(slot);
        Box::pin(crate::watch::named(api, &name).map(move |object| (slot, object)))
    });
    futures::stream::select_all(watches)
}

/// Looks, decides, and writes at most once. Returns how long nothing needs to be done if nothing changes.
async fn round(keeper: &mut Keeper, leads: &impl Fn() -> bool, pace: &mut Pace) -> Duration {
    let leading = leads();
    if !leading {
        // Another may write meanwhile: how long all has been well is counted anew.
        keeper.forget_settled();
        if !keeper.misses_any() {
            return ASK_AGAIN;
        }
    }
    let now = Timestamp::now();
    let Some(mut state) = keeper.state(now, Instant::now()) else {
        return LOOK_AGAIN;
    };
    if !leading {
        keeper.leave_to_the_leader(&mut state);
    }
    let step = plan(&state, now, &keeper.config.periods);
    if let Step::Nothing { until } = step {
        let wait = until.duration_since(now).unsigned_abs();
        return wait
            .min(keeper.next_retry(Instant::now()))
            .clamp(SHORTEST, LOOK_AGAIN);
    }
    if !leading && !keeper.is_new(step) {
        return ASK_AGAIN;
    }
    let slot = Slot::of(step);
    if let Some(wait) = keeper.blocked_for(slot, Instant::now()) {
        return wait.max(SHORTEST);
    }
    if let Err(wait) = pace.spend(Instant::now()) {
        warn!(?step, "somebody undoes what is written; writing slowly");
        return wait;
    }
    match keeper.act(step, now, leads).await {
        Ok(()) => {}
        Err(error) => failed(keeper, slot, &error).await,
    }
    Duration::ZERO
}

/// After a conflict the object is looked at again. Any other failure keeps its object from being written for a while.
async fn failed(keeper: &mut Keeper, slot: Slot, error: &Error) {
    if error.is_stale() {
        debug!(?slot, "it was changed meanwhile; looking again");
        let before = keeper.version(slot);
        // What has not changed would be refused again.
        if keeper.look(slot).await.is_ok() && keeper.version(slot) != before {
            return;
        }
    }
    let name = keeper.find(slot).1;
    warn!(name, %error, "cannot be written; trying again");
    keeper.block(slot, Instant::now());
}

/// What could not be written, until when, and how often in a row.
#[derive(Debug, Default)]
struct Blocked {
    until: Option<Instant>,
    delays: Doubling,
}

impl Blocked {
    fn left(&self, now: Instant) -> Option<Duration> {
        let left = self.until?.saturating_duration_since(now);
        (!left.is_zero()).then_some(left)
    }
}

#[cfg(test)]
#[path = "run/recovery.rs"]
mod recovery;
#[cfg(test)]
#[path = "run/simulation.rs"]
mod simulation;
#[cfg(test)]
#[path = "run/world.rs"]
mod world;
