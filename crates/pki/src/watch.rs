//! Watching one object by its name.

use std::fmt::Debug;

use futures::{Stream, StreamExt as _, future};
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Resource};
use serde::de::DeserializeOwned;

use crate::backoff::Doubling;

/// The server ends each watch after this many seconds, and the client after five more: how long a connection that died
/// in silence can hide a change.
const WATCH_SECONDS: u32 = 60;

/// An outage is logged when it begins, and then at every so many failures.
const SAID_EVERY: u32 = 20;

/// The object of this name each time that it changes, `None` while there is none. Goes on through every outage.
pub fn named<K>(api: Api<K>, name: &str) -> impl Stream<Item = Option<K>> + Send + use<K>
where
    K: Resource + Clone + DeserializeOwned + Debug + Send + 'static,
{
    let config = watcher::Config::default()
        .fields(&format!("metadata.name={name}"))
        .timeout(WATCH_SECONDS);
    let name = name.to_owned();
    let (mut found, mut failures) = (false, 0_u32);
    watcher(api, config)
        .backoff(Doubling::default())
        .filter_map(move |event| {
            future::ready(match event {
                Ok(event) => {
                    failures = 0;
                    seen(event, &mut found)
                }
                Err(error) => {
                    if failures.is_multiple_of(SAID_EVERY) {
                        let error = cause(&error);
                        tracing::warn!(name, error, "the watch is interrupted; trying again");
                    }
                    failures = failures.saturating_add(1);
                    None
                }
            })
        })
}

fn seen<K>(event: Event<K>, found: &mut bool) -> Option<Option<K>> {
    match event {
        Event::Init => {
            *found = false;
            None
        }
        Event::InitApply(object) | Event::Apply(object) => {
            *found = true;
            Some(Some(object))
        }
        Event::InitDone if *found => None,
        Event::InitDone | Event::Delete(_) => Some(None),
    }
}

/// What the API server says, without anything that it says it about.
fn cause(error: &watcher::Error) -> String {
    match error {
        watcher::Error::InitialListFailed(kube::Error::Api(status))
        | watcher::Error::WatchStartFailed(kube::Error::Api(status))
        | watcher::Error::WatchFailed(kube::Error::Api(status)) => status.message.clone(),
        watcher::Error::InitialListFailed(error)
        | watcher::Error::WatchStartFailed(error)
        | watcher::Error::WatchFailed(error) => error.to_string(),
        other => other.to_string(),
    }
}
