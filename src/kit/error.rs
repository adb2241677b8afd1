//! What can go wrong in a reconcile, and what follows from it.

use std::time::Duration;

use atelier_api::conditions::reasons;

use super::child::{ChildKey, ChildKind};

/// What can go wrong in a reconcile.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An object that is not ours has the name of a child. It was not touched.
    #[error("{0} exists and was not made by Atelier; rename or delete it, or rename this object")]
    NameConflict(ChildKey),
    /// The API server refused a child for what is in it: nothing changes until the spec does.
    #[error("{key} was refused by the API server ({code}): {message}")]
    Refused {
        /// Which child.
        key: ChildKey,
        /// HTTP status: 422 and 400 for what is in it, 403 for a quota or a policy.
        code: u16,
        /// What the API server said.
        message: String,
    },
    /// Somebody deletes a child again and again; it is made again later.
    #[error("somebody deletes {0} again and again; find out who and stop it")]
    Contested(ChildKey),
    /// Somebody wrote first. Look again.
    #[error("{0} changed meanwhile")]
    Stale(String),
    /// We are no longer, or not yet, the leader.
    #[error("not the leader")]
    NotLeader,
    /// The API server could not be asked, or answered with an error.
    #[error("{what}: {source}")]
    Api {
        /// What was being done.
        what: String,
        /// What went wrong.
        #[source]
        source: Box<kube::Error>,
    },
    /// An object could not be turned into JSON or back.
    #[error("cannot encode an object: {0}")]
    Encoding(#[from] serde_json::Error),
    /// A child without a name or namespace was built.
    #[error("a {0:?} without name or namespace was built; this is a defect")]
    Unnamed(ChildKind),
    /// A certificate could not be made.
    #[error("a certificate cannot be made: {0}")]
    Certificate(#[from] atelier_pki::Error),
    /// The operating system gave no random bytes.
    #[error("no random bytes from the operating system: {0}")]
    Random(String),
    /// The reconcile took too long.
    #[error("gave up after {0:?}")]
    TimedOut(Duration),
}

impl Error {
    /// An API error, with what was being done.
    pub fn api(what: impl Into<String>) -> impl FnOnce(kube::Error) -> Self {
        move |source| Self::Api {
            what: what.into(),
            source: Box::new(source),
        }
    }

    /// What became of a write on what was last seen of an object: somebody was first, or it is gone; or an API error, with
    /// what was being done.
    pub fn write(name: &str, what: impl Into<String>) -> impl FnOnce(kube::Error) -> Self {
        move |error| match status_code(&error) {
            Some(404 | 409) => Self::Stale(name.to_owned()),
            _ => Self::api(what)(error),
        }
    }

    /// The only label errors get in metrics.
    pub fn category(&self) -> &'static str {
        match self {
            Self::NameConflict(_) => "NameConflict",
            Self::Refused { .. } => "Refused",
            Self::Contested(_) => "Contested",
            Self::Stale(_) => "Stale",
            Self::NotLeader => "NotLeader",
            Self::Api { source, .. } => match status_code(source) {
                Some(403) => "Forbidden",
                Some(_) => "Api",
                None => "Transport",
            },
            Self::Encoding(_) | Self::Unnamed(_) => "Encoding",
            Self::Random(_) => "Random",
            Self::Certificate(_) => "Certificate",
            Self::TimedOut(_) => "Timeout",
        }
    }

    /// Whether somebody's help is needed: the status tells of it, and it is looked at again only rarely.
    pub fn needs_help(&self) -> bool {
        matches!(
            self,
            Self::NameConflict(_) | Self::Refused { .. } | Self::Contested(_)
        )
    }

    /// The reason that a condition gives where help is needed.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::NameConflict(_) => reasons::NAME_CONFLICT,
            Self::Contested(_) => reasons::CONTESTED,
            _ => reasons::CHILD_REFUSED,
        }
    }

    /// Whether this happens in good health, and deserves no warning.
    pub fn is_ordinary(&self) -> bool {
        matches!(self, Self::Stale(_) | Self::NotLeader)
    }
}

/// The HTTP status of an API error.
pub fn status_code(error: &kube::Error) -> Option<u16> {
    match error {
        kube::Error::Api(status) => Some(status.code),
        _ => None,
    }
}
