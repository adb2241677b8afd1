//! The service's own storage: where Atelier itself keeps what is nobody's team's, encrypted as a workspace's objects are
//! (docs/design/storage.md). The chart brings its server, or says which store is brought.
//!
//! Whoever leads makes the server's key and the ring, and finds out by doing it whether the storage works. How that is,
//! is told by a metric, and by the log when it changes.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use atelier_api::conditions::reasons;
use atelier_api::v1alpha1::StorageType;
use atelier_pki::Leaf;
use atelier_storage::keys::{KeyError, KeyRing, KeySource};
use atelier_storage::{Connection, Place, Trust};
use futures::future::BoxFuture;
use futures::{FutureExt as _, StreamExt as _};
use k8s_openapi::ByteString;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use crate::ctx::Ctx;
use crate::kit::Error;
use crate::workspace::storage::probes::{FIRST, after};
use crate::workspace::storage::{
    LONGEST, Problem, Trouble, connect, embedded, opened, rings, stored, tried,
};

/// The Service of the chart's server, and the Secret with its access key.
const SERVER: &str = "atelier-service-storage";
/// The Secret with its certificate.
const CERTIFICATE: &str = "atelier-service-storage-tls";
/// What the installation says of it.
#[derive(Clone, Debug)]
pub struct Wish {
    /// Where it is.
    pub place: Place,
    /// The Secret, in our own namespace, with its credential.
    pub secret: String,
    /// Who signs the certificate of a store that is brought; without it, the public authorities.
    pub authorities: Option<String>,
}

/// The certificate of the chart's server, if that is what there is.
pub fn certificate(place: Option<&Place>, namespace: &str) -> Option<Leaf> {
    let own = matches!(place, Some(Place::Embedded { .. }));
    own.then(|| Leaf::of_service(CERTIFICATE.to_owned(), SERVER, namespace))
}

/// Tries it again and again while this replica leads, until `stop`.
pub async fn run(ctx: Arc<Ctx>, wish: Wish, every: Duration, stop: CancellationToken) {
    let mut leads = pin!(ctx.claim.became_leader());
    let (mut wait, mut failures) = (Duration::ZERO, 0);
    let mut known: Option<&'static str> = None;
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            Some(()) = leads.next() => failures = 0,
            () = tokio::time::sleep(wait) => {}
        }
        wait = every;
        if ctx.claim.check().is_err() {
            // Whoever leads tells.
            known = None;
            ctx.metrics.service_storage(None);
            continue;
        }
        let limit = LONGEST * 2;
        let found = tokio::time::timeout(limit, try_out(&wish, &ctx)).await;
        let (reason, message) = match found.unwrap_or(Err(Error::TimedOut(limit).into())) {
            Ok(()) => (reasons::PROBED, String::new()),
            Err(Trouble::Problem(problem)) => (problem.reason, problem.message),
            Err(Trouble::Untried(why)) => {
                debug!(%why, "the service's own storage could not be tried");
                wait = FIRST;
                continue;
            }
        };
        failures = if reason == reasons::PROBED {
            0
        } else {
            failures + 1
        };
        wait = after(failures, every);
        ctx.metrics.service_storage(Some(reason));
        if known.replace(reason) != Some(reason) {
            match reason {
                reasons::PROBED => info!(
                    endpoint = wish.place.endpoint(),
                    "the service's own storage works"
                ),
                _ => warn!(
                    reason,
                    message, "the service's own storage does not work; trying again"
                ),
            }
        }
    }
}

/// Makes what it takes, and encrypts, writes, reads and deletes a small object.
async fn try_out(wish: &Wish, ctx: &Arc<Ctx>) -> Result<(), Trouble> {
    let own = matches!(wish.place, Place::Embedded { .. });
    if own {
        access_key(wish, ctx).await?;
    }
    let namespace = &ctx.settings.namespace;
    let values = connect::read(ctx, namespace, &wish.secret).await?;
    let connection = Connection {
        credential: connect::credential(type_of(&wish.place), &wish.secret, &values)?,
        place: wish.place.clone(),
        trust: trust(wish, ctx)?,
        limits: connect::LIMITS,
    };
    let keys = Arc::new(Kept(ctx.clone()));
    let store = opened(&connection, rings::service::owner(), keys, LONGEST)?;
    rings::service::make(ctx, &store).await?;
    Ok(tried(&store).await?)
}

/// Sees that the chart's server has an access key: one that is there is left as it is.
async fn access_key(wish: &Wish, ctx: &Ctx) -> Result<(), Trouble> {
    let stored = stored::Stored::read(ctx, &wish.secret).await?;
    let mut entries = stored.entries();
    let any = entries
        .iter()
        .any(|(id, secret)| embedded::is_key(id, secret.0.len()));
    if any {
        return Ok(());
    }
    let (id, secret) = embedded::new_key()?;
    entries.insert(id, ByteString(secret));
    // Whoever was first has made one, too.
    stored.put(ctx, entries).await.map(drop)
}

/// Who vouches for the server: of the chart's, our own authority.
fn trust(wish: &Wish, ctx: &Ctx) -> Result<Trust, Problem> {
    if !matches!(wish.place, Place::Embedded { .. }) {
        let authorities = wish.authorities.clone();
        return Ok(authorities.map_or(Trust::Public, Trust::Bundle));
    }
    connect::own_authority(ctx)
}

fn type_of(place: &Place) -> StorageType {
    match place {
        Place::Embedded { .. } => StorageType::Embedded,
        Place::S3 { .. } => StorageType::S3,
        Place::AzureBlob { .. } => StorageType::AzureBlob,
        Place::Gcs { .. } => StorageType::Gcs,
    }
}

/// The service's ring, read whenever it is asked for.
struct Kept(Arc<Ctx>);

impl KeySource for Kept {
    fn fetch(&self) -> BoxFuture<'_, Result<KeyRing, KeyError>> {
        async {
            let ring = rings::service::kept(&self.0).await;
            ring.map_err(|trouble| KeyError::Unavailable(trouble.to_string()))
        }
        .boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_server_of_the_charts_gets_a_certificate_of_ours() {
        let place = |json: &str| serde_json::from_str::<Place>(json).expect("a place");
        let own =
            place(r#"{"type":"Embedded","endpoint":"https://s.n.svc:9000","bucket":"service"}"#);
        let leaf = certificate(Some(&own), "n").expect("a certificate");
        assert_eq!(leaf.secret_name, CERTIFICATE);
        assert!(leaf.dns_names.iter().any(|name| name.starts_with(SERVER)));
        let brought = place(r#"{"type":"S3","region":"r","bucket":"b"}"#);
        assert!(certificate(Some(&brought), "n").is_none() && certificate(None, "n").is_none());
    }
}
