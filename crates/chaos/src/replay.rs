//! A disturbed play: at each rest it has to stand as the undisturbed one stood there.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::bail;
use futures::FutureExt as _;
use futures::future::LocalBoxFuture;

use crate::disturber::Armed;
use crate::dump::{Dump, difference, dump};
use crate::scenario::Onlooker;
use crate::trail::minted;
use crate::user::{PATIENCE, User};

/// How long the operator must write nothing for the end to be the end.
const QUIET: Duration = Duration::from_millis(500);
const POLL: Duration = Duration::from_millis(50);
/// How many places are shown that differ.
const SHOWN: usize = 12;
/// The last rest of every scenario.
const END: &str = "end";

/// Looks on at a disturbed play.
pub struct Replay<'a> {
    /// How things stood at each rest of an undisturbed play.
    pub marks: &'a BTreeMap<String, Dump>,
    /// The disturbance.
    pub armed: &'a Armed<'a>,
}

impl Replay<'_> {
    async fn settle(&self, user: &User, mark: &str) -> anyhow::Result<()> {
        let begun = Instant::now();
        let mut at_rest = self.stands_as_golden(user, mark, begun).await?;
        if mark == END {
            while self.armed.writes_nothing_for() < QUIET {
                anyhow::ensure!(begun.elapsed() < PATIENCE, "the operator goes on writing");
                tokio::time::sleep(POLL).await;
            }
            at_rest = self.stands_as_golden(user, mark, begun).await?;
        }
        self.keys_are_the_last_written(&at_rest)?;
        self.armed.at_rest().await
    }

    async fn stands_as_golden(
        &self,
        user: &User,
        mark: &str,
        begun: Instant,
    ) -> anyhow::Result<Dump> {
        loop {
            let stands = dump(user).await?;
            let lines = difference(&self.marks[mark], &stands);
            if lines.is_empty() {
                return Ok(stands);
            }
            if begun.elapsed() > PATIENCE {
                let shown = lines
                    .iter()
                    .take(SHOWN)
                    .map(String::as_str)
                    .collect::<Vec<_>>();
                bail!(
                    "not as in an undisturbed play, {} places: {}",
                    lines.len(),
                    shown.join("\n      ")
                );
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// A key that the operator wrote and that is not there was lost; one that is there and it did not write is no key
    /// of anybody's.
    fn keys_are_the_last_written(&self, at_rest: &Dump) -> anyhow::Result<()> {
        let minted = minted(&self.armed.trail());
        for (entry, value) in &at_rest.keys {
            let last = minted.get(entry).and_then(|values| values.last());
            anyhow::ensure!(
                last == Some(value),
                "the key {entry} is not the one last written"
            );
        }
        Ok(())
    }
}

impl Onlooker for Replay<'_> {
    fn settled<'a>(
        &'a self,
        user: &'a User,
        mark: &'a str,
    ) -> LocalBoxFuture<'a, anyhow::Result<()>> {
        self.settle(user, mark).boxed_local()
    }
}
