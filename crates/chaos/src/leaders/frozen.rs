//! A leader that stands still with a write on its way, and goes on when another leads.

use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use atelier_api::RoleAssignment;
use atelier_testkit::apiproxy::{Action, Entry, Gate, Matcher, Rule, Verb};
use k8s_openapi::api::rbac::v1::RoleBinding;
use serde_json::json;

use super::pair::{Pair, line};
use super::place::{BINDING, Place};
use crate::stomp::Outcome;

/// The lease, the time until the standby looks again, and a margin.
pub const TAKES_OVER: Duration = Duration::from_secs(25);
const REPAIRS: Duration = Duration::from_secs(20);
const IS_SENT: Duration = Duration::from_secs(10);
/// How long a replica that goes on gets to end by itself.
const STEPS_BACK: Duration = Duration::from_secs(5);
/// Kubernetes' garbage collector removes what belongs to nobody.
const COLLECTED: Duration = Duration::from_secs(20);
const STOMPS: usize = 8;

/// The write that is on its way when the leader is stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InFlight {
    /// POST of a child, which the other then makes.
    Create,
    /// PUT of a child.
    Update,
    /// DELETE of a pod, of whose name there is another one later.
    Delete,
    /// PATCH of a status.
    Status,
    /// POST of a child that nobody wants any more later.
    Orphan,
}

impl InFlight {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Create,
        Self::Update,
        Self::Delete,
        Self::Status,
        Self::Orphan,
    ];

    fn matcher(self) -> Matcher {
        match self {
            Self::Create => Matcher::resource("services").verbs(&[Verb::Create]),
            Self::Update => Matcher::resource("services").verbs(&[Verb::Update]),
            Self::Delete => Matcher::resource("pods").verbs(&[Verb::Delete]),
            Self::Status => Matcher::resource("webservices.atelier.dev")
                .subresource("status")
                .verbs(&[Verb::Patch]),
            Self::Orphan => Matcher::resource("rolebindings.rbac.authorization.k8s.io")
                .verbs(&[Verb::Create])
                .name(BINDING),
        }
    }

    async fn provoke(self, place: &mut Place) -> anyhow::Result<()> {
        match self {
            Self::Create => place.delete_service().await,
            Self::Update => place.change_port().await,
            Self::Delete => place.keep_nodes(0).await,
            Self::Status => place.limit(json!(7000)).await,
            Self::Orphan => place.delete_binding().await,
        }
    }

    /// What the user does once another leads, so that what was on its way is wrong by then. At last all is wanted that
    /// was wanted in the beginning, but for the orphan.
    async fn overtake(self, place: &Place) -> anyhow::Result<()> {
        match self {
            Self::Delete => {
                place.user.nodes_are("cpu", 0).await?;
                place.keep_nodes(1).await
            }
            Self::Status => {
                place.limit(json!(8000)).await?;
                place.limit(json!(null)).await
            }
            Self::Orphan => {
                place.is_right(REPAIRS).await?;
                place.user.delete::<RoleAssignment>("r0").await?;
                place.user.gone::<RoleBinding>(BINDING).await
            }
            Self::Create | Self::Update => Ok(()),
        }
    }
}

/// Plays one round.
pub async fn round(
    pair: &Pair,
    place: &mut Place,
    in_flight: InFlight,
    seed: u64,
    outcome: &mut Outcome,
) -> anyhow::Result<()> {
    let name = format!("frozen with a {in_flight:?} on its way");
    let (old, new) = pair.roles().await?;
    let gate = Gate::shut();
    let matcher = in_flight.matcher().namespace(&place.user.namespace);
    let hold = Rule::new(matcher.clone(), Action::HoldRequest(gate.clone())).once();
    let (rules, trail) = (old.proxy.rules(), old.proxy.trail());
    let sent = trail.mark();
    let rule = rules.add(hold);
    in_flight.provoke(place).await?;
    ensure!(
        rules.hit_within(rule, 1, IS_SENT).await,
        "{name}: the write was never sent"
    );
    old.operator.freeze()?;
    place.stomp(seed, STOMPS).await?;
    new.takes_over(TAKES_OVER).await?;
    let taken_over = trail.mark();
    in_flight.overtake(place).await?;
    if in_flight != InFlight::Orphan {
        place.is_right(REPAIRS).await.context(name.clone())?;
    }

    old.operator.thaw()?;
    gate.open();
    let became = old.steps_back(STEPS_BACK).await?;
    let held = trail.entries_since(sent, |entry| {
        entry.faults.contains(&"HoldRequest") && entry.is_write()
    });
    let held = held.first().context("the held write is not in the trail")?;
    outcome.figure(
        format!("{name}: the write, the old leader"),
        format!("{}; {became}", line(held)),
    );
    let orphan = in_flight == InFlight::Orphan;
    outcome.expect(
        orphan || !held.effective,
        format!("{name}: the write changed something: {}", line(held)),
    );
    // Not even sent: that a version no longer fits is the second line of defence, and a creation has none.
    let late = old.writes_since(taken_over);
    let own = |entry: &&std::sync::Arc<Entry>| entry.seq != held.seq;
    for write in late.iter().filter(own) {
        outcome.wrong(format!("{name}: the old leader sent: {}", line(write)));
    }
    rules.clear();
    if orphan {
        let done = held.ended.unwrap_or_else(Instant::now);
        collected(place, &name, done, outcome).await?;
    } else {
        place.is_right(REPAIRS).await.context(name)?;
    }
    Ok(())
}

/// No creation can say that its owner has to be there still. Its owner reference says whose it was, and Kubernetes
/// removes it.
async fn collected(
    place: &Place,
    name: &str,
    begun: Instant,
    outcome: &mut Outcome,
) -> anyhow::Result<()> {
    while place
        .user
        .api::<RoleBinding>()
        .get_opt(BINDING)
        .await?
        .is_some()
    {
        if begun.elapsed() > COLLECTED {
            outcome.wrong(format!("{name}: {BINDING} belongs to nobody and stays"));
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    outcome.figure(
        format!("{name}: gone again within, ms"),
        u64::try_from(begun.elapsed().as_millis())?,
    );
    Ok(())
}
