//! What can go wrong with an object.

use crate::{connect::ConfigError, format::FormatError, keys::KeyError};

/// What can go wrong with an object, and what to do about it. Never holds a key or a credential.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nothing could be asked.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Nobody answers.
    #[error(
        "{endpoint} does not answer: {reason}; check the address, that the server runs, and that network policies let \
         us reach it"
    )]
    Unreachable {
        /// Whom we asked.
        endpoint: String,
        /// What happened.
        reason: String,
    },
    /// Somebody answers, and we do not know them.
    #[error(
        "{endpoint} shows a certificate that is not trusted: {reason}; give the CA bundle that signs it"
    )]
    Untrusted {
        /// Whom we asked.
        endpoint: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The credential is not known there.
    #[error("{endpoint} does not accept the credential; put the right one in the Secret")]
    WrongCredential {
        /// Whom we asked.
        endpoint: String,
    },
    /// The credential is known, and not allowed to.
    #[error(
        "{endpoint} does not allow the credential this on {bucket}; let it list, read, write and delete objects"
    )]
    Forbidden {
        /// Whom we asked.
        endpoint: String,
        /// Where.
        bucket: String,
    },
    /// There is no bucket.
    #[error("{endpoint} has no bucket {bucket}; make it, or name one that exists")]
    NoBucket {
        /// Whom we asked.
        endpoint: String,
        /// What we asked for.
        bucket: String,
    },
    /// There is no such object.
    #[error("there is no object {0}")]
    NotFound(String),
    /// A name that no object can have.
    #[error("{0:?} is no name of an object: {1}")]
    Name(String, String),
    /// A part that the object does not have.
    #[error("object {path} has {len} bytes, not all of {from}..{to}")]
    Range {
        /// The object.
        path: String,
        /// Its length.
        len: u64,
        /// From where.
        from: u64,
        /// To where.
        to: u64,
    },
    /// It was replaced again and again while we read it.
    #[error("object {0} was replaced while it was read; try again")]
    Replaced(String),
    /// More than one object can hold.
    #[error(
        "object {0} is longer than 80 GiB, which 10,000 parts of 8 MiB hold; write it as several"
    )]
    TooLong(String),
    /// What is there is not what was written. Nothing that is wrong was handed out.
    #[error("object {path} is not to be believed: {reason}")]
    Damaged {
        /// The object.
        path: String,
        /// What is wrong with it.
        #[source]
        reason: FormatError,
    },
    /// There is no key for it.
    #[error("object {path} cannot be encrypted or decrypted: {reason}")]
    Key {
        /// The object.
        path: String,
        /// Why.
        #[source]
        reason: KeyError,
    },
    /// The content that was to be written could not be read to its end. Nothing was written.
    #[error("the content of {path} ended with an error, and nothing was written: {reason}")]
    Content {
        /// The object.
        path: String,
        /// What happened.
        #[source]
        reason: std::io::Error,
    },
    /// Anything else.
    #[error("{endpoint}: {reason}")]
    Other {
        /// Whom we asked.
        endpoint: String,
        /// What it said.
        reason: String,
    },
}
