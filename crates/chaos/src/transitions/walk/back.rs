//! The way back from a bad value.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use serde_json::Value;

use super::super::compare::becomes;
use super::super::kubelet;
use super::super::stage::Stage;
use super::super::standing::Standing;
use super::super::subject::NOWHERE;
use super::Walk;
use crate::dump::dump;

/// How long a bad object gets to be as good as before, once its `spec` is.
const RECOVERS: Duration = Duration::from_secs(30);
/// How long the operator gets to tell of a bad image.
const TOLD: Duration = Duration::from_secs(15);

impl Walk<'_> {
    /// The last good `spec`, after a bad one.
    pub(super) async fn recover(&mut self, what: &str, anew: bool) -> anyhow::Result<()> {
        let good = self.current.clone();
        let begun = Instant::now();
        let mut stands = self.put(what, &good, anew).await?;
        // What depends on it may be at rest and not have heard yet.
        while stands != Standing::Good && begun.elapsed() < RECOVERS {
            tokio::time::sleep(Duration::from_millis(100)).await;
            stands = self.stage.stand().await?;
        }
        // What stood there before may have had a past, such as nodes that are still idle. One that was made anew has
        // none, and is to be like any that is fresh.
        let fresh = anew && stands == Standing::Good;
        let compared = match fresh {
            true => None,
            false => Some(becomes(&self.stage.user, &self.golden).await?),
        };
        let took = begun.elapsed();
        if let Some(last) = self.tally.bad.last_mut().filter(|last| last.what == what) {
            last.seconds = took.as_secs_f64();
        }
        let Some(compared) = compared else {
            return self.compare().await;
        };
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

    /// Whether an object that was made anew has anything of the one before: a pod that executes the old `spec`, or a
    /// key that perhaps too many know.
    pub(super) async fn inherits(
        &mut self,
        what: &str,
        before: &BTreeMap<String, String>,
    ) -> anyhow::Result<bool> {
        let now = self.stage.possessions().await?;
        let old: Vec<_> = before
            .iter()
            .filter(|(id, _)| now.contains_key(*id))
            .collect();
        for (_, name) in &old {
            let text = format!("made anew, and it has {name} of the object before");
            self.tally.fail(what, &text);
        }
        Ok(!old.is_empty())
    }

    /// After a failure, in another namespace: what follows must not fail for the same reason.
    pub(super) async fn start_over(&mut self) -> anyhow::Result<()> {
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

    pub(super) async fn put(
        &mut self,
        what: &str,
        spec: &Value,
        anew: bool,
    ) -> anyhow::Result<Standing> {
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
}
