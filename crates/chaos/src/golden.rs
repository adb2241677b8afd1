//! The undisturbed play that all others are measured by.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use atelier_testkit::cluster::SYSTEM;
use futures::FutureExt as _;
use futures::future::LocalBoxFuture;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{ListParams, PostParams};
use kube::{Api, Client, ResourceExt};
use serde_json::json;

use crate::disturber::RINGS;
use crate::dump::{Dump, dump};
use crate::scenario::{Onlooker, Stage};
use crate::user::{PATIENCE, User};
use crate::{Caller, Operator, Scenario};

/// How long nothing may change for a namespace to be at rest. Longer than anything in a scenario waits by the clock.
const AT_REST: Duration = Duration::from_millis(1300);

/// Notes how things stand at each rest.
#[derive(Default)]
pub struct Recorder {
    marks: RefCell<BTreeMap<String, Dump>>,
    steps: RefCell<Vec<(String, Duration)>>,
}

impl Recorder {
    /// How things stood at each rest, and how long each step took.
    pub fn into_parts(self) -> (BTreeMap<String, Dump>, Vec<(String, Duration)>) {
        (self.marks.into_inner(), self.steps.into_inner())
    }
}

impl Onlooker for Recorder {
    fn settled<'a>(
        &'a self,
        user: &'a User,
        mark: &'a str,
    ) -> LocalBoxFuture<'a, anyhow::Result<()>> {
        async move {
            let stands = at_rest(user).await?;
            self.marks.borrow_mut().insert(mark.to_owned(), stands);
            Ok(())
        }
        .boxed_local()
    }

    fn step(&self, what: &str, took: Duration) {
        self.steps.borrow_mut().push((what.to_owned(), took));
    }
}

/// Waits until nothing changes any more.
async fn at_rest(user: &User) -> anyhow::Result<Dump> {
    let begun = Instant::now();
    let mut last = dump(user).await?;
    let mut since = Instant::now();
    while since.elapsed() < AT_REST {
        anyhow::ensure!(begun.elapsed() < PATIENCE, "it never came to rest");
        tokio::time::sleep(Duration::from_millis(100)).await;
        let now = dump(user).await?;
        if now != last {
            last = now;
            since = Instant::now();
        }
    }
    Ok(last)
}

/// Plays a scenario in a namespace of its own, and leaves it.
pub async fn play(
    scenario: &dyn Scenario,
    as_whom: (&Client, &Caller, &Operator),
    namespace: &str,
    onlooker: &dyn Onlooker,
) -> anyhow::Result<()> {
    let (user, played) = act(scenario, as_whom, namespace, onlooker).await?;
    user.leave().await?;
    played
}

/// Plays a scenario in a namespace of its own, which stands until its user leaves. How the play went is the second
/// of what is returned.
pub async fn act(
    scenario: &dyn Scenario,
    (admin, caller, operator): (&Client, &Caller, &Operator),
    namespace: &str,
    onlooker: &dyn Onlooker,
) -> anyhow::Result<(User, anyhow::Result<()>)> {
    empty_keys(admin).await?;
    let mut user = User::in_new_namespace(admin.clone(), namespace).await?;
    user.has_own_storage = scenario.has_own_storage();
    let stage = Stage {
        user,
        caller,
        operator,
        onlooker,
    };
    let played = scenario.play(&stage).await;
    Ok((stage.user, played))
}

/// Makes the Secrets of the workspaces' keys, which are made when they are first needed: so every play finds them, and
/// two plays end alike.
async fn empty_keys(admin: &Client) -> anyhow::Result<()> {
    let api: Api<Secret> = Api::namespaced(admin.clone(), SYSTEM);
    let there = api.list_metadata(&ListParams::default()).await?;
    let there: BTreeSet<_> = there.iter().map(ResourceExt::name_any).collect();
    let names = "0123456789abcdef"
        .chars()
        .map(|digit| format!("{RINGS}{digit}"));
    for name in names.filter(|name| !there.contains(name)) {
        let secret = serde_json::from_value(json!({"metadata": {"name": name}}))?;
        api.create(&PostParams::default(), &secret).await?;
    }
    Ok(())
}
