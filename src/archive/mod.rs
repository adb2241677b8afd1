//! The archive of requests: parts that gateways send are put into their workspace's storage, and read from there
//! (docs/design/archive.md).
//!
//! Every replica does both. What is in a part is not looked at: whoever sends it has shown that they are a gateway's pod,
//! and may write below the folder of its service only.

mod read;
mod sweep;
mod turns;

use std::sync::Arc;
use std::time::Instant;

use atelier_api::archive::Part;
use atelier_api::conditions::reasons;
use atelier_api::v1alpha1::StorageType;
use atelier_api::{WebService, Workspace};
use atelier_storage::Store;
use bytes::Bytes;
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use kube::runtime::reflector::ObjectRef;

use crate::ctx::Ctx;
use crate::intake::Reporter;
use crate::workspace::gate::{Gate, gate};
use crate::workspace::storage::{Open, Problem, Trouble};
pub use read::Span;
pub use sweep::sweep;
pub use turns::Turn;
use turns::Turns;

/// The archive.
pub struct Archive {
    ctx: Arc<Ctx>,
    stores: Open,
    turns: Turns,
}

/// After how many seconds at the latest a service's records are to be in the archive; `None` if it has none.
pub fn wanted(service: &WebService, storage: StorageType) -> Option<u32> {
    let telemetry = &service.spec.telemetry;
    let archive = telemetry.archive.unwrap_or_default();
    let wanted = telemetry.enabled && archive.enabled && storage != StorageType::None;
    // The schema has it positive.
    wanted.then(|| archive.max_delay_seconds.unsigned_abs())
}

/// The day of a moment, as parts bear it.
fn day(at: Timestamp) -> Date {
    at.to_zoned(TimeZone::UTC).date()
}

impl Archive {
    /// One that has nothing open.
    pub fn new(ctx: Arc<Ctx>) -> Self {
        Self {
            ctx,
            stores: Open::default(),
            turns: Turns::default(),
        }
    }

    /// Whether a service's records are to be archived, or were until a moment ago: what gateways had by then is taken.
    pub fn wants(&self, namespace: &str, service: &str) -> bool {
        let service = ObjectRef::new(service).within(namespace);
        self.ctx.stores.web_services.get(&service).is_some()
    }

    /// A turn to send a part; `None` while others have them all.
    pub fn turn(&self, namespace: &str) -> Option<Turn> {
        self.turns.take(namespace)
    }

    /// Puts a part where it belongs. One that is sent again replaces what is there.
    pub async fn put(&self, of: &Reporter, part: &Part, body: Bytes) -> Result<(), Trouble> {
        let (workspace, store) = self.open(&of.namespace).await?;
        let path = part.path(&of.service, &of.pod);
        let put = store.put_bytes(&path, body).await;
        put.map_err(|error| self.stores.explain(&workspace, &error))?;
        Ok(())
    }

    /// The storage of a namespace's workspace.
    async fn open(&self, namespace: &str) -> Result<(Arc<Workspace>, Store), Trouble> {
        let workspace = match gate(&self.ctx, namespace) {
            Gate::Open(workspace) => workspace,
            Gate::Closed(why) | Gate::NotEnabled(why) => {
                return Err(Problem::new(reasons::STORAGE_STARTING, why).into());
            }
            Gate::Opening(_) | Gate::Terminating => {
                let why = format!(
                    "the operator does not know everything in namespace {namespace} yet; try again"
                );
                return Err(Problem::new(reasons::STORAGE_STARTING, why).into());
            }
        };
        let store = self.stores.store(&workspace, &self.ctx, Instant::now());
        Ok((workspace.clone(), store.await?))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn asked(telemetry: Value, storage: StorageType) -> Option<u32> {
        let service = json!({"apiVersion": "atelier.dev/v1alpha1", "kind": "WebService", "metadata": {"name": "s"},
            "spec": {"class": "Cluster", "image": "i", "telemetry": telemetry}});
        let service = serde_json::from_value(service).expect("a service");
        wanted(&service, storage)
    }

    #[test]
    fn records_are_archived_where_telemetry_is_on_and_there_is_a_storage() {
        let on = json!({"enabled": true});
        assert_eq!(asked(on.clone(), StorageType::Embedded), Some(60));
        assert_eq!(asked(on, StorageType::None), None);
        assert_eq!(asked(json!({}), StorageType::S3), None);
        let off = json!({"enabled": true, "archive": {"enabled": false}});
        assert_eq!(asked(off, StorageType::S3), None);
        let soon = json!({"enabled": true, "archive": {"maxDelaySeconds": 5}});
        assert_eq!(asked(soon, StorageType::Gcs), Some(5));
    }
}
