//! Runs the reconcile of one kind: leader gate, time limit, retries, and one place that reports.

use std::collections::HashMap;
use std::fmt::Debug;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures::{Stream, StreamExt as _};
use kube::Resource;
use kube::runtime::controller::{self, Action, Controller};
use kube::runtime::reflector::{ObjectRef, Store};
use kube::runtime::watcher;
use serde::de::DeserializeOwned;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::backoff::reconcile_delay;
use super::error::Error;
use crate::ctx::Ctx;

/// Objects of one kind that are worked on at a time.
const CONCURRENCY: u16 = 8;
/// Longest time one reconcile may take. The client retries inside a request for longer than anybody wants to wait.
const LIMIT: Duration = Duration::from_secs(30);
/// How soon to look again at what another replica leads.
const STANDBY: Duration = Duration::from_secs(3600);

/// Drives the controller of `K` until `stop` is cancelled and what had begun has ended.
pub async fn run<K, F, R>(
    name: &'static str,
    (store, stream): (
        Store<K>,
        impl Stream<Item = watcher::Result<K>> + Send + 'static,
    ),
    triggers: impl Stream<Item = ObjectRef<K>> + Send + 'static,
    ctx: Arc<Ctx>,
    stop: CancellationToken,
    reconcile: F,
) where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + Sync + 'static,
    F: Fn(Arc<K>, Arc<Ctx>) -> R + Send + Sync + 'static,
    R: Future<Output = Result<Action, Error>> + Send + 'static,
{
    let failures: Arc<Mutex<HashMap<ObjectRef<K>, u32>>> = Arc::default();
    let in_error = failures.clone();
    let leads = ctx.claim.became_leader();
    Controller::for_stream(stream, store)
        .reconcile_on(triggers)
        .reconcile_all_on(leads)
        .with_config(controller::Config::default().concurrency(CONCURRENCY))
        .graceful_shutdown_on(async move { stop.cancelled().await })
        .run(
            move |object: Arc<K>, ctx: Arc<Ctx>| {
                let failures = failures.clone();
                let leads = ctx.claim.check().is_ok();
                let work = leads.then(|| reconcile(object.clone(), ctx.clone()));
                async move {
                    let Some(work) = work else {
                        return Ok(Action::requeue(STANDBY));
                    };
                    let begun = Instant::now();
                    let result = tokio::time::timeout(LIMIT, work)
                        .await
                        .unwrap_or(Err(Error::TimedOut(LIMIT)));
                    let label = result.as_ref().map_or_else(Error::category, |_| "ok");
                    ctx.metrics.reconciled(name, label, begun.elapsed());
                    if result.is_ok() {
                        let reference = ObjectRef::from_obj(object.as_ref());
                        failures
                            .lock()
                            .unwrap_or_else(PoisonError::into_inner)
                            .remove(&reference);
                    }
                    result
                }
            },
            move |object, error, _| {
                let mut failures = in_error.lock().unwrap_or_else(PoisonError::into_inner);
                let count = failures
                    .entry(ObjectRef::from_obj(object.as_ref()))
                    .or_default();
                *count = count.saturating_add(1);
                Action::requeue(retry_after(error, *count))
            },
            ctx,
        )
        .for_each(async |result| report(name, result))
        .await;
}

/// A conflict is over as soon as we have seen what the other wrote; everything else is given more and more time.
fn retry_after(error: &Error, failures: u32) -> Duration {
    let jitter = f64::from(getrandom::u32().unwrap_or_default()) / f64::from(u32::MAX);
    match error {
        Error::Stale(_) => reconcile_delay(failures.min(4), jitter),
        Error::NotLeader => STANDBY,
        _ => reconcile_delay(failures, jitter),
    }
}

fn report<K: Resource<DynamicType = ()>>(
    controller: &'static str,
    result: Result<(ObjectRef<K>, Action), controller::Error<Error, watcher::Error>>,
) {
    match result {
        Ok((object, _)) => debug!(
            controller,
            object = object.name,
            namespace = object.namespace,
            "reconciled"
        ),
        Err(controller::Error::ObjectNotFound(object)) => {
            debug!(controller, %object, "already gone")
        }
        Err(controller::Error::ReconcilerFailed(error, object)) if error.is_ordinary() => {
            debug!(controller, %object, %error, "looking again");
        }
        Err(controller::Error::ReconcilerFailed(error, object)) => {
            warn!(controller, %object, %error, category = error.category(), "reconcile failed; trying again");
        }
        Err(error) => warn!(controller, %error, "controller"),
    }
}
