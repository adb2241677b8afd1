//! Parts that have been kept for long enough are deleted, day by day, by whoever leads.

use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use atelier_api::WebService;
use atelier_api::archive::{Kind, folder_of, of_path};
use atelier_storage::Error as StorageError;
use futures::{StreamExt as _, TryStreamExt as _};
use jiff::civil::Date;
use jiff::{Timestamp, ToSpan as _};
use kube::ResourceExt as _;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::{Archive, day, day_of, keep_days};
use crate::workspace::gate::{Gate, gate};
use crate::workspace::storage::Trouble;

/// From one look to the next. A day is over once a day.
const EVERY: Duration = Duration::from_secs(3600);
/// The same while not everything is known yet, after a start.
const SOON: Duration = Duration::from_secs(5);

/// Deletes what is too old, until `stop`.
pub async fn sweep(archive: Arc<Archive>, stop: CancellationToken) {
    let ctx = &archive.ctx;
    let mut leads = pin!(ctx.claim.became_leader());
    let mut wait = EVERY;
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            Some(()) = leads.next() => {}
            () = tokio::time::sleep(wait) => {}
        }
        wait = EVERY;
        if ctx.claim.check().is_err() {
            continue;
        }
        for service in ctx.stores.web_services.state() {
            let (namespace, name) = (service.namespace().unwrap_or_default(), service.name_any());
            for kind in Kind::ALL {
                let folder = kind.folder();
                match archive.sweep(kind, &service, (ctx.clock)()).await {
                    Ok(None) => wait = SOON,
                    Ok(Some(0)) => {}
                    Ok(Some(parts)) => info!(
                        namespace,
                        name, folder, parts, "parts of the archive were old enough to go"
                    ),
                    // The next look tries again.
                    Err(why) => {
                        warn!(namespace, name, folder, %why, "old parts of the archive stay");
                    }
                }
            }
        }
    }
}

/// The first day that is kept.
fn first_kept(now: Timestamp, keep_days: i32) -> Option<Date> {
    day(now).checked_sub(i64::from(keep_days).days()).ok()
}

impl Archive {
    /// How many parts it deleted; `None` while it is too early to say which are too old.
    async fn sweep(
        &self,
        kind: Kind,
        service: &WebService,
        now: Timestamp,
    ) -> Result<Option<u64>, Trouble> {
        let namespace = service.namespace().unwrap_or_default();
        let workspace = match gate(&self.ctx, &namespace) {
            Gate::Open(workspace) => workspace,
            Gate::Opening(_) => return Ok(None),
            _ => return Ok(Some(0)),
        };
        let days = keep_days(kind, service, workspace.spec.storage.type_);
        let first = days.and_then(|days| first_kept(now, days));
        let Some(first) = first else {
            return Ok(Some(0));
        };
        let store = self.stores.store(&workspace, &self.ctx, Instant::now());
        let store = store.await?;
        let sweep = async {
            let mut gone = 0;
            for folder in store.folders(&folder_of(kind, &service.name_any())).await? {
                if day_of(&folder).is_none_or(|day| day >= first) {
                    continue;
                }
                let mut parts = pin!(store.list(Some(&folder)));
                while let Some(part) = parts.try_next().await? {
                    // What others put there is theirs.
                    if of_path(&part.path).is_some() {
                        store.delete(&part.path).await?;
                        gone += 1;
                    }
                }
            }
            Ok::<_, StorageError>(Some(gone))
        };
        let swept = sweep.await;
        swept.map_err(|error| self.stores.explain(&workspace, &error).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_whole_days_are_kept_and_today() {
        let now = "2026-11-28T23:59:59Z".parse().expect("a time");
        let first = |days| first_kept(now, days).map(|day| day.to_string());
        assert_eq!(first(1).as_deref(), Some("2026-11-27"));
        assert_eq!(first(90).as_deref(), Some("2026-08-30"));
    }
}
