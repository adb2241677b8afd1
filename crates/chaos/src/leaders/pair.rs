//! Two replicas of the operator, each behind a proxy of its own.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use atelier_testkit::apiproxy::{Entry, Mark, Proxy, Verb};

use crate::stomp::STARTS;
use crate::{Lab, Operator};

const POLL: Duration = Duration::from_millis(10);

/// A replica and the proxy that it reaches the API server through.
pub struct Replica {
    /// Its pod's name.
    pub name: &'static str,
    /// The process.
    pub operator: Operator,
    /// The proxy.
    pub proxy: Proxy,
}

/// Two of them.
pub struct Pair([Replica; 2]);

impl Pair {
    /// Starts both, and waits until one leads and the other could.
    pub async fn start(lab: &Lab) -> anyhow::Result<Self> {
        let pair = Self([
            Replica::new(lab, "leaders-a").await?,
            Replica::new(lab, "leaders-b").await?,
        ]);
        pair.0[0].operator.start()?;
        pair.0[0].operator.leading(STARTS).await?;
        pair.0[1].stand_by().await?;
        Ok(pair)
    }

    /// Who leads, and who does not. Starts whoever has ended.
    pub async fn roles(&self) -> anyhow::Result<(&Replica, &Replica)> {
        let begun = Instant::now();
        loop {
            for (one, other) in [(&self.0[0], &self.0[1]), (&self.0[1], &self.0[0])] {
                if one.operator.is_running() && one.operator.leads().await {
                    if !other.operator.is_running() {
                        other.stand_by().await?;
                    }
                    return Ok((one, other));
                }
            }
            ensure!(begun.elapsed() < STARTS, "nobody leads");
            tokio::time::sleep(POLL).await;
        }
    }

    /// Both.
    pub fn both(&self) -> &[Replica; 2] {
        &self.0
    }
}

impl Replica {
    async fn new(lab: &Lab, name: &'static str) -> anyhow::Result<Self> {
        let proxy = Proxy::start(&lab.cluster.kubeconfig).await;
        let kubeconfig = lab.folder.join(format!("{name}.kubeconfig"));
        proxy.write_kubeconfig(&lab.token, &kubeconfig);
        let operator = lab.operator(name, &kubeconfig)?;
        Ok(Self {
            name,
            operator,
            proxy,
        })
    }

    /// Starts it, and waits until it has seen everything and waits for the lease.
    pub async fn stand_by(&self) -> anyhow::Result<()> {
        let mark = self.proxy.trail().mark();
        self.operator.start()?;
        let begun = Instant::now();
        let watches_lease = |entry: &Entry| entry.resource == "leases" && entry.verb == Verb::Watch;
        // The election begins when the views are filled.
        while self
            .proxy
            .trail()
            .entries_since(mark, watches_lease)
            .is_empty()
        {
            ensure!(
                begun.elapsed() < STARTS,
                "{} never waited for the lease",
                self.name
            );
            tokio::time::sleep(POLL).await;
        }
        Ok(())
    }

    /// Its writes since a moment, without the lease and events.
    pub fn writes_since(&self, mark: Mark) -> Vec<Arc<Entry>> {
        self.proxy.trail().entries_since(mark, is_write)
    }

    /// Those of them that changed something.
    pub fn effective_since(&self, mark: Mark) -> Vec<Arc<Entry>> {
        let mut writes = self.writes_since(mark);
        writes.retain(|entry| entry.effective);
        writes
    }

    /// Waits until it has ended by itself, or runs and does not lead. Says which.
    pub async fn steps_back(&self, limit: Duration) -> anyhow::Result<&'static str> {
        let begun = Instant::now();
        loop {
            if !self.operator.is_running() {
                return Ok("ended");
            }
            // A process that just went on may still say what it last knew.
            if begun.elapsed() > limit {
                ensure!(
                    !self.operator.leads().await,
                    "{} still says that it leads",
                    self.name
                );
                return Ok("stands by");
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// Waits until it leads.
    pub async fn takes_over(&self, limit: Duration) -> anyhow::Result<Mark> {
        self.operator
            .leading(limit)
            .await
            .context("the other never took over")?;
        Ok(self.proxy.trail().mark())
    }
}

/// Whether a request would change something that matters. Leases are how they agree, events are told and not kept, and
/// reviews are questions.
fn is_write(entry: &Entry) -> bool {
    entry.is_write()
        && !matches!(entry.resource.as_str(), "leases" | "events")
        && !entry.group.starts_with("authorization.")
}

/// A request in a line.
pub fn line(entry: &Entry) -> String {
    let status = entry
        .upstream_status
        .map_or("no answer".into(), |status| status.to_string());
    format!(
        "{} {}/{} in {}: {status}",
        entry.verb, entry.resource, entry.name, entry.namespace
    )
}
