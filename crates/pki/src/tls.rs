//! Configurations of rustls that always use what is loaded.

use std::sync::Arc;

use rustls::client::Resumption;
use rustls::server::NoServerSessionStorage;
use rustls::server::danger::ClientCertVerifier;
use rustls::{ClientConfig, Error, ServerConfig};

use crate::reloading::Reloading;
use crate::verify::provider;

/// Serves with the certificate of `identity`; checks clients if `clients` is given. Sessions are not resumed: who
/// resumes one is not verified again, and would keep a trust that has ended.
pub fn server_config(
    identity: &Arc<Reloading>,
    clients: Option<Arc<dyn ClientCertVerifier>>,
) -> Result<ServerConfig, Error> {
    let builder = ServerConfig::builder_with_provider(provider());
    let builder = builder.with_safe_default_protocol_versions()?;
    let builder = match clients {
        Some(clients) => builder.with_client_cert_verifier(clients),
        None => builder.with_no_client_auth(),
    };
    let mut config = builder.with_cert_resolver(identity.server_identity());
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(config)
}

/// Trusts servers by the `ca.crt` of `trust`; shows the certificate of `identity` to those who ask. Sessions are not
/// resumed, for the same reason.
pub fn client_config(
    trust: &Arc<Reloading>,
    identity: Option<&Arc<Reloading>>,
) -> Result<ClientConfig, Error> {
    let builder = ClientConfig::builder_with_provider(provider());
    let builder = builder
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(trust.server_verifier());
    let mut config = match identity {
        Some(identity) => builder.with_client_cert_resolver(identity.client_identity()),
        None => builder.with_no_client_auth(),
    };
    config.resumption = Resumption::disabled();
    Ok(config)
}
