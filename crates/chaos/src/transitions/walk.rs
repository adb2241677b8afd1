//! The walk of one kind: change after change, each judged, and every few compared with a fresh object.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use serde_json::{Value, json};

use super::canary::Canary;
use super::compare::{alike, becomes};
use super::course::Turn;
use super::edit::edited;
use super::kubelet;
use super::stage::{Answer, Stage};
use super::standing::Standing;
use super::subject::{NOWHERE, is_final, is_only_asked};
use super::tally::{Recovery, Tally};
use crate::Operator;
use crate::dump::{Dump, dump};

/// How long a bad object gets to be as good as before, once its `spec` is.
const RECOVERS: Duration = Duration::from_secs(30);
/// How long the operator gets to tell of a bad image.
const TOLD: Duration = Duration::from_secs(15);

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
        Ok(())
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
        let stands = self.put(what, &next, anew).await?;
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

    /// The last good `spec`, after a bad one.
    async fn recover(&mut self, what: &str, anew: bool) -> anyhow::Result<()> {
        let good = self.current.clone();
        let begun = Instant::now();
        let stands = self.put(what, &good, anew).await?;
        let compared = becomes(&self.stage.user, &self.golden).await?;
        // What was waited for to see that it stays is not part of it.
        let took = begun.elapsed();
        if let Some(last) = self.tally.bad.last_mut().filter(|last| last.what == what) {
            last.seconds = took.as_secs_f64();
        }
        if stands != Standing::Good {
            self.tally
                .fail(what, &format!("the good value again: {stands:?}"));
        }
        if took > RECOVERS || !compared.wrong.is_empty() {
            let text = format!(
                "{:.1} s after the good value: {}",
                took.as_secs_f64(),
                compared.wrong.join("; ")
            );
            self.tally.fail(what, &text);
            self.start_over().await?;
        }
        Ok(())
    }

    /// After a failure, in another namespace: what follows must not fail for the same reason.
    async fn start_over(&mut self) -> anyhow::Result<()> {
        self.stage.user.leave().await?;
        self.restarts += 1;
        let subject = self.stage.subject;
        let namespace = self
            .world
            .namespace(subject.kind, &format!("again{}", self.restarts));
        self.world.canary.consents_to(&namespace).await?;
        self.stage = Stage::open(subject, self.stage.user.client.clone(), &namespace).await?;
        let stands = self.stage.begin(&subject.good).await?;
        anyhow::ensure!(
            stands == Standing::Good,
            "not even made anew it is good: {stands:?}"
        );
        self.current = subject.good.clone();
        self.since = 0;
        self.golden = dump(&self.stage.user).await?;
        Ok(())
    }

    async fn put(&mut self, what: &str, spec: &Value, anew: bool) -> anyhow::Result<Standing> {
        let no_image = spec["image"] == NOWHERE;
        let put = async {
            if anew {
                return self.stage.begin_again(spec).await;
            }
            if let Err(message) = self.stage.change(spec).await? {
                return Ok(Standing::Silent(format!(
                    "taken when asked about, and refused when done: {message}"
                )));
            }
            self.stage.stand().await
        };
        if !no_image {
            return put.await.with_context(|| what.to_owned());
        }
        let seen = async {
            let mut stands = put.await?;
            let begun = Instant::now();
            while stands == Standing::Good && begun.elapsed() < TOLD {
                tokio::time::sleep(Duration::from_millis(100)).await;
                stands = self.stage.stand().await?;
            }
            Ok(stands)
        };
        tokio::select! {
            stands = seen => stands,
            error = kubelet::says_no_such_image(&self.stage.user) => {
                error.map(|()| Standing::Silent("the kubelet went".into()))
            }
        }
    }

    /// Compares with a fresh object of the same `spec`.
    async fn compare(&mut self) -> anyhow::Result<()> {
        self.since = 0;
        self.calm().await?;
        let nth = self.tally.comparisons;
        self.tally.comparisons += 1;
        let namespace = self
            .world
            .namespace(self.stage.subject.kind, &nth.to_string());
        let client = self.stage.user.client.clone();
        self.world.canary.consents_to(&namespace).await?;
        let fresh = Stage::open(self.stage.subject, client, &namespace).await?;
        let stands = fresh.begin(&self.current).await?;
        let compared = alike(&self.stage.user, &fresh.user).await?;
        for (name, times) in compared.excused {
            *self.tally.excused.entry(name).or_default() += times;
        }
        fresh.user.leave().await?;
        if !compared.wrong.is_empty() {
            self.tally.mismatches += 1;
            let spec = short(&self.current);
            let text = format!(
                "unlike a fresh one ({stands:?}): {}; spec {spec}",
                compared.wrong.join("; ")
            );
            self.tally.fail("comparison", &text);
            self.start_over().await?;
        }
        // What a canceled run goes back to is how it stood before.
        if !is_final(&self.current) {
            self.golden = dump(&self.stage.user).await?;
        }
        Ok(())
    }

    /// Lets go of what stays only for a time: idle nodes above the minimum.
    async fn calm(&mut self) -> anyhow::Result<()> {
        if !self.stage.subject.renew {
            return Ok(());
        }
        let idle = self.current.pointer("/managed/idleSecondsBeforeScaleDown");
        if idle != Some(&json!(0)) {
            let mut hasty = self.current.clone();
            hasty["managed"]["idleSecondsBeforeScaleDown"] = json!(0);
            self.put("nothing stays idle", &hasty, false).await?;
            let current = self.current.clone();
            self.put("as before", &current, false).await?;
        }
        self.stage.renew_after().await?;
        self.stage.stand().await?;
        Ok(())
    }
}

fn short(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(100) {
        Some((end, _)) => format!("{}… ({} characters)", &text[..end], text.chars().count()),
        None => text,
    }
}
