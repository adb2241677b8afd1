//! What the operator is told while it asks for it: how much there is to do.
//!
//! Whether it asks stands in the gateway's Secret, beside the policy, so that a switch needs no restart. While it does
//! not, nothing here runs and no connection is open. Nothing of it is on the way of a request: [`load`] looks at counters
//! that are there anyway.

pub mod load;
pub mod way;

use std::{collections::HashMap, net::SocketAddr, sync::Arc, time::Duration};

use atelier_api::report::{LOAD_PATH, Load, Wanted};
use bytes::Bytes;
use http::StatusCode;
use tokio::{
    sync::watch,
    task::JoinHandle,
    time::{sleep, timeout},
};

use crate::{limits::Gauge, logging::chain};
use way::{Connection, Way, WayError};

/// How often the addresses of the operator's replicas are looked up.
const LOOK_UP: Duration = Duration::from_secs(10);

/// How soon they are after nobody was found.
const LOOK_UP_SOON: Duration = Duration::from_secs(2);

/// How many replicas are told at most.
const MOST_REPLICAS: usize = 8;

/// The shortest and the longest pause after a failure.
const PAUSES: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(5));

/// Reports, whenever that is wanted. Never ends.
pub async fn run(way: Arc<Way>, gauge: Gauge, mut wanted: watch::Receiver<Wanted>) {
    loop {
        // The sender lives as long as the process.
        let _ = wanted.wait_for(|wanted| wanted.load).await;
        tracing::info!("the operator is told of the load");
        let (reports, latest) = watch::channel(None);
        tokio::select! {
            _ = wanted.wait_for(|wanted| !wanted.load) => {}
            () = load::measure(&gauge, &reports) => {}
            () = tell_all(&way, &latest) => {}
        }
        tracing::info!("the operator is not told of the load any more");
    }
}

/// Those who are told, each by a task of its own, so that one who does not answer holds up no other.
#[derive(Default)]
struct Told(HashMap<SocketAddr, JoinHandle<()>>);

impl Drop for Told {
    fn drop(&mut self) {
        self.0.values().for_each(JoinHandle::abort);
    }
}

async fn tell_all(way: &Arc<Way>, latest: &watch::Receiver<Option<Load>>) {
    let mut told = Told::default();
    let mut lost = false;
    loop {
        let pause = match way.replicas().await {
            Ok(addresses) => {
                lost = false;
                let addresses: Vec<_> = addresses.into_iter().take(MOST_REPLICAS).collect();
                told.0.retain(|address, task| {
                    let stays = addresses.contains(address);
                    if !stays {
                        task.abort();
                    }
                    stays
                });
                for address in addresses {
                    let (way, latest) = (Arc::clone(way), latest.clone());
                    told.0
                        .entry(address)
                        .or_insert_with(|| tokio::spawn(tell(way, address, latest)));
                }
                LOOK_UP
            }
            Err(error) => {
                if !std::mem::replace(&mut lost, true) {
                    tracing::warn!(
                        error = chain(&error),
                        "the operator's replicas cannot be found; those that are known are told"
                    );
                }
                LOOK_UP_SOON
            }
        };
        sleep(pause).await;
    }
}

/// Tells one replica of the latest load, again and again. What it missed meanwhile is not made up for.
async fn tell(way: Arc<Way>, address: SocketAddr, mut latest: watch::Receiver<Option<Load>>) {
    let mut connection = None;
    let mut pause = PAUSES.0;
    let mut failing = false;
    loop {
        let load = match latest.wait_for(Option::is_some).await {
            Ok(load) => load.unwrap_or_default(),
            Err(_) => return,
        };
        latest.mark_unchanged();
        match post(&way, address, &mut connection, load).await {
            Ok(()) => {
                if std::mem::take(&mut failing) {
                    tracing::info!(%address, "a replica of the operator is told again");
                }
                pause = PAUSES.0;
                if latest.changed().await.is_err() {
                    return;
                }
            }
            Err(error) => {
                connection = None;
                // A replica that goes away is nothing to tell of; the first of a row of failures may be that.
                if pause > PAUSES.0 && !std::mem::replace(&mut failing, true) {
                    tracing::warn!(%address, error = chain(&error), "a replica of the operator cannot be told");
                }
                sleep(pause).await;
                pause = (pause * 2).min(PAUSES.1);
            }
        }
    }
}

async fn post(
    way: &Way,
    address: SocketAddr,
    connection: &mut Option<Connection>,
    load: Load,
) -> Result<(), WayError> {
    let open = connection.take().filter(|open| way.is_current(open));
    let mut open = match open {
        Some(open) => open,
        None => way.connect(address).await?,
    };
    let body = serde_json::to_vec(&load).unwrap_or_default();
    let answered = timeout(
        way::ANSWER,
        way.post(&mut open, LOAD_PATH, "application/json", Bytes::from(body)),
    );
    let status = answered.await.map_err(|_| WayError::Late)??.status;
    *connection = Some(open);
    match status {
        StatusCode::NO_CONTENT | StatusCode::OK => Ok(()),
        refused => Err(WayError::Refused(refused)),
    }
}
