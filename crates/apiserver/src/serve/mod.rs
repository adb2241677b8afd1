//! The listener: accepts connections, and lets what has begun finish at the end.

mod act;
mod connection;
mod record;
mod router;
mod stream;

use std::sync::Arc;
use std::time::Duration;

use kube::Client;
use rustls::server::ResolvesServerCert;
use tokio::net::TcpListener;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::warn;

use crate::action::Actions;
use crate::admission::Admission;
use crate::front_proxy::FrontProxy;
use crate::tls;
use connection::Listening;
use router::App;

/// How long to wait when the system has no file descriptor left for a connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// What clients are allowed.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Open connections. More wait in the kernel's backlog.
    pub connections: usize,
    /// Open connections of clients other than the API server's proxy. More are closed, so that strangers cannot take
    /// the places of callers.
    pub strangers: usize,
    /// Time for a TLS handshake.
    pub handshake: Duration,
    /// Time that the proxy's connections may be idle, or take for a request header. Longer than the 90 seconds after
    /// which the API server itself closes them: a request must not meet a closing connection.
    pub idle: Duration,
    /// The same for others.
    pub stranger_idle: Duration,
    /// Time for a request that is not long-running.
    pub request: Duration,
    /// After the stop: time in which connections are still accepted while `/readyz` says no.
    pub linger: Duration,
    /// After that: time for requests that are not long-running.
    pub grace: Duration,
    /// After that: time for long-running requests to end, which have been told to.
    pub farewell: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self {
            connections: 1024,
            strangers: 256,
            handshake: seconds(10),
            idle: seconds(125),
            stranger_idle: seconds(15),
            request: seconds(60),
            linger: seconds(0),
            grace: seconds(15),
            farewell: seconds(2),
        }
    }
}

/// Why serving ended, or did not begin.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// TLS cannot be configured.
    #[error("TLS cannot be configured: {0}")]
    Tls(#[from] rustls::Error),
    /// The watch on the cluster's configuration ended, which it never does.
    #[error("the watch on the API server's configuration ended")]
    Watch,
}

/// The server: actions and webhooks on one TLS listener.
pub struct Server {
    /// Where it listens.
    pub listener: TcpListener,
    /// With which certificate. Asked for each connection, so it may change at any time.
    pub certificate: Arc<dyn ResolvesServerCert>,
    /// Whom the cluster trusts to say who asks.
    pub front_proxy: FrontProxy,
    /// The actions.
    pub actions: Actions,
    /// The webhooks.
    pub admission: Admission,
    /// The way to the API server.
    pub client: Client,
    /// What clients are allowed.
    pub limits: Limits,
}

impl Server {
    /// Serves until `stop`, and then until what has begun has ended, or its time is up.
    pub async fn run(self, stop: CancellationToken) -> Result<(), ServeError> {
        let tls = tls::config(self.certificate)?;
        let (follow, client) = (self.front_proxy.clone(), self.client.clone());
        let phases = Phases::default();
        let app = App::new(
            self.actions,
            self.admission,
            self.front_proxy,
            self.client,
            self.limits.request,
            phases.clone(),
        );
        let listening = Listening::new(tls, app, self.limits, phases.clone());
        tokio::select! {
            () = follow.follow(client) => Err(ServeError::Watch),
            ((), ()) = async {
                tokio::join!(accept(self.listener, listening), phases.pass(stop, self.limits))
            } => Ok(()),
        }
    }
}

/// The end, step by step.
#[derive(Clone, Default)]
struct Phases {
    /// No longer ready.
    leaving: CancellationToken,
    /// No new connections, no more requests on those there are.
    closing: CancellationToken,
    /// Long-running requests end.
    cut: CancellationToken,
    /// Everything ends.
    killed: CancellationToken,
    /// Requests that are not long-running, from their header to the last byte of the answer.
    requests: TaskTracker,
    /// Connections.
    connections: TaskTracker,
}

impl Phases {
    async fn pass(&self, stop: CancellationToken, limits: Limits) {
        stop.cancelled().await;
        self.leaving.cancel();
        sleep(limits.linger).await;
        self.closing.cancel();
        self.requests.close();
        // Whether in time or not: the rest follows.
        let _ = timeout(limits.grace, self.requests.wait()).await;
        self.cut.cancel();
        self.connections.close();
        let _ = timeout(limits.farewell, self.connections.wait()).await;
        self.killed.cancel();
        self.connections.wait().await;
    }
}

async fn accept(listener: TcpListener, listening: Listening) {
    let (phases, listening) = (listening.phases.clone(), Arc::new(listening));
    loop {
        let accepted = tokio::select! {
            () = phases.closing.cancelled() => return,
            accepted = async {
                let place = listening.place().await;
                (place, listener.accept().await)
            } => accepted,
        };
        match accepted {
            (Some(place), Ok((stream, _))) => {
                let listening = Arc::clone(&listening);
                phases.connections.spawn(async move {
                    listening.serve(stream).await;
                    drop(place);
                });
            }
            (_, Err(error)) => {
                warn!(%error, "cannot accept a connection");
                sleep(ACCEPT_PAUSE).await;
            }
            (None, Ok(_)) => return,
        }
    }
}
