//! Reads PEM, and verifies certificates as a peer would.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use jiff::Timestamp;
use rustls::RootCertStore;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::sign::CertifiedKey;

use crate::config::{Leaf, Purpose};
use crate::error::Error;

static PROVIDER: LazyLock<Arc<CryptoProvider>> =
    LazyLock::new(|| Arc::new(aws_lc_rs::default_provider()));

/// The one provider of cryptography, whatever the process has installed.
pub fn provider() -> Arc<CryptoProvider> {
    PROVIDER.clone()
}

/// The authorities of a bundle; at least one.
pub fn roots(pem: &[u8]) -> Result<Arc<RootCertStore>, Error> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates("ca.crt", pem)? {
        roots.add(certificate)?;
    }
    Ok(Arc::new(roots))
}

/// The certificates of a PEM; at least one.
pub fn certificates(what: &'static str, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, Error> {
    let all = CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>();
    let all = all.map_err(|error| Error::Pem(what, error.to_string()))?;
    if all.is_empty() {
        return Err(Error::Missing(what));
    }
    Ok(all)
}

/// A certificate with its key. Fails if they do not belong together.
pub fn pair(certificate: &[u8], key: &[u8]) -> Result<CertifiedKey, Error> {
    let chain = certificates("the certificate", certificate)?;
    // The reason could quote what was found where a key should be.
    let key = PrivateKeyDer::from_pem_slice(key)
        .map_err(|_| Error::Pem("the key", "it cannot be read".into()))?;
    Ok(CertifiedKey::from_der(chain, key, &PROVIDER)?)
}

/// Verifies servers.
pub fn server_verifier(roots: Arc<RootCertStore>) -> Result<Arc<dyn ServerCertVerifier>, Error> {
    let verifier = WebPkiServerVerifier::builder_with_provider(roots, provider()).build();
    Ok(verifier.map_err(|error| Error::Other(error.to_string()))?)
}

/// Verifies clients.
pub fn client_verifier(roots: Arc<RootCertStore>) -> Result<Arc<dyn ClientCertVerifier>, Error> {
    let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider()).build();
    verifier.map_err(|error| Error::Other(error.to_string()))
}

/// Fails unless a peer with these roots would accept the certificate, at that moment and for every name.
pub fn accepted(
    pair: &CertifiedKey,
    leaf: &Leaf,
    roots: &Arc<RootCertStore>,
    at: Timestamp,
) -> Result<(), Error> {
    let seconds = u64::try_from(at.as_second()).unwrap_or_default();
    let at = UnixTime::since_unix_epoch(Duration::from_secs(seconds));
    let (end, rest) = pair
        .cert
        .split_first()
        .ok_or(Error::Missing("the certificate"))?;
    match leaf.purpose {
        Purpose::Server => {
            let verifier = server_verifier(roots.clone())?;
            for name in server_names(leaf)? {
                verifier.verify_server_cert(end, rest, &name, &[], at)?;
            }
        }
        Purpose::Client => {
            client_verifier(roots.clone())?.verify_client_cert(end, rest, at)?;
        }
    }
    Ok(())
}

fn server_names(leaf: &Leaf) -> Result<Vec<ServerName<'static>>, Error> {
    let dns = leaf.dns_names.iter().map(|name| {
        // A verifier asks for a name that the wildcard stands for.
        let name = name.replacen('*', "any", 1);
        ServerName::try_from(name.clone()).map_err(|_| Error::Other(format!("{name} is no name")))
    });
    let ips = leaf.ips.iter().map(|ip| Ok(ServerName::from(*ip)));
    dns.chain(ips).collect()
}
