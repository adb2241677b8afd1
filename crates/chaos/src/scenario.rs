//! A scenario: what a user does in a namespace of their own, and what they wait for in between.

use std::time::Instant;

use anyhow::Context as _;
use futures::future::LocalBoxFuture;

use crate::user::User;
use crate::{Caller, Operator};

/// What a user does. The names of everything are fixed, and so is which run gets which slot: two undisturbed plays end
/// alike.
pub trait Scenario: Sync {
    /// Its name in plans.
    fn name(&self) -> &'static str;

    /// Whether it is about the service's own storage. With one the operator would make keys in the plays of all others.
    fn has_own_storage(&self) -> bool {
        false
    }

    /// Does it.
    fn play<'a>(&'a self, stage: &'a Stage<'a>) -> LocalBoxFuture<'a, anyhow::Result<()>>;
}

/// Somebody who looks on where the scenario says that all should have come to rest.
pub trait Onlooker {
    /// Called where all should come to rest; `mark` names the place. Says what is not as it should be.
    fn settled<'a>(
        &'a self,
        user: &'a User,
        mark: &'a str,
    ) -> LocalBoxFuture<'a, anyhow::Result<()>>;

    /// Called after each step.
    fn step(&self, _what: &str, _took: std::time::Duration) {}
}

/// Where a scenario is played.
pub struct Stage<'a> {
    /// Who acts.
    pub user: User,
    /// Who calls actions.
    pub caller: &'a Caller,
    /// Who is disturbed.
    pub operator: &'a Operator,
    /// Who looks on.
    pub onlooker: &'a dyn Onlooker,
}

impl Stage<'_> {
    /// One step: an action, and the condition to wait for.
    pub async fn step<T>(
        &self,
        what: &str,
        does: impl Future<Output = anyhow::Result<T>>,
    ) -> anyhow::Result<T> {
        let begun = Instant::now();
        let done = does.await.with_context(|| format!("step: {what}"))?;
        self.onlooker.step(what, begun.elapsed());
        Ok(done)
    }

    /// Everything should have come to rest here.
    pub async fn settled(&self, mark: &str) -> anyhow::Result<()> {
        let begun = Instant::now();
        let looks = self.onlooker.settled(&self.user, mark);
        looks.await.with_context(|| format!("at rest: {mark}"))?;
        self.onlooker.step(&format!("= {mark}"), begun.elapsed());
        Ok(())
    }
}
