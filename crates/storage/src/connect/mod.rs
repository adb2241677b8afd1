//! What it takes to reach somebody's object store.

mod build;
mod endpoint;
#[cfg(test)]
mod tests;

use std::{fmt, time::Duration};

pub(crate) use build::{Backend, build};
use serde::Deserialize;
use zeroize::Zeroizing;

/// Google's public endpoint.
const GOOGLE: &str = "https://storage.googleapis.com";

/// Where objects are.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(tag = "type", rename_all_fields = "camelCase", deny_unknown_fields)]
pub enum Place {
    /// The workspace's own S3 server.
    Embedded {
        /// Its URL, such as `https://storage.team.svc:9000`.
        endpoint: String,
        /// Its bucket.
        bucket: String,
    },
    /// S3, of Amazon or of anybody else.
    S3 {
        /// URL of anybody else's.
        endpoint: Option<String>,
        /// The region that requests are signed for; many others accept any, such as `us-east-1`.
        region: String,
        /// The bucket. Has to be there.
        bucket: String,
        /// What the keys of all objects begin with.
        prefix: Option<String>,
    },
    /// Azure Blob Storage.
    AzureBlob {
        /// URL, where it is not that of the account in the public cloud. Its path may be the account's name, as servers
        /// have it that know an account by that and not by the host.
        endpoint: Option<String>,
        /// The storage account.
        account: String,
        /// The container. Has to be there.
        container: String,
        /// What the names of all blobs begin with.
        prefix: Option<String>,
    },
    /// Google Cloud Storage.
    Gcs {
        /// URL, where it is not Google's public one.
        endpoint: Option<String>,
        /// The bucket. Has to be there.
        bucket: String,
        /// What the names of all objects begin with.
        prefix: Option<String>,
    },
}

impl Place {
    /// URL of the server.
    pub fn endpoint(&self) -> String {
        match self {
            Self::Embedded { endpoint, .. }
            | Self::S3 {
                endpoint: Some(endpoint),
                ..
            }
            | Self::AzureBlob {
                endpoint: Some(endpoint),
                ..
            }
            | Self::Gcs {
                endpoint: Some(endpoint),
                ..
            } => endpoint.clone(),
            Self::S3 { bucket, .. } => format!("https://{bucket}.s3.amazonaws.com"),
            Self::AzureBlob { account, .. } => format!("https://{account}.blob.core.windows.net"),
            Self::Gcs { .. } => GOOGLE.into(),
        }
    }

    /// The bucket, or container.
    pub fn bucket(&self) -> &str {
        match self {
            Self::Embedded { bucket, .. } | Self::S3 { bucket, .. } | Self::Gcs { bucket, .. } => {
                bucket
            }
            Self::AzureBlob { container, .. } => container,
        }
    }
}

/// By what right. Never shown, and gone from memory when it is dropped.
#[derive(Clone)]
pub enum Credential {
    /// For S3.
    AccessKey {
        /// The id, which is no secret.
        id: String,
        /// The secret.
        secret: Zeroizing<String>,
    },
    /// For Azure: the account's key, base64.
    AccountKey(Zeroizing<String>),
    /// For Google: a service account's key file, JSON.
    ServiceAccount(Zeroizing<String>),
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AccessKey { .. } => "AccessKey(…)",
            Self::AccountKey(_) => "AccountKey(…)",
            Self::ServiceAccount(_) => "ServiceAccount(…)",
        })
    }
}

/// Who may sign the server's certificate.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Trust {
    /// The public authorities, as Mozilla lists them. In the program, since its image has no files.
    #[default]
    Public,
    /// These and no others: PEM, one or more.
    Bundle(String),
}

/// How long to wait, and how often to try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// For a connection.
    pub connect: Duration,
    /// For the next bytes of an answer, and for the beginning of one: the sending of 8 MiB included.
    pub idle: Duration,
    /// How often a request is tried again that could not be sent, or was answered by 5xx or 429.
    pub retries: usize,
    /// When to stop trying.
    pub give_up: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            idle: Duration::from_secs(60),
            retries: 4,
            give_up: Duration::from_secs(60),
        }
    }
}

/// Everything it takes.
#[derive(Clone, Debug)]
pub struct Connection {
    /// Where.
    pub place: Place,
    /// By what right. There always is one: without, a client would look for the machine's own.
    pub credential: Credential,
    /// Who vouches for the server.
    pub trust: Trust,
    /// How patiently.
    pub limits: Limits,
}

/// What is wrong with a connection before anything is asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// No URL.
    #[error("endpoint {0:?} is no URL; write https://HOST[:PORT]")]
    NoUrl(String),
    /// Credentials and objects would be readable on their way.
    #[error(
        "endpoint {0} is not https; only a server on this machine's loopback may do without TLS"
    )]
    Plain(String),
    /// More than an address.
    #[error(
        "endpoint {0} has more than scheme, host and port; what comes after belongs in bucket and prefix"
    )]
    TooMuch(String),
    /// Addresses that only ever lead to a machine's own credentials.
    #[error("endpoint {0} is a link-local address, where no object store is")]
    LinkLocal(String),
    /// A key of another kind of store.
    #[error("{place} needs {needed} as its credential")]
    Credential {
        /// The kind of place.
        place: &'static str,
        /// The kind of credential.
        needed: &'static str,
    },
    /// Not PEM, or none in it.
    #[error("the CA bundle has no certificate that can be read; it has to be PEM")]
    Bundle,
    /// What names all objects cannot be part of a name.
    #[error("prefix {0:?} cannot begin a name: {1}")]
    Prefix(String, String),
    /// The client does not take it.
    #[error("not usable: {0}")]
    Client(String),
}
