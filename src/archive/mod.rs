//! The archive: parts that gateways send, of records (docs/design/archive.md) or of inputs and predictions
//! (docs/design/collected-data.md), are put into their workspace's storage, and read from there.
//!
//! Every replica does both. What is in a part is not looked at: whoever sends it has shown that they are a gateway's pod,
//! and may write below the folder of its service only.

mod page;
mod read;
mod sweep;
mod turns;

use std::sync::Arc;
use std::time::Instant;

use atelier_api::archive::{Kind, Part};
use atelier_api::conditions::reasons;
use atelier_api::report::WantedData;
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
pub use page::Cursor;
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

/// Which inputs and predictions of a service are to be kept, if any are. Independent of what becomes of its records.
pub fn wanted_data(service: &WebService, storage: StorageType) -> Option<WantedData> {
    let collect = service.spec.collect_data.as_ref()?;
    // The schema has all of them positive.
    (storage != StorageType::None).then(|| WantedData {
        after_seconds: collect.max_delay_seconds.unsigned_abs(),
        sample_percent: collect.sample_percent.unsigned_abs(),
        max_bytes: collect.max_bytes.unsigned_abs(),
    })
}

/// For how many days a service's parts of a kind are kept; `None` where nothing says so.
fn keep_days(kind: Kind, service: &WebService, storage: StorageType) -> Option<i32> {
    match kind {
        Kind::Records => {
            let archive = service.spec.telemetry.archive.unwrap_or_default();
            wanted(service, storage).map(|_| archive.keep_days)
        }
        Kind::Data => {
            let collect = service.spec.collect_data.as_ref()?;
            wanted_data(service, storage).map(|_| collect.keep_days)
        }
    }
}

/// The day of a moment, as parts bear it.
fn day(at: Timestamp) -> Date {
    at.to_zoned(TimeZone::UTC).date()
}

/// The day of a folder of parts, by its path.
fn day_of(folder: &str) -> Option<Date> {
    folder.rsplit('/').next()?.parse().ok()
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

    /// Whether a service's parts are to be kept, or were until a moment ago: what gateways had by then is taken.
    pub fn wants(&self, namespace: &str, service: &str) -> bool {
        let service = ObjectRef::new(service).within(namespace);
        self.ctx.stores.web_services.get(&service).is_some()
    }

    /// A turn to send a part; `None` while others have them all.
    pub fn turn(&self, kind: Kind, namespace: &str) -> Option<Turn> {
        self.turns.take(kind, namespace)
    }

    /// Puts a part where it belongs. One that is sent again replaces what is there.
    pub async fn put(
        &self,
        of: &Reporter,
        kind: Kind,
        part: &Part,
        body: Bytes,
    ) -> Result<(), Trouble> {
        let (workspace, store) = self.open(&of.namespace).await?;
        let path = part.path(kind, &of.service, &of.pod);
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

    fn service(spec: Value) -> WebService {
        let mut service = json!({"apiVersion": "atelier.dev/v1alpha1", "kind": "WebService",
            "metadata": {"name": "s"}, "spec": {"class": "Cluster", "image": "i"}});
        for (name, value) in spec.as_object().expect("an object") {
            service["spec"][name] = value.clone();
        }
        serde_json::from_value(service).expect("a service")
    }

    fn asked(telemetry: Value, storage: StorageType) -> Option<u32> {
        wanted(&service(json!({"telemetry": telemetry})), storage)
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

    #[test]
    fn data_is_collected_where_that_is_asked_for_whatever_becomes_of_records() {
        let data = |spec, storage| wanted_data(&service(spec), storage);
        assert_eq!(
            data(json!({"telemetry": {"enabled": true}}), StorageType::S3),
            None
        );
        let asked = json!({"collectData": {}});
        let all = WantedData {
            after_seconds: 60,
            sample_percent: 100,
            max_bytes: 65_536,
        };
        assert_eq!(data(asked.clone(), StorageType::Embedded), Some(all));
        assert_eq!(data(asked.clone(), StorageType::None), None);
        let some = json!({"collectData": {"samplePercent": 7, "maxBytes": 9, "maxDelaySeconds": 5, "keepDays": 3}});
        let wanted = WantedData {
            after_seconds: 5,
            sample_percent: 7,
            max_bytes: 9,
        };
        assert_eq!(data(some.clone(), StorageType::Gcs), Some(wanted));
        // And each is kept for as long as it says itself.
        let days = |spec: &Value| {
            let service = service(spec.clone());
            Kind::ALL.map(|kind| keep_days(kind, &service, StorageType::S3))
        };
        assert_eq!(days(&asked), [None, Some(90)]);
        assert_eq!(days(&some), [None, Some(3)]);
        let both =
            json!({"telemetry": {"enabled": true, "archive": {"keepDays": 5}}, "collectData": {}});
        assert_eq!(days(&both), [Some(5), Some(90)]);
    }
}
