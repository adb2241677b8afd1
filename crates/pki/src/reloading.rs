//! The reading side: a certificate, its key and whom to trust, always as the Secret has them.

mod named;
mod traits;

use std::fmt::{self, Debug, Formatter};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwapOption;
use futures::StreamExt as _;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use kube::{Api, Client};
use rustls::client::ResolvesClientCert;
use rustls::client::danger::ServerCertVerifier;
use rustls::server::ResolvesServerCert;
use rustls::server::danger::ClientCertVerifier;
use rustls::sign::CertifiedKey;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::error::Error;
use crate::inspect::Inspected;
use crate::leaf::{BUNDLE, CERTIFICATE, KEY, entry};
use crate::verify;
use named::Named;

/// What a Secret of a certificate holds, for as long as [`Reloading::follow`] runs always the latest that is usable.
/// Every handshake uses what is there when it begins; connections that stand are left alone.
pub struct Reloading {
    secret: String,
    demand: Demand,
    loaded: ArcSwapOption<Loaded>,
    generation: AtomicU64,
    /// Whether the Secret itself was ever seen. Held while something is taken over.
    watched: Mutex<bool>,
    ready: watch::Sender<bool>,
}

/// What a certificate has to be, beside one that can be served.
#[derive(Clone, Debug)]
enum Demand {
    /// Nothing: whoever makes it knows what for.
    None,
    /// For this name, if there is one, and not over if there is another.
    Good(Option<String>),
}

struct Loaded {
    raw: [Option<Vec<u8>>; 3],
    pair: Arc<CertifiedKey>,
    trust: Option<Trust>,
}

struct Trust {
    servers: Arc<dyn ServerCertVerifier>,
    clients: Arc<dyn ClientCertVerifier>,
}

impl Debug for Reloading {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reloading")
            .field("secret", &self.secret)
            .finish_non_exhaustive()
    }
}

impl Reloading {
    /// Nothing loaded yet. `secret` is the Secret's name.
    pub fn new(secret: impl Into<String>) -> Arc<Self> {
        Self::with(secret.into(), Demand::None)
    }

    /// The same, for a certificate that somebody else makes, who may err: one that is over does not replace another,
    /// nor does one that is not for this name, if there is one.
    pub fn of_others(secret: impl Into<String>, name: Option<String>) -> Arc<Self> {
        Self::with(secret.into(), Demand::Good(name))
    }

    fn with(secret: String, demand: Demand) -> Arc<Self> {
        Arc::new(Self {
            secret,
            demand,
            loaded: ArcSwapOption::empty(),
            generation: AtomicU64::new(0),
            watched: Mutex::new(false),
            ready: watch::Sender::new(false),
        })
    }

    /// Watches the Secret until `stop`, through every outage.
    pub async fn follow(&self, client: Client, namespace: &str, stop: CancellationToken) {
        let api: Api<Secret> = Api::namespaced(client, namespace);
        let changes = crate::watch::named(api, &self.secret);
        let mut changes = std::pin::pin!(changes.take_until(stop.cancelled_owned()));
        while let Some(secret) = changes.next().await {
            let name = &self.secret;
            match secret {
                Some(secret) => {
                    let mut watched = self.lock();
                    *watched = true;
                    self.take_over(&secret);
                }
                None if self.is_ready() => {
                    warn!(name, "the Secret is gone; what was in it is used on");
                }
                None => info!(name, "the Secret does not exist yet"),
            }
        }
    }

    /// Whether [`Self::follow`] has ever seen the Secret.
    pub fn is_watched(&self) -> bool {
        *self.lock()
    }

    /// Takes a Secret over if it is usable, and else keeps what there is. `ca.crt` may be absent: then nobody is
    /// trusted.
    pub fn offer(&self, secret: &Secret) {
        let _one_at_a_time = self.lock();
        self.take_over(secret);
    }

    /// The same with a copy of the Secret, which may lag behind: once [`Self::follow`] has seen the Secret itself, no
    /// copy is taken over any more.
    pub fn offer_copy(&self, secret: &Secret) {
        let watched = self.lock();
        if !*watched {
            self.take_over(secret);
        }
    }

