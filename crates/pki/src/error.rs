//! What can go wrong.

use std::time::Duration;

/// What can go wrong with keys, certificates and the Secrets that hold them. Never says what is in a key.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A certificate could not be made, or a key not read.
    #[error("cannot make a certificate: {0}")]
    Make(#[from] rcgen::Error),
    /// A certificate or key is not what it should be.
    #[error("not usable: {0}")]
    Tls(#[from] rustls::Error),
    /// Something is not PEM, or PEM of something else.
    #[error("{0} is no PEM: {1}")]
    Pem(&'static str, String),
    /// A part is missing.
    #[error("{0} is missing")]
    Missing(&'static str),
    /// A name that no certificate can carry, or a verifier that cannot be built.
    #[error("{0}")]
    Other(String),
    /// Something is not the JSON that it should be.
    #[error("not readable: {0}")]
    Json(#[from] serde_json::Error),
    /// The API server could not be asked, or answered with an error.
    #[error("{0}")]
    Api(#[source] Box<kube::Error>),
    /// The API server did not answer.
    #[error("no answer within {0:?}")]
    TimedOut(Duration),
}

impl From<kube::Error> for Error {
    fn from(error: kube::Error) -> Self {
        Self::Api(Box::new(error))
    }
}

impl Error {
    /// Whether the object was no longer what the write was decided on: look again.
    pub(crate) fn is_stale(&self) -> bool {
        matches!(self, Self::Api(error)
            if matches!(&**error, kube::Error::Api(status) if matches!(status.code, 404 | 409)))
    }
}

/// Periods that cannot be kept together.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PeriodsError {
    /// A server that has not yet read its new certificate would serve one that has expired.
    #[error(
        "a certificate is renewed after two thirds of its life: the last third must be longer than the overlap"
    )]
    LeafTooShort,
    /// The next rotation would begin before the last one is over.
    #[error("a rotation takes two overlaps: rotations must be further apart")]
    RotationTooOften,
    /// The authority would expire while certificates of it are in use.
    #[error(
        "an authority must live longer than from one rotation to the next, a certificate's life and three overlaps"
    )]
    AuthorityTooShort,
}
