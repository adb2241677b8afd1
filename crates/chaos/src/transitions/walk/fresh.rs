//! The comparison with an object that was made as it is.

use serde_json::json;

use super::super::compare::alike;
use super::super::stage::Stage;
use super::super::subject::is_final;
use super::{Walk, short};
use crate::dump::dump;

impl Walk<'_> {
    /// Compares with a fresh object of the same `spec`.
    pub(super) async fn compare(&mut self) -> anyhow::Result<()> {
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
