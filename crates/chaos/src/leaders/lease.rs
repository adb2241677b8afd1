//! A lease that is deleted, or taken by somebody who is no replica, while a replica leads.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use atelier_testkit::apiproxy::{Entry, Mark};
use atelier_testkit::cluster::SYSTEM;
use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::Lease;
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::json;

use super::pair::{Pair, Replica, line};
use super::place::Place;
use crate::stomp::Outcome;

const LEASE: &str = "atelier-operator";
/// Within this somebody leads again.
const LEADS_AGAIN: Duration = Duration::from_secs(20);
/// How long things go wrong meanwhile: longer than any claim lasts.
const LASTS: Duration = Duration::from_secs(22);
const DRIFTS_EVERY: Duration = Duration::from_millis(300);
const REPAIRS: Duration = Duration::from_secs(10);

/// What happens to the lease.
#[derive(Clone, Copy, Debug)]
pub enum Loss {
    /// It is deleted.
    Deleted,
    /// Somebody takes it and never renews it.
    Stolen,
}

/// Plays one round.
pub async fn lose(
    pair: &Pair,
    place: &mut Place,
    loss: Loss,
    outcome: &mut Outcome,
) -> anyhow::Result<()> {
    let name = format!("lease {loss:?}").to_lowercase();
    let (old, new) = pair.roles().await?;
    let marks = [old, new].map(|replica| (replica, replica.proxy.trail().mark()));
    let leases: Api<Lease> = Api::namespaced(place.user.client.clone(), SYSTEM);
    match loss {
        Loss::Deleted => {
            leases.delete(LEASE, &DeleteParams::default()).await?;
        }
        Loss::Stolen => {
            let now = Timestamp::now()
                .strftime("%Y-%m-%dT%H:%M:%S%.6fZ")
                .to_string();
            let spec = json!({"spec": {"holderIdentity": "thief", "renewTime": now, "acquireTime": now, "leaseDurationSeconds": 15}});
            leases
                .patch(LEASE, &PatchParams::default(), &Patch::Merge(spec))
                .await?;
        }
    }
    let lost = Instant::now();
    let mut drifts = 0;
    while lost.elapsed() < LASTS {
        place.change_port().await?;
        drifts += 1;
        tokio::time::sleep(DRIFTS_EVERY).await;
    }
    let held = marks
        .iter()
        .flat_map(|(replica, mark)| taken(replica, *mark))
        .min();
    let again = held
        .context("nobody took the lease again")?
        .saturating_duration_since(lost);
    outcome.figure(
        format!("{name}: held again after, ms"),
        u64::try_from(again.as_millis())?,
    );
    outcome.expect(
        again < LEADS_AGAIN,
        format!("{name}: nobody had it for {again:?}"),
    );

    let repairs: usize = marks
        .iter()
        .map(|(replica, mark)| {
            replica
                .effective_since(*mark)
                .iter()
                .filter(|write| is_repair(write))
                .count()
        })
        .sum();
    outcome.figure(
        format!("{name}: changes made, undone"),
        format!("{drifts}, {repairs}"),
    );
    outcome.expect(
        repairs <= drifts,
        format!("{name}: {drifts} changes were undone {repairs} times"),
    );
    // Whoever had it before may write until another has it, and no longer.
    if let Some(other) = taken(new, marks[1].1) {
        let sent = old
            .writes_since(marks[0].1)
            .into_iter()
            .filter(|write| write.started > other);
        let sent: Vec<_> = sent.collect();
        let longest = sent
            .iter()
            .map(|write| write.started.duration_since(other))
            .max();
        outcome.figure(
            format!("{name}: writes sent by the old leader after another had it"),
            sent.len(),
        );
        for write in sent.iter().filter(|write| write.effective).take(3) {
            outcome.wrong(format!(
                "{name}: the old leader wrote after another had it: {}",
                line(write)
            ));
        }
        if let Some(longest) = longest {
            outcome.figure(
                format!("{name}: two led for, ms"),
                u64::try_from(longest.as_millis())?,
            );
        }
    }
    pair.roles().await?;
    place.is_right(REPAIRS).await.context(name)
}

fn is_repair(write: &Entry) -> bool {
    write.resource == "services"
}

/// When a replica first wrote the lease since a mark.
fn taken(replica: &Replica, mark: Mark) -> Option<Instant> {
    let writes = replica.proxy.trail().entries_since(mark, |entry| {
        entry.resource == "leases" && entry.is_write() && entry.committed
    });
    writes.iter().filter_map(|entry| entry.ended).min()
}
