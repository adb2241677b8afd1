//! Content into an object.

use std::{io, pin::pin, time::Instant};

use bytes::{Bytes, BytesMut};
use futures::{Stream, StreamExt};
use object_store::{MultipartUpload, ObjectStoreExt, path::Path};

use super::{Store, key_error};
use crate::{
    Error,
    format::{CHUNK_LEN, FormatError, Sealer},
};

/// Of one request. S3 wants 5 MiB, some want all parts alike.
const PART_LEN: usize = 8 << 20;
/// S3 takes no more of them.
const MOST_PARTS: usize = 10_000;

impl Store {
    /// Writes an object, or replaces it: all of it at once when the content has ended, or nothing. Gives the number of
    /// bytes of content.
    ///
    /// Holds about 8 MiB, whatever the length. Where the future is dropped half-way, a store may keep parts that nobody
    /// sees; a rule of the bucket that ends incomplete uploads removes them.
    ///
    /// # Errors
    /// When the content ends with an error, there is no key, or the store does not take it. What was there before
    /// stays.
    pub async fn put<S>(&self, path: &str, content: S) -> Result<u64, Error>
    where
        S: Stream<Item = io::Result<Bytes>> + Send,
    {
        let name = self.name(path)?;
        let ring = self
            .keys
            .ring(Instant::now())
            .await
            .map_err(|reason| key_error(path, reason))?;
        let (header, key) = ring
            .wrap(&self.owner, path, &*self.entropy)
            .map_err(|reason| key_error(path, reason))?;
        let mut target = Target {
            store: self,
            name: &name,
            path,
            upload: None,
            parts: 0,
        };
        let sealer = Sealer::new(&key).map_err(|reason| self.damaged(path, reason))?;
        let sent = self
            .send(path, &header.encode(), sealer, content, &mut target)
            .await;
        if sent.is_err() {
            target.abort().await;
        }
        sent
    }

    /// Writes an object from memory. See [`Store::put`].
    ///
    /// # Errors
    /// As of [`Store::put`].
    pub async fn put_bytes(&self, path: &str, content: Bytes) -> Result<u64, Error> {
        let content = futures::stream::iter([Ok(content)]);
        self.put(path, content).await
    }

    async fn send<S>(
        &self,
        path: &str,
        header: &[u8],
        mut sealer: Sealer,
        content: S,
        target: &mut Target<'_>,
    ) -> Result<u64, Error>
    where
        S: Stream<Item = io::Result<Bytes>> + Send,
    {
        let mut content = pin!(content);
        let mut part = BytesMut::from(header);
        let mut len = 0;
        while let Some(piece) = content.next().await {
            let piece = piece.map_err(|reason| Error::Content {
                path: path.to_owned(),
                reason,
            })?;
            len += piece.len() as u64;
            for piece in piece.chunks(CHUNK_LEN as usize) {
                sealer
                    .push(piece, &mut part)
                    .map_err(|reason| self.damaged(path, reason))?;
                // More than a part: the last one is never empty.
                while part.len() > PART_LEN {
                    target.part(part.split_to(PART_LEN).freeze()).await?;
                }
            }
        }
        sealer
            .finish(&mut part)
            .map_err(|reason| self.damaged(path, reason))?;
        while part.len() > PART_LEN {
            target.part(part.split_to(PART_LEN).freeze()).await?;
        }
        target.finish(part.freeze()).await?;
        Ok(len)
    }

    pub(super) fn damaged(&self, path: &str, reason: FormatError) -> Error {
        Error::Damaged {
            path: path.to_owned(),
            reason,
        }
    }
}

/// An object in the making: one request if it is short, else several that count together when all are there.
struct Target<'a> {
    store: &'a Store,
    name: &'a Path,
    path: &'a str,
    upload: Option<Box<dyn MultipartUpload>>,
    parts: usize,
}

impl Target<'_> {
    async fn part(&mut self, bytes: Bytes) -> Result<(), Error> {
        self.parts += 1;
        if self.parts > MOST_PARTS {
            return Err(Error::TooLong(self.path.to_owned()));
        }
        let store = self.store;
        let upload = match &mut self.upload {
            Some(upload) => upload,
            none => {
                let begun = store.backend.objects.put_multipart(self.name).await;
                none.insert(begun.map_err(|error| store.explain(error, self.path))?)
            }
        };
        upload
            .put_part(bytes.into())
            .await
            .map_err(|error| store.explain(error, self.path))
    }

    async fn finish(&mut self, bytes: Bytes) -> Result<(), Error> {
        let done = if self.upload.is_some() {
            self.part(bytes).await?;
            match &mut self.upload {
                Some(upload) => upload.complete().await,
                None => return Ok(()),
            }
        } else {
            self.store
                .backend
                .objects
                .put(self.name, bytes.into())
                .await
        };
        done.map(|_| ())
            .map_err(|error| self.store.explain(error, self.path))
    }

    async fn abort(&mut self) {
        if let Some(upload) = &mut self.upload
            && let Err(error) = upload.abort().await
        {
            tracing::debug!(path = self.path, %error, "parts of an object that was given up stay behind");
        }
    }
}
