//! The undisturbed play that all others are measured by.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use futures::FutureExt as _;
use futures::future::LocalBoxFuture;
use kube::Client;

use crate::Scenario;
use crate::dump::{Dump, dump};
use crate::scenario::{Onlooker, Stage};
use crate::user::{PATIENCE, User};

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
    admin: &Client,
    namespace: &str,
    onlooker: &dyn Onlooker,
) -> anyhow::Result<()> {
    let (user, played) = act(scenario, admin, namespace, onlooker).await?;
    user.leave().await?;
    played
}

/// Plays a scenario in a namespace of its own, which stands until its user leaves. How the play went is the second
/// of what is returned.
pub async fn act(
    scenario: &dyn Scenario,
    admin: &Client,
    namespace: &str,
    onlooker: &dyn Onlooker,
) -> anyhow::Result<(User, anyhow::Result<()>)> {
    let user = User::in_new_namespace(admin.clone(), namespace).await?;
    let stage = Stage { user, onlooker };
    let played = scenario.play(&stage).await;
    Ok((stage.user, played))
}
