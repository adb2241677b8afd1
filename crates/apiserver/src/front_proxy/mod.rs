//! The API server as a proxy in front of us: who it is, and what it may say.

mod follow;
mod name;
mod trust;

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use http::HeaderMap;
use rustls::pki_types::CertificateDer;
use tokio_util::sync::CancellationToken;

use crate::caller::Caller;
use trust::Trust;

/// Whom the cluster trusts to say who asks. Shared by all connections; changes with the cluster's configuration.
#[derive(Clone, Default)]
pub struct FrontProxy {
    trust: Arc<ArcSwapOption<Trust>>,
    known: CancellationToken,
}

impl FrontProxy {
    /// Trusts nobody until it has been told.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Completes once the cluster's configuration has been read.
    pub async fn known(&self) {
        self.known.cancelled().await;
    }

    /// Whether the cluster's configuration has been read.
    #[must_use]
    pub fn is_known(&self) -> bool {
        self.known.is_cancelled()
    }

    /// Whether this is the certificate of a front proxy, as the cluster is configured at this moment.
    pub(crate) fn vouches(&self, chain: &[CertificateDer<'_>]) -> bool {
        self.trust.load().as_ref().is_some_and(|t| t.vouches(chain))
    }

    /// Who asks, if the certificate is that of a front proxy. Judged anew for each request: a connection does not
    /// outlive the trust in whoever opened it.
    pub(crate) fn caller(
        &self,
        chain: &[CertificateDer<'_>],
        headers: &HeaderMap,
    ) -> Option<Caller> {
        let trust = self.trust.load();
        let trust = trust.as_ref()?;
        trust
            .vouches(chain)
            .then(|| trust.headers.caller(headers))
            .flatten()
    }

    /// Takes out of a header all that a front proxy says in it.
    pub(crate) fn strip(&self, headers: &mut HeaderMap) {
        if let Some(trust) = self.trust.load().as_ref() {
            trust.headers.remove_from(headers);
        }
    }

    fn set(&self, trust: Trust) {
        self.trust.store(Some(Arc::new(trust)));
        self.known.cancel();
    }
}
