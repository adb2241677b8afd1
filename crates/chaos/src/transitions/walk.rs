//! The walk of one kind: change after change, each judged, and every few compared with a fresh object.

mod back;
mod fresh;
mod tight;

use std::time::Instant;

use anyhow::Context as _;
use serde_json::Value;

use super::canary::Canary;
use super::course::Turn;
use super::edit::edited;
use super::stage::{Answer, Stage};
use super::standing::Standing;
use super::subject::{is_final, is_only_asked};
use super::tally::{Recovery, Tally};
use crate::Operator;
use crate::dump::{Dump, dump};

/// What all walks share.
pub struct World<'a> {
    /// The operator.
    pub operator: &'a Operator,
    /// Another namespace, where all goes on.
    pub canary: &'a Canary,
    /// Names the namespaces.
    pub run: String,
    /// Accepted changes between two comparisons.
    pub every: usize,
    /// Comparisons that may begin no more.
    pub end: Option<Instant>,
}

impl World<'_> {
    /// Names a namespace.
    pub fn namespace(&self, kind: &str, suffix: &str) -> String {
        format!("{}-{}-{suffix}", self.run, kind.to_lowercase())
    }
}

/// One object on its way.
pub struct Walk<'a> {
    world: &'a World<'a>,
    stage: Stage<'a>,
    /// The last good `spec`.
    current: Value,
    /// How its namespace stood.
    golden: Dump,
    since: usize,
    restarts: usize,
    /// What came of it.
    pub tally: Tally,
}

impl<'a> Walk<'a> {
    /// Makes the object as it should be.
    pub async fn begin(world: &'a World<'a>, stage: Stage<'a>) -> anyhow::Result<Self> {
        let good = stage.subject.good.clone();
        let stands = stage.begin(&good).await?;
        anyhow::ensure!(
            stands == Standing::Good,
            "the good {} is {stands:?}",
            stage.subject.kind
        );
        Ok(Self {
            golden: dump(&stage.user).await?,
            tally: Tally::new(stage.subject.kind),
            current: good,
            since: 0,
            restarts: 0,
            world,
            stage,
        })
    }

    /// Deletes the namespace.
    pub async fn leave(&self) -> anyhow::Result<()> {
        self.stage.user.leave().await
    }

    /// All turns, and a comparison at the end.
    pub async fn all(&mut self, turns: &[Turn]) -> anyhow::Result<()> {
        for (nth, turn) in turns.iter().enumerate() {
            if self.world.end.is_some_and(|end| Instant::now() > end) {
                break;
            }
            self.tally.at = nth + 1;
            self.tally.leaf(&turn.place);
            let what = format!("{} {}", turn.place, turn.change.what);
            self.turn(turn)
                .await
                .with_context(|| format!("step {}: {what}", nth + 1))?;
            if !self.world.operator.is_running() {
                self.tally.fail(&what, "the operator has ended by itself");
                break;
            }
            if self.since >= self.world.every {
                self.compare().await?;
            }
        }
        if self.since > 0 {
            self.compare().await?;
        }
        self.tight().await
    }

    async fn turn(&mut self, turn: &Turn) -> anyhow::Result<()> {
        let subject = self.stage.subject;
        let next = edited(&self.current, &subject.good, &turn.place, &turn.change.edit);
        let told = super::course::at(&next, &turn.place).cloned();
        let what = format!(
            "{} {}: {}",
            turn.place,
            turn.change.what,
            told.as_ref().map_or_else(|| "nothing".into(), short)
        );
        self.tally.changes += 1;
        let answer = self.stage.ask(&next).await?;
        let only_asked =
            told.is_some_and(|value| is_only_asked(subject.kind, &turn.place.to_string(), &value));
        match &answer {
            Answer::Invalid => self.tally.invalid += 1,
            Answer::Fixed(message) => self.tally.fixed(&turn.place, message),
            Answer::Accepted => self.tally.accepted += 1,
        }
        if !matches!(answer, Answer::Accepted) {
            self.is_refused(&what, &next).await?;
        }
        match answer {
            Answer::Invalid => Ok(()),
            _ if only_asked => {
                self.tally.only_asked.insert(what);
                Ok(())
            }
            Answer::Accepted if next == self.current => Ok(()),
            Answer::Accepted => self.take(&what, next, false).await,
            // It can be had by making the object anew.
            Answer::Fixed(_) => self.take(&what, next, true).await,
        }
    }

    /// A refused change leaves the object as it was.
    async fn is_refused(&mut self, what: &str, next: &Value) -> anyhow::Result<()> {
        let name = self.stage.subject.name;
        let before = self.stage.own().get(name).await?;
        if self.stage.change(next).await?.is_ok() {
            self.tally
                .fail(what, "refused when asked about, and taken when done");
        }
        let after = self.stage.own().get(name).await?;
        if before.data["spec"] != after.data["spec"]
            || before.metadata.generation != after.metadata.generation
        {
            self.tally.fail(what, "refused, and yet the object changed");
        }
        Ok(())
    }

    /// Takes an accepted `spec`, and goes back where it turns out bad.
    async fn take(&mut self, what: &str, next: Value, anew: bool) -> anyhow::Result<()> {
        let before = self.stage.possessions().await?;
        let stands = self.put(what, &next, anew).await?;
        if anew && self.inherits(what, &before).await? {
            return self.start_over().await;
        }
        match stands {
            Standing::Good if is_final(&next) => {
                let before = std::mem::replace(&mut self.current, next);
                self.compare().await?;
                self.current = before;
                return self.recover(what, true).await;
            }
            Standing::Good => {
                self.current = next;
                self.since += 1;
                self.golden = dump(&self.stage.user).await?;
                return Ok(());
            }
            Standing::Silent(why) => self.tally.fail(what, &format!("not told: {why}")),
            Standing::Bad(why) => {
                self.tally.bad.push(Recovery {
                    what: what.to_owned(),
                    told: why,
                    seconds: 0.0,
                });
            }
        }
        if let Err(error) = self.world.canary.sings().await {
            let text = format!("another namespace is not looked after: {error:#}");
            self.tally.fail(what, &text);
        }
        self.recover(what, anew).await
    }
}

pub(super) fn short(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(100) {
        Some((end, _)) => format!("{}… ({} characters)", &text[..end], text.chars().count()),
        None => text,
    }
}
