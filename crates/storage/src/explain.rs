//! What an object store's error means for whoever has to do something about it.

use std::{error::Error as StdError, io};

use object_store::client::{HttpError, HttpErrorKind};

use crate::{Error, connect::Backend};

/// By S3 and Google, and by Azure.
const NO_BUCKET: [&str; 2] = ["NoSuchBucket", "ContainerNotFound"];
/// S3 and Azure answer 403 to this as to what is not allowed; only the code tells.
const WRONG_CREDENTIAL: [&str; 3] = [
    "InvalidAccessKeyId",
    "SignatureDoesNotMatch",
    "AuthenticationFailed",
];
/// Answers are shown so far.
const SHOWN: usize = 300;

/// Says what an error means.
pub(crate) fn explain(error: object_store::Error, backend: &Backend, path: &str) -> Error {
    let endpoint = backend.endpoint.clone();
    let bucket = backend.bucket.clone();
    if let Some(reason) = certificate(&error) {
        return Error::Untrusted { endpoint, reason };
    }
    let said = error.to_string();
    if is_unreachable(&error) {
        return Error::Unreachable {
            endpoint,
            reason: last_reason(&error),
        };
    }
    // As elements of the answer: an object may be called like one of them.
    let answers = |code: &str| said.contains(&format!("<Code>{code}</Code>"));
    if NO_BUCKET.into_iter().any(answers) {
        return Error::NoBucket { endpoint, bucket };
    }
    if WRONG_CREDENTIAL.into_iter().any(answers) || said.contains("\"invalid_grant\"") {
        return Error::WrongCredential { endpoint };
    }
    match error {
        object_store::Error::Unauthenticated { .. } => Error::WrongCredential { endpoint },
        object_store::Error::PermissionDenied { .. } => Error::Forbidden { endpoint, bucket },
        object_store::Error::NotFound { .. } => Error::NotFound(path.to_owned()),
        object_store::Error::Precondition { .. } => Error::Replaced(path.to_owned()),
        object_store::Error::InvalidPath { source } => {
            Error::Name(path.to_owned(), source.to_string())
        }
        _ => Error::Other {
            endpoint,
            reason: said.chars().take(SHOWN).collect(),
        },
    }
}

/// All that an error came from. An `io::Error` hides what it wraps.
fn causes<'a>(
    error: &'a (dyn StdError + 'static),
) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |&error| {
        match error
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref)
        {
            Some(inner) => Some(inner as &(dyn StdError + 'static)),
            None => error.source(),
        }
    })
}

fn certificate(error: &(dyn StdError + 'static)) -> Option<String> {
    causes(error).find_map(|cause| match cause.downcast_ref::<rustls::Error>() {
        Some(rustls::Error::InvalidCertificate(reason)) => Some(reason.to_string()),
        _ => None,
    })
}

fn is_unreachable(error: &(dyn StdError + 'static)) -> bool {
    causes(error).any(|cause| {
        cause.downcast_ref::<HttpError>().is_some_and(|http| {
            matches!(
                http.kind(),
                HttpErrorKind::Connect | HttpErrorKind::Timeout | HttpErrorKind::Interrupted
            )
        })
    })
}

/// The innermost says it best: "Connection refused", "deadline has elapsed".
fn last_reason(error: &(dyn StdError + 'static)) -> String {
    causes(error)
        .last()
        .map_or_else(String::new, ToString::to_string)
}
