//! Somebody who insists: the same change again and again. It is undone three times, then the child is left alone for
//! a while, and its owner says so; everything else is put right as always, what has the same owner included.

use std::time::{Duration, Instant};

use anyhow::ensure;
use atelier_api::WebService;
use atelier_testkit::cluster::OPERATOR;
use atelier_testkit::namespace::condition;

use super::change::{Change, changes};
use super::outcome::Outcome;
use super::stomper::{Stomper, TOO_SLOW};
use super::view::{Key, View, api};
use crate::Lab;
use crate::random::Random;
use crate::rights::audit::Audit;
use crate::user::User;

const CONDITION: &str = "DriftContested";
/// How often the change is undone before the child is left alone.
const REPAIRS: usize = 3;
/// How long the child is watched being left alone. Less than the first pause of 30 s.
const ALONE: Duration = Duration::from_secs(20);
/// The pause, the minute of calm, and a margin.
const CALM: Duration = Duration::from_secs(110);
const POLL: Duration = Duration::from_millis(50);
const SERVICE: &str = "svc0";

/// What is done to which child of the service.
pub const CONTESTS: [(&str, &str, &str); 2] = [
    ("Service", "svc0", "change the port"),
    // Much of what the operator makes comes after this one.
    ("Secret", "svc0-gateway", "delete"),
];

/// Insists on one change of one child, and looks at what comes of it. Says what was found, and what is wrong.
pub async fn insist(
    lab: &Lab,
    view: &View,
    user: &User,
    (kind, name, change): (&str, &str, &str),
) -> anyhow::Result<(Vec<(String, u64)>, Vec<String>)> {
    let (mut found, mut wrong) = (vec![], vec![]);
    let key = Key {
        kind: kind.into(),
        namespace: user.namespace.clone(),
        name: name.into(),
    };
    let what = format!("\"{change}\" of {kind}/{name}");
    let change = find(kind, change);
    let mut stomper = Stomper::new(&user.client, view, Random::new(0));
    for nth in 1..=REPAIRS {
        ensure!(
            stomper.stomp(&key, change).await?,
            "{what} made no difference"
        );
        let right = right_within(&user.client, view, &key, TOO_SLOW).await?;
        ensure!(right, "{what} was not undone, time {nth}");
    }
    ensure!(
        stomper.stomp(&key, change).await?,
        "{what} made no difference"
    );
    let left_alone = Instant::now();
    user.sees(
        SERVICE,
        "says that its drift is contested",
        |service: &WebService| {
            let status = condition(service, CONDITION).map(|found| found.status);
            atelier_testkit::wait::check(status.as_deref() == Some("True"), status)
        },
    )
    .await?;
    found.push((format!("{what}: contested after, ms"), millis(left_alone)));

    let audit = Audit::from_now(&lab.cluster.kubeconfig, OPERATOR);
    wrong.extend(siblings(&mut stomper, &key, &what).await?);
    tokio::time::sleep(ALONE.saturating_sub(left_alone.elapsed())).await;
    let plural = kind.to_lowercase() + "s";
    let touched = audit.asked()?.into_iter().filter(|asked| {
        asked.is_write()
            && asked.resource == plural
            && asked.name == key.name
            && asked.namespace == key.namespace
    });
    wrong.extend(touched.map(|write| format!("{what}: written although contested: {write}")));

    // Nobody insists any more: it is put right after the pause, and a minute later the condition goes.
    let right = right_within(&user.client, view, &key, CALM).await?;
    ensure!(right, "{what} was not undone after the pause");
    found.push((
        format!("{what}: left alone, s"),
        left_alone.elapsed().as_secs(),
    ));
    let calm = Instant::now();
    loop {
        let service: WebService = user.api().get(SERVICE).await?;
        if condition(&service, CONDITION).is_none_or(|found| found.status == "False") {
            break;
        }
        ensure!(calm.elapsed() < CALM, "{what}: the condition never went");
        tokio::time::sleep(POLL).await;
    }
    found.push((
        format!("{what}: the condition went after, s"),
        calm.elapsed().as_secs(),
    ));
    Ok((found, wrong))
}

/// Changes all other children of the same owner, and says which were not put right in time.
async fn siblings(
    stomper: &mut Stomper<'_>,
    contested: &Key,
    what: &str,
) -> anyhow::Result<Vec<String>> {
    let children = stomper.view.children().into_iter();
    let siblings: Vec<_> = children
        .filter(|key| {
            key.namespace == contested.namespace
                && key.name.starts_with(SERVICE)
                && key != contested
        })
        .collect();
    ensure!(siblings.len() > 3, "{what}: there are no siblings");
    let from = stomper.stomps.len();
    for key in &siblings {
        stomper
            .stomp(key, find(&key.kind, "add a label of ours"))
            .await?;
    }
    tokio::time::sleep(TOO_SLOW).await;
    let late = stomper.stomps[from..].iter().filter(|stomp| {
        let lasted = stomp.lasted(stomper.view);
        lasted.is_none_or(|time| time > TOO_SLOW)
    });
    let line = |key: &Key| {
        format!("{what}: while it was contested, {key} was not put right within {TOO_SLOW:?}")
    };
    Ok(late.map(|stomp| line(&stomp.key)).collect())
}

/// Notes what several contests found.
pub fn note(outcome: &mut Outcome, (found, wrong): (Vec<(String, u64)>, Vec<String>)) {
    found
        .into_iter()
        .for_each(|(what, value)| outcome.figure(what, value));
    wrong.iter().for_each(|line| outcome.wrong(line));
}

fn find(kind: &str, name: &str) -> Change {
    let all = changes(kind);
    let found = all.into_iter().find(|change| change.name == name);
    found.expect("the change is in the list")
}

fn millis(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)
}

async fn right_within(
    client: &kube::Client,
    view: &View,
    key: &Key,
    limit: Duration,
) -> anyhow::Result<bool> {
    let begun = Instant::now();
    while begun.elapsed() < limit {
        let live = api(client, key).get_opt(&key.name).await?;
        if live.is_some_and(|live| view.is_right(key, &live)) {
            return Ok(true);
        }
        tokio::time::sleep(POLL).await;
    }
    Ok(false)
}
