//! A leader that is told to end hands over at once.

use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use atelier_testkit::apiproxy::Verb;

use super::pair::{Pair, line};
use super::place::Place;
use crate::stomp::Outcome;

/// From the lease's release, and from SIGTERM, to the other's first write.
const LIMIT: Duration = Duration::from_secs(1);
const ENDS: Duration = Duration::from_secs(20);
const REPAIRS: Duration = Duration::from_secs(10);
/// How often something goes wrong from SIGTERM on.
const DRIFTS_EVERY: Duration = Duration::from_millis(40);

/// Hands over so many times.
pub async fn hand_over(
    pair: &Pair,
    place: &mut Place,
    times: usize,
    outcome: &mut Outcome,
) -> anyhow::Result<()> {
    let (mut from_release, mut from_signal) = (vec![], vec![]);
    for nth in 1..=times {
        let (old, new) = pair.roles().await?;
        // Time for what began with leadership to end.
        tokio::time::sleep(Duration::from_millis(500)).await;
        let (mark, old_mark) = (new.proxy.trail().mark(), old.proxy.trail().mark());
        let signalled = Instant::now();
        let mut stopping = std::pin::pin!(old.operator.stop(ENDS));
        let mut ended = false;
        let first = loop {
            if !ended {
                tokio::select! {
                    done = &mut stopping => { done?; ended = true; }
                    () = tokio::time::sleep(DRIFTS_EVERY) => {}
                }
            } else {
                tokio::time::sleep(DRIFTS_EVERY).await;
            }
            if let Some(first) = new
                .writes_since(mark)
                .into_iter()
                .find(|w| w.ended.is_some())
            {
                break first;
            }
            ensure!(
                signalled.elapsed() < ENDS,
                "hand-over {nth}: nobody took over"
            );
            place.change_port().await?;
        };
        if !ended {
            stopping.await?;
        }
        let releases = old.proxy.trail().entries_since(old_mark, |entry| {
            let holder = entry
                .body
                .as_ref()
                .and_then(|body| body.pointer("/spec/holderIdentity"));
            entry.resource == "leases"
                && entry.verb == Verb::Update
                && holder.is_some_and(|h| h == "")
        });
        let release = releases.first().context("the lease was not given back")?;
        let (released, written) = (
            release.ended.context("no answer")?,
            first.ended.context("no answer")?,
        );
        ensure!(
            first.started > release.started,
            "hand-over {nth}: written before the lease was given back: {}",
            line(&first)
        );
        from_release.push(written.saturating_duration_since(released));
        from_signal.push(written.saturating_duration_since(signalled));
        for write in old.effective_since(old_mark) {
            if write.started > release.started {
                outcome.wrong(format!(
                    "hand-over {nth}: the old leader wrote after it gave the lease back: {}",
                    line(&write)
                ));
            }
        }
        place
            .is_right(REPAIRS)
            .await
            .with_context(|| format!("hand-over {nth}"))?;
    }
    outcome.times("hand-over from the lease's release", &from_release);
    outcome.times("hand-over from SIGTERM", &from_signal);
    for (what, times) in [
        ("the lease's release", from_release),
        ("SIGTERM", from_signal),
    ] {
        let slow = times.iter().max().filter(|time| **time > LIMIT);
        if let Some(slow) = slow {
            outcome.wrong(format!("{slow:?} from {what} to the first write"));
        }
    }
    Ok(())
}
