//! The operator's way in, for callers that the cluster's API server has let in.
//!
//! TLS both ways, by the installation's own authority. Of the certificates that this has signed only the operator's is
//! let in: every gateway has one too. Who the caller is says the operator, in a header that is believed here and
//! nowhere else. Everything after that is the way of every request.

use std::{net::SocketAddr, sync::Arc};

use atelier_pki::{Reloading, server_config};
use http::{Request, Response};
use hyper::body::Incoming;
use rustls::{pki_types::UnixTime, server::danger::ClientCertVerifier};
use thiserror::Error;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::{
    args::Args,
    body::ReplyBody,
    lifecycle::Lifecycle,
    proxy::{Gateway, Origin},
    server::{Handler, Peer, ServerLimits, serve},
};

/// Why there cannot be such a listener.
#[derive(Debug, Error)]
pub enum InternalError {
    /// The name is none.
    #[error("--internal-client: {0}")]
    Client(#[from] atelier_pki::Error),
    /// TLS cannot be set up.
    #[error("TLS cannot be set up")]
    Tls(#[from] rustls::Error),
}

/// The operator's way in.
#[derive(Clone)]
pub struct Internal {
    clients: Arc<dyn ClientCertVerifier>,
    tls: TlsAcceptor,
}

impl Internal {
    /// What the arguments ask for, and where to listen. `certificate` is that of the Secret which they name.
    ///
    /// # Errors
    /// As [`Internal::new`].
    pub fn from_args(
        args: &Args,
        certificate: Option<Arc<Reloading>>,
    ) -> Result<Option<(SocketAddr, Self)>, InternalError> {
        let asked = args.internal_listen.zip(certificate);
        let Some(((address, certificate), client)) = asked.zip(args.internal_client.as_ref())
        else {
            return Ok(None);
        };
        Ok(Some((address, Self::new(certificate, client)?)))
    }

    /// Serves with this certificate whoever shows one of this DNS name.
    ///
    /// # Errors
    /// [`InternalError`], none of which a cluster can cause.
    pub fn new(certificate: Arc<Reloading>, client: &str) -> Result<Self, InternalError> {
        let clients = certificate.client_verifier_for(client)?;
        let config = server_config(&certificate, Some(Arc::clone(&clients)))?;
        Ok(Self {
            clients,
            tls: TlsAcceptor::from(Arc::new(config)),
        })
    }

    /// Serves until the lifecycle closes. Without a certificate no handshake succeeds.
    pub async fn serve(
        self,
        listener: TcpListener,
        limits: ServerLimits,
        lifecycle: Lifecycle,
        gateway: Arc<Gateway>,
    ) {
        let tls = self.tls.clone();
        let entrance = Entrance {
            clients: self.clients,
            gateway,
        };
        serve(listener, Some(tls), limits, lifecycle, Arc::new(entrance)).await;
    }
}

struct Entrance {
    clients: Arc<dyn ClientCertVerifier>,
    gateway: Arc<Gateway>,
}

impl Entrance {
    /// Judged for each request: a connection does not outlive the trust in whoever opened it.
    fn origin(&self, peer: Option<&Peer>) -> Origin {
        let judged = peer
            .and_then(|peer| peer.0.split_first())
            .map(|(end, rest)| self.clients.verify_client_cert(end, rest, UnixTime::now()));
        match judged {
            Some(Ok(_)) => Origin::Operator,
            _ => Origin::Stranger,
        }
    }
}

impl Handler for Entrance {
    async fn handle(&self, request: Request<Incoming>) -> Response<ReplyBody> {
        let origin = self.origin(request.extensions().get());
        self.gateway.answer(origin, request).await
    }

    fn failed(&self, error: &hyper::Error) {
        self.gateway.unreadable(error);
    }
}
