//! Plays plans, one after the other, on one operator behind the proxy.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use kube::Client;

use crate::disturber::{Armed, Disturber};
use crate::dump::{Dump, difference};
use crate::golden::{Recorder, act};
use crate::oracle::{Account, idle_writes, judge};
use crate::plan::Plan;
use crate::replay::Replay;
use crate::report::{Outcome, Verdict};
use crate::schedule::Moments;
use crate::trail::Request;
use crate::{Caller, Lab, Operator, Scenario, kept, scenarios};

const STARTS: Duration = Duration::from_secs(30);

/// What undisturbed plays of a scenario showed.
pub struct Golden {
    marks: BTreeMap<String, Dump>,
    account: Account,
    /// Where it can be disturbed.
    pub moments: Moments,
}

/// Plays plans.
pub struct Runner {
    admin: Client,
    caller: Caller,
    disturber: Disturber,
    operator: Arc<Operator>,
    plays: AtomicUsize,
    golden: BTreeMap<&'static str, Golden>,
}

impl Runner {
    /// An operator that leads, behind a proxy that disturbs nothing yet.
    pub async fn start(lab: &Lab) -> anyhow::Result<Self> {
        let disturber = Disturber::start(lab).await?;
        let operator = Arc::new(lab.serving_operator("operator-0", &disturber.kubeconfig)?);
        disturber.aim_at(&operator);
        operator.start()?;
        operator.leading(STARTS).await?;
        Ok(Self {
            admin: lab.cluster.admin().await?,
            caller: Caller::of(lab, &operator).await?,
            disturber,
            operator,
            plays: AtomicUsize::new(0),
            golden: BTreeMap::new(),
        })
    }

    /// Plays a scenario twice without disturbing it, and learns what it does.
    pub async fn learn(
        &mut self,
        scenario: &'static dyn Scenario,
        bless: bool,
    ) -> anyhow::Result<&Golden> {
        let first = self.undisturbed(scenario).await?;
        let second = self.undisturbed(scenario).await?;
        for (mark, stands) in &first.marks {
            let lines = difference(stands, &second.marks[mark]);
            anyhow::ensure!(
                lines.is_empty(),
                "{}: two undisturbed plays differ at {mark}: {lines:?}",
                scenario.name()
            );
        }
        kept::compare(scenario.name(), &first.marks, bless)?;
        let golden = Golden {
            moments: first.moments.and(&second.moments),
            account: first.account.or(second.account),
            marks: first.marks,
        };
        self.golden.insert(scenario.name(), golden);
        Ok(&self.golden[scenario.name()])
    }

    async fn undisturbed(&self, scenario: &dyn Scenario) -> anyhow::Result<Golden> {
        self.operator.suit(scenario).await?;
        let namespace = self.namespace(scenario);
        let from = self.disturber.now();
        let recorder = Recorder::default();
        let (user, played) = act(scenario, self.all(), &namespace, &recorder).await?;
        // Before the namespace goes: in one that is going everything is refused.
        let trail = self.disturber.trail(&namespace, from);
        let moments = self.disturber.moments(&namespace, from);
        user.leave().await?;
        played.with_context(|| format!("{}, undisturbed", scenario.name()))?;
        let account = Account::of(&trail);
        let mut wrong = judge(&account, &trail);
        wrong.extend(idle_writes(&trail));
        anyhow::ensure!(
            wrong.is_empty(),
            "{}, undisturbed: {}",
            scenario.name(),
            wrong.join("; ")
        );
        Ok(Golden {
            marks: recorder.into_parts().0,
            moments,
            account,
        })
    }

    /// Plays a plan; once more, if its moment did not come.
    pub async fn play(&self, plan: &Plan) -> anyhow::Result<Outcome> {
        let scenario = scenarios::named(Some(&plan.scenario))?[0];
        let golden = self
            .golden
            .get(scenario.name())
            .context("the scenario was not learnt")?;
        let begun = Instant::now();
        let mut verdict = self.once(plan, scenario, golden).await?;
        if verdict == Verdict::Missed {
            verdict = self.once(plan, scenario, golden).await?;
        }
        Ok(Outcome {
            plan: plan.clone(),
            verdict,
            took: begun.elapsed(),
        })
    }

    async fn once(
        &self,
        plan: &Plan,
        scenario: &dyn Scenario,
        golden: &Golden,
    ) -> anyhow::Result<Verdict> {
        // A plan before may have left it dead, or another scenario otherwise.
        self.operator.suit(scenario).await?;
        let process = self.operator.pid();
        let namespace = self.namespace(scenario);
        let armed = self.disturber.arm(plan, &namespace, &self.operator)?;
        let onlooker = Replay {
            marks: &golden.marks,
            armed: &armed,
        };
        let (user, played) = act(scenario, self.all(), &namespace, &onlooker).await?;
        let mut wrong: Vec<_> = played
            .err()
            .map(|error| format!("{error:#}"))
            .into_iter()
            .collect();
        let trail = armed.trail();
        user.leave().await?;
        wrong.extend(judge(&golden.account, &trail));
        if !self.operator.is_running() {
            wrong.push("the operator has ended by itself".into());
        } else if !plan.kills() && self.operator.pid() != process {
            wrong.push("the operator was started again".into());
        }
        if !wrong.is_empty() {
            self.explain(&armed, &trail);
            return Ok(Verdict::Violated(wrong));
        }
        Ok(if armed.was_hit() {
            Verdict::Green
        } else {
            Verdict::Missed
        })
    }

    /// Prints what the operator did around the disturbance.
    fn explain(&self, armed: &Armed<'_>, trail: &[Request]) {
        println!(
            "      hit: {}; the operator's log: {}",
            armed.was_hit(),
            self.operator.log().display()
        );
        for request in trail.iter().filter(|request| request.is_write()) {
            println!("      {request}");
        }
    }

    fn all(&self) -> (&Client, &Caller, &Operator) {
        (&self.admin, &self.caller, &self.operator)
    }

    fn namespace(&self, scenario: &dyn Scenario) -> String {
        let nth = self.plays.fetch_add(1, Ordering::Relaxed);
        format!("{}-{}-{nth}", scenario.name(), std::process::id())
    }
}
