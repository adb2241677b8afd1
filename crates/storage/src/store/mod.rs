//! Objects, by their paths.

mod probe;
mod read;
#[cfg(test)]
mod tests;
mod ticket;
mod write;

use std::{sync::Arc, time::Instant};

use futures::{Stream, StreamExt, TryStreamExt};
use jiff::Timestamp;
use object_store::{ObjectStoreExt, path::Path};

pub use probe::{ProbeError, ProbeStep};
pub use read::Content;
pub use ticket::{Download, Upload};

use crate::{
    Connection, Entropy, Error, SystemEntropy,
    connect::{Backend, build},
    explain::explain,
    format::{Layout, ObjectKey, Owner},
    keys::{KeyError, Keys},
};

/// An object in a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its path.
    pub path: String,
    /// Bytes of content, going by the object's length, which is authenticated only when it is read. `None` for what
    /// cannot be one of ours.
    pub len: Option<u64>,
    /// When it was written, by the server's clock.
    pub modified: Timestamp,
}

/// The objects of one workspace. Cheap to clone.
#[derive(Clone)]
pub struct Store {
    backend: Backend,
    owner: Owner,
    keys: Arc<Keys>,
    entropy: Arc<dyn Entropy>,
}

impl Store {
    /// Objects at a place, of a workspace, with its keys. Talks to nobody yet.
    ///
    /// # Errors
    /// When the connection makes no sense.
    pub fn new(connection: &Connection, owner: Owner, keys: Arc<Keys>) -> Result<Self, Error> {
        Ok(Self {
            backend: build(connection)?,
            owner,
            keys,
            entropy: Arc::new(SystemEntropy),
        })
    }

    /// Deletes an object. One that is not there is none, too.
    ///
    /// # Errors
    /// When the store does not do it.
    pub async fn delete(&self, path: &str) -> Result<(), Error> {
        let name = self.name(path)?;
        match self.backend.objects.delete(&name).await {
            Ok(()) => Ok(()),
            Err(error) => match self.explain(error, path) {
                Error::NotFound(_) => Ok(()),
                other => Err(other),
            },
        }
    }

    /// The objects in a folder and below, in no order; all, without one.
    pub fn list(
        &self,
        folder: Option<&str>,
    ) -> impl Stream<Item = Result<Entry, Error>> + Send + use<> {
        let this = self.clone();
        let folder = match folder {
            Some(folder) => self.name(folder),
            None => Ok(self.backend.prefix.clone()),
        };
        futures::stream::once(std::future::ready(folder))
            .map_ok(move |folder| {
                let prefix = this.backend.prefix.clone();
                let this = this.clone();
                this.backend
                    .objects
                    .list(Some(&folder))
                    .map(move |found| match found {
                        Ok(meta) => Ok(Entry {
                            path: below(&prefix, &meta.location),
                            len: Layout::of_object(meta.size).ok().map(|l| l.content_len()),
                            modified: Timestamp::from_second(meta.last_modified.timestamp())
                                .unwrap_or(Timestamp::UNIX_EPOCH),
                        }),
                        Err(error) => Err(this.explain(error, folder.as_ref())),
                    })
            })
            .try_flatten()
    }

    /// The folders in a folder, in no order.
    ///
    /// # Errors
    /// When the store does not say.
    pub async fn folders(&self, folder: &str) -> Result<Vec<String>, Error> {
        let name = self.name(folder)?;
        let found = self.backend.objects.list_with_delimiter(Some(&name)).await;
        let found = found.map_err(|error| self.explain(error, folder))?;
        let folders = found.common_prefixes.iter();
        Ok(folders
            .map(|name| below(&self.backend.prefix, name))
            .collect())
    }

    /// The object's name in the bucket.
    fn name(&self, path: &str) -> Result<Path, Error> {
        let wrong = |reason: String| Error::Name(path.to_owned(), reason);
        let parsed = Path::parse(path).map_err(|error| wrong(error.to_string()))?;
        // What is authenticated is the path as it was given: there must be one way to write it.
        if parsed.as_ref() != path || path.is_empty() {
            return Err(wrong(
                "it begins or ends with a slash, or is empty".to_owned(),
            ));
        }
        Ok(Path::from_iter(
            self.backend.prefix.parts().chain(parsed.parts()),
        ))
    }

    fn explain(&self, error: object_store::Error, path: &str) -> Error {
        explain(error, &self.backend, path)
    }

    async fn unwrap(&self, header: &crate::format::Header, path: &str) -> Result<ObjectKey, Error> {
        self.keys
            .unwrap(header, &self.owner, path, Instant::now())
            .await
            .map_err(|reason| key_error(path, reason))
    }
}

fn key_error(path: &str, reason: KeyError) -> Error {
    Error::Key {
        path: path.to_owned(),
        reason,
    }
}

fn below(prefix: &Path, name: &Path) -> String {
    match name.prefix_match(prefix) {
        Some(parts) => Path::from_iter(parts).to_string(),
        None => name.to_string(),
    }
}