    fn lock(&self) -> MutexGuard<'_, bool> {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take_over(&self, secret: &Secret) {
        let raw = [CERTIFICATE, KEY, BUNDLE].map(|key| entry(secret, key).map(<[u8]>::to_vec));
        if self.loaded.load().as_ref().is_some_and(|l| l.raw == raw) {
            return;
        }
        let name = &self.secret;
        let loaded = self.meets_demand(secret).and_then(|()| load(raw));
        match loaded {
            Ok(loaded) => {
                self.loaded.store(Some(Arc::new(loaded)));
                self.generation.fetch_add(1, Ordering::SeqCst);
                self.ready.send_replace(true);
                info!(name, "certificate loaded");
            }
            Err(error) => {
                warn!(name, %error, "the new certificate is refused; the old one is used on")
            }
        }
    }

    fn meets_demand(&self, secret: &Secret) -> Result<(), Error> {
        let Demand::Good(name) = &self.demand else {
            return Ok(());
        };
        let certificate = Inspected::of(secret)?;
        if let Some(name) = name {
            certificate.is_for(name)?;
        }
        // Better one that is over than none: who does not mind is served.
        if self.is_ready() && Timestamp::now() > certificate.not_after {
            return Err(Error::Other(format!(
                "it is over since {}",
                certificate.not_after
            )));
        }
        Ok(())
    }

    /// Whether there is a certificate.
    pub fn is_ready(&self) -> bool {
        *self.ready.borrow()
    }

    /// Another number each time that something else was loaded. Who keeps connections open makes them anew then: the
    /// other side may judge for each request by what was shown when the connection began.
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::SeqCst)
    }

    /// Waits until there is a certificate.
    pub async fn ready(&self) {
        // The sender is `self`, so it cannot be gone.
        let _ = self.ready.subscribe().wait_for(|ready| *ready).await;
    }

    /// The certificate, to serve with.
    pub fn server_identity(self: &Arc<Self>) -> Arc<dyn ResolvesServerCert> {
        self.clone()
    }

    /// The certificate, to show to servers.
    pub fn client_identity(self: &Arc<Self>) -> Arc<dyn ResolvesClientCert> {
        self.clone()
    }

    /// Verifies servers by `ca.crt`.
    pub fn server_verifier(self: &Arc<Self>) -> Arc<dyn ServerCertVerifier> {
        self.clone()
    }

    /// Verifies clients by `ca.crt`. A client without a certificate is refused.
    pub fn client_verifier(self: &Arc<Self>) -> Arc<dyn ClientCertVerifier> {
        self.clone()
    }

    /// The same, and of the clients only that of this DNS name: others have certificates of the same authority.
    pub fn client_verifier_for(
        self: &Arc<Self>,
        name: &str,
    ) -> Result<Arc<dyn ClientCertVerifier>, Error> {
        Named::new(self.client_verifier(), name).map(|named| Arc::new(named) as _)
    }

    fn pair(&self) -> Option<Arc<CertifiedKey>> {
        self.loaded
            .load()
            .as_ref()
            .map(|loaded| loaded.pair.clone())
    }
}

fn load(raw: [Option<Vec<u8>>; 3]) -> Result<Loaded, Error> {
    let [certificate, key, bundle] = &raw;
    let certificate = certificate.as_deref().ok_or(Error::Missing(CERTIFICATE))?;
    let key = key.as_deref().ok_or(Error::Missing(KEY))?;
    let pair = Arc::new(verify::pair(certificate, key)?);
    // cert-manager leaves it empty where an issuer has no authority to tell.
    let trust = match bundle.as_deref().filter(|bundle| !bundle.is_empty()) {
        None => None,
        Some(bundle) => {
            let roots = verify::roots(bundle)?;
            Some(Trust {
                servers: verify::server_verifier(roots.clone())?,
                clients: verify::client_verifier(roots)?,
            })
        }
    };
    Ok(Loaded { raw, pair, trust })
}

#[cfg(test)]
#[path = "reloading/tests.rs"]
mod tests;
