//! The operator with a storage of the service's own, on a server that the lab plays; or without one.

use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::json;

use super::Operator;
use crate::Scenario;
use crate::disturber::OWN_STORAGE;
use crate::user::until;

const STARTS: Duration = Duration::from_secs(30);
/// The bucket of the service's own storage.
pub const BUCKET: &str = "service";

impl Operator {
    /// Sees that it runs, leads, and has a storage of the service's own if the scenario is about that, and else none.
    pub async fn suit(&self, scenario: &dyn Scenario) -> anyhow::Result<()> {
        let wanted = scenario.has_own_storage();
        let had = self.has_own_storage.swap(wanted, Ordering::SeqCst);
        if had != wanted {
            self.restart()?;
        } else if !self.is_running() {
            self.start()?;
        }
        self.leading(STARTS).await?;
        if wanted {
            // It has made by then what it makes without a server, so that every play begins alike.
            let sentence = "it has tried the service's own storage";
            until(sentence, async || match self.own_storage_is().await {
                Some(reason) if reason != "StorageStarting" => Ok(()),
                other => Err(format!("{other:?}")),
            })
            .await?;
        }
        Ok(())
    }

    /// Where it expects the server of the service's own storage.
    pub fn own_storage(&self) -> SocketAddr {
        self.own_storage
    }

    /// What it last found of the service's own storage, if it has tried it since it started.
    pub async fn own_storage_is(&self) -> Option<String> {
        let metrics = self.metrics().await.ok()?;
        let mut lines = metrics.lines();
        let told = lines.find_map(|line| line.strip_prefix("atelier_service_storage{reason=\""));
        Some(told?.split('"').next()?.to_owned())
    }

    /// What it is started with.
    pub(super) fn own_storage_settings(&self) -> Vec<(&'static str, String)> {
        if !self.has_own_storage.load(Ordering::SeqCst) {
            return vec![];
        }
        let endpoint = format!("https://{}", self.own_storage);
        let place = json!({"type": "Embedded", "endpoint": endpoint, "bucket": BUCKET});
        vec![
            ("ATELIER_SERVICE_STORAGE", place.to_string()),
            ("ATELIER_SERVICE_STORAGE_SECRET", OWN_STORAGE.to_owned()),
            // What went wrong is tried again soon.
            ("ATELIER_STORAGE_PROBE", "1s".to_owned()),
        ]
    }
}
