//! The policy from the API server: a watch of one Secret, kept up through every outage.

use std::{pin::pin, time::Duration};

use atelier_api::gateway_policy::POLICY_KEY;
use atelier_api::gateway_telemetry::{HEADERS_KEY, TELEMETRY_KEY};
use atelier_api::report::{WANTED_KEY, Wanted};
use futures::StreamExt as _;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use kube::{
    Api, Client, Config,
    runtime::{
        WatchStreamExt as _,
        utils::Backoff,
        watcher::{self, DefaultBackoff, Event, watcher},
    },
};
use thiserror::Error;
use tokio::time::sleep;

use super::{Source, Store};
use crate::{
    logging::chain,
    telemetry::{self, Entries, Telemetry},
};

/// The server ends each watch after this many seconds, and the client after five more: how long
/// a connection that died in silence can hide a revocation.
const WATCH_SECONDS: u32 = 30;

/// How long a request that is no watch may be silent.
const READ_TIMEOUT: Duration = Duration::from_secs(WATCH_SECONDS as u64 + 10);

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// The longest pause between attempts. An outage must not delay a revocation much beyond its end.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// An outage is logged when it begins, and then at every so many failures: about once a minute.
const SAID_EVERY: u32 = 12;

/// Which Secret to watch.
#[derive(Clone, Debug)]
pub struct WatchTarget {
    /// The namespace of the Secret.
    pub namespace: String,
    /// The name of the Secret. The gateway's rights are limited to it.
    pub secret: String,
}

/// Why the API server cannot be asked.
#[derive(Debug, Error)]
pub(crate) enum WatchError {
    #[error("no ServiceAccount is mounted: {0}")]
    InCluster(#[from] kube::config::InClusterError),
    #[error("no client can be built: {0}")]
    Client(#[from] kube::Error),
}

/// Watches forever.
pub async fn watch(target: &WatchTarget, store: &Store, telemetry: &Telemetry) {
    let mut backoff = Capped::default();
    loop {
        match client(READ_TIMEOUT) {
            Ok(client) => follow(client, target, store, telemetry).await,
            Err(error) => {
                let error = chain(&error);
                tracing::warn!(
                    error,
                    effect = store.effect(),
                    "the policy cannot be watched yet"
                );
            }
        }
        store.metrics.policy_watched(false);
        sleep(backoff.next().unwrap_or(LONGEST_PAUSE)).await;
    }
}

/// The way to the API server. `read_timeout` is longer than the server leaves a watch open.
pub(crate) fn client(read_timeout: Duration) -> Result<Client, WatchError> {
    // The pod's ServiceAccount, and nothing inferred: a stray kubeconfig must not redirect the gateway.
    let mut config = Config::incluster()?;
    config.connect_timeout = Some(CONNECT_TIMEOUT);
    config.read_timeout = Some(read_timeout);
    // The watch has its own pauses; the client's would hide an outage for minutes.
    config.default_retry = false;
    Ok(Client::try_from(config)?)
}

async fn follow(client: Client, target: &WatchTarget, store: &Store, telemetry: &Telemetry) {
    let secrets: Api<Secret> = Api::namespaced(client, &target.namespace);
    let only = format!("metadata.name={}", target.secret);
    let config = watcher::Config::default()
        .fields(&only)
        .timeout(WATCH_SECONDS);
    let mut events = pin!(watcher(secrets, config).backoff(Capped::default()));
    let mut found = false;
    let mut failures = 0_u32;
    while let Some(event) = events.next().await {
        store.metrics.policy_watched(event.is_ok());
        if event.is_ok() && std::mem::take(&mut failures) > 0 {
            tracing::info!("the policy is watched again");
        }
        match event {
            Ok(Event::Init) => found = false,
            Ok(Event::InitApply(secret) | Event::Apply(secret)) => {
                found = true;
                apply(&secret, store, telemetry);
            }
            Ok(Event::InitDone) if found => {}
            Ok(Event::InitDone | Event::Delete(_)) => {
                tracing::warn!(
                    secret = target.secret,
                    effect = store.effect(),
                    "the Secret with the policy is gone; the operator rebuilds it"
                );
            }
            Err(error) => {
                if failures.is_multiple_of(SAID_EVERY) {
                    let error = cause(&error);
                    tracing::warn!(
                        error,
                        effect = store.effect(),
                        "the watch of the policy is interrupted"
                    );
                }
                failures += 1;
            }
        }
    }
}

/// What the API server says, without the whole object it says it with; or why it says nothing.
fn cause(error: &watcher::Error) -> String {
    match error {
        watcher::Error::InitialListFailed(kube::Error::Api(status))
        | watcher::Error::WatchStartFailed(kube::Error::Api(status))
        | watcher::Error::WatchFailed(kube::Error::Api(status)) => status.message.clone(),
        other => chain(other),
    }
}

fn apply(secret: &Secret, store: &Store, telemetry: &Telemetry) {
    let entry = |name| Some(secret.data.as_ref()?.get(name)?.0.clone());
    // A missing entry is as bad as an empty one, and reported alike.
    let document = entry(POLICY_KEY).unwrap_or_default();
    store.offer(Source::Watch, &document, Timestamp::now());
    // One that is missing here says something: that nothing is exported.
    let entries = Entries {
        document: entry(TELEMETRY_KEY),
        headers: entry(HEADERS_KEY).map(telemetry::Secret),
    };
    telemetry.offer(Source::Watch, &entries);
    let wanted = entry(WANTED_KEY).map(|bytes| Wanted::from_json(&bytes));
    store.want(wanted.unwrap_or_default());
}

/// The usual pauses of a watch, but none longer than [`LONGEST_PAUSE`].
#[derive(Default)]
struct Capped(DefaultBackoff);

impl Iterator for Capped {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        Some(
            self.0
                .next()
                .map_or(LONGEST_PAUSE, |pause| pause.min(LONGEST_PAUSE)),
        )
    }
}

impl Backoff for Capped {
    fn reset(&mut self) {
        self.0.reset();
    }
}
