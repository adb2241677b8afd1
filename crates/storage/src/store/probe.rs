//! Whether it works, found out by doing it.

use std::{fmt, time::Duration};

use bytes::Bytes;

use super::{Store, key_error};
use crate::{Error, keys::KeyError};

/// What a probe does, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProbeStep {
    /// A small object is encrypted and written.
    Write,
    /// It is read and decrypted, and is what was written.
    Read,
    /// It is deleted.
    Delete,
}

impl fmt::Display for ProbeStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Write => "writing",
            Self::Read => "reading",
            Self::Delete => "deleting",
        })
    }
}

/// Which step failed, and why.
#[derive(Debug, thiserror::Error)]
#[error("{step} an object: {reason}")]
pub struct ProbeError {
    /// The step.
    pub step: ProbeStep,
    /// Why.
    #[source]
    pub reason: Error,
}

impl Store {
    /// Writes, reads and deletes a small encrypted object of a random name in `.atelier/probe/`.
    ///
    /// # Errors
    /// Says which step failed, also when it took too long.
    pub async fn probe(&self, limit: Duration) -> Result<(), ProbeError> {
        let mut random = [0; 32];
        let filled = self.entropy.fill(&mut random).map_err(KeyError::from);
        let name: String = random[..8]
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let path = format!(".atelier/probe/{name}");
        let content = Bytes::copy_from_slice(&random[8..]);

        let mut step = ProbeStep::Write;
        let steps = async {
            filled.map_err(|reason| key_error(&path, reason))?;
            self.put_bytes(&path, content.clone()).await?;
            step = ProbeStep::Read;
            if self.get(&path).await?.bytes().await? != content {
                return Err(Error::Replaced(path.clone()));
            }
            step = ProbeStep::Delete;
            self.delete(&path).await
        };
        let done = tokio::time::timeout(limit, steps).await;
        let done = done.unwrap_or_else(|_| {
            Err(Error::Unreachable {
                endpoint: self.backend.endpoint.clone(),
                reason: format!("nothing was done within {limit:?}"),
            })
        });
        done.map_err(|reason| ProbeError { step, reason })
    }
}
