//! The public listener's certificate: as mounted, and where the gateway may watch its Secret, as it is at any moment.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use atelier_pki::{Reloading, server_config};
use k8s_openapi::{ByteString, api::core::v1::Secret};
use rustls::crypto::aws_lc_rs::Ticketer;
use tokio::time::{MissedTickBehavior, interval, sleep};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use crate::{
    connection::{H2, HTTP_1_1},
    logging::chain,
    policy::watch::client,
};

/// How often the mounted certificate is looked at. The kubelet changes it at most once a minute.
const EVERY: Duration = Duration::from_secs(1);

/// How long the API server may be silent: longer than it leaves the watch of a certificate open.
const READ_TIMEOUT: Duration = Duration::from_secs(75);

/// How long to wait where no client can be built.
const PAUSE: Duration = Duration::from_secs(5);

/// What a certificate consists of: itself, its key, and who has signed it.
const FILES: [&str; 3] = ["tls.crt", "tls.key", "ca.crt"];

/// Where the kubelet lets a mounted Secret begin: a link that it changes in one step.
const DATA: &str = "..data";

/// TLS 1.2 and 1.3 for the public, HTTP/2 among what is spoken on it. A client may resume a session: nothing was
/// verified of it that could end.
///
/// # Errors
/// The cryptography refuses, which no input can cause.
pub fn acceptor(certificate: &Arc<Reloading>) -> Result<TlsAcceptor, rustls::Error> {
    let mut config = server_config(certificate, None)?;
    config.alpn_protocols = vec![H2.to_vec(), HTTP_1_1.to_vec()];
    // The state of a session stands in its ticket, under keys of this process: idle clients cost no memory.
    config.ticketer = Ticketer::new()?;
    config.send_tls13_tickets = 1;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// Watches the certificate's Secret forever.
pub async fn watch(namespace: &str, certificate: &Reloading) {
    loop {
        match client(READ_TIMEOUT) {
            Ok(client) => {
                let never = CancellationToken::new();
                certificate.follow(client, namespace, never).await;
            }
            Err(error) => {
                let error = chain(&error);
                tracing::warn!(error, "the certificate cannot be watched yet");
            }
        }
        sleep(PAUSE).await;
    }
}

/// Follows the certificate mounted at `dir` until a watch has delivered one, or else forever.
pub async fn follow(dir: &Path, certificate: &Reloading) {
    let mut seen = None;
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // A mounted Secret lags behind its watch: what was replaced must not come back.
    while !certificate.is_watched() {
        ticks.tick().await;
        let read = read(dir).map_err(|error| error.kind());
        if seen.as_ref() == Some(&read) {
            continue;
        }
        match &read {
            Ok(data) => certificate.offer_copy(&Secret {
                data: Some(data.clone()),
                ..Secret::default()
            }),
            Err(error) => {
                tracing::warn!(%error, dir = %dir.display(), "the mounted certificate cannot be read (yet)");
            }
        }
        seen = Some(read);
    }
}

/// Reads the files, all of one moment. Fails if there is not even a certificate.
fn read(dir: &Path) -> io::Result<BTreeMap<String, ByteString>> {
    let at = moment(dir)?;
    let mut data = BTreeMap::new();
    for name in FILES {
        match fs::read(at.join(name)) {
            Ok(content) => {
                data.insert(name.to_owned(), ByteString(content));
            }
            // Who has signed need not be told; what lacks else is for the loader to say.
            Err(error) if error.kind() == io::ErrorKind::NotFound && !data.is_empty() => {}
            Err(error) => return Err(error),
        }
    }
    Ok(data)
}

fn moment(dir: &Path) -> io::Result<PathBuf> {
    match fs::read_link(dir.join(DATA)) {
        Ok(to) => Ok(dir.join(to)),
        // Not mounted by a kubelet.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(dir.to_owned()),
        Err(error) => Err(error),
    }
}
