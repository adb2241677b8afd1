//! Object to content.

use std::{fmt, ops::Range};

use bytes::{Bytes, BytesMut};
use futures::{StreamExt, TryStreamExt, stream::BoxStream};
use object_store::{GetOptions, GetRange, ObjectMeta, ObjectStore, ObjectStoreExt};

use super::Store;
use crate::{
    Error,
    format::{FormatError, HEADER_LEN, Header, Layout, ObjectKey, Opener, Span},
};

/// How often to begin anew when an object is replaced between two requests.
const ATTEMPTS: usize = 3;

/// The content of an object, or a part of it, as it comes.
pub struct Content {
    /// Bytes that come.
    pub len: u64,
    /// The bytes. Each has been authenticated at its place; that nothing is missing is known when the stream ends
    /// without an error.
    pub stream: BoxStream<'static, Result<Bytes, Error>>,
}

impl Content {
    /// All of it, in memory.
    ///
    /// # Errors
    /// When it cannot be read to its end.
    pub async fn bytes(self) -> Result<Bytes, Error> {
        self.stream
            .try_fold(BytesMut::new(), |mut all, piece| {
                all.extend_from_slice(&piece);
                std::future::ready(Ok(all))
            })
            .await
            .map(BytesMut::freeze)
    }
}

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Content({} bytes)", self.len)
    }
}

impl Store {
    /// Reads an object.
    ///
    /// # Errors
    /// When it is not there, not ours, or there is no key for it. What is wrong further in comes with the stream.
    pub async fn get(&self, path: &str) -> Result<Content, Error> {
        let name = self.name(path)?;
        let found = self.backend.objects.get(&name).await;
        let found = found.map_err(|error| self.explain(error, path))?;
        let layout = self.layout(found.meta.size, path)?;
        let mut object = found.into_stream();
        let mut begun = BytesMut::new();
        while begun.len() < HEADER_LEN {
            match object.next().await {
                Some(Ok(piece)) => begun.extend_from_slice(&piece),
                Some(Err(error)) => return Err(self.explain(error, path)),
                None => break,
            }
        }
        let header = Header::decode(&begun).map_err(|reason| self.damaged(path, reason))?;
        let key = self.unwrap(&header, path).await?;
        let rest = begun.split_off(HEADER_LEN).freeze();
        let object = futures::stream::iter([Ok(rest)]).chain(object).boxed();
        self.open(path, &key, layout, &layout.whole(), object)
    }

    /// Reads a part of an object's content: only the chunks that hold it are transferred.
    ///
    /// # Errors
    /// As of [`Store::get`], and when the content does not have all of the part.
    pub async fn get_range(&self, path: &str, part: Range<u64>) -> Result<Content, Error> {
        let name = self.name(path)?;
        for _ in 0..ATTEMPTS {
            let (header, meta) = self.head(path).await?;
            let key = self.unwrap(&header, path).await?;
            let layout = self.layout(meta.size, path)?;
            let span = layout.span(part.clone()).ok_or_else(|| Error::Range {
                path: path.to_owned(),
                len: layout.content_len(),
                from: part.start,
                to: part.end,
            })?;
            let options = GetOptions {
                range: Some(GetRange::Bounded(span.bytes.clone())),
                // The header that was read is this object's and no later one's.
                if_match: meta.e_tag,
                ..GetOptions::default()
            };
            match self.backend.objects.get_opts(&name, options).await {
                Ok(found) => return self.open(path, &key, layout, &span, found.into_stream()),
                Err(object_store::Error::Precondition { .. }) => {}
                Err(error) => return Err(self.explain(error, path)),
            }
        }
        Err(Error::Replaced(path.to_owned()))
    }

    /// The header of an object, and what the store says of it.
    pub(super) async fn head(&self, path: &str) -> Result<(Header, ObjectMeta), Error> {
        let options = GetOptions {
            range: Some(GetRange::Bounded(0..HEADER_LEN as u64)),
            ..GetOptions::default()
        };
        let name = self.name(path)?;
        let found = self.backend.objects.get_opts(&name, options).await;
        let found = found.map_err(|error| self.explain(error, path))?;
        let meta = found.meta.clone();
        let bytes = found.bytes().await;
        let bytes = bytes.map_err(|error| self.explain(error, path))?;
        let header = Header::decode(&bytes).map_err(|reason| self.damaged(path, reason))?;
        Ok((header, meta))
    }

    pub(super) fn layout(&self, len: u64, path: &str) -> Result<Layout, Error> {
        Layout::of_object(len).map_err(|reason| self.damaged(path, reason))
    }

    fn open(
        &self,
        path: &str,
        key: &ObjectKey,
        layout: Layout,
        span: &Span,
        object: BoxStream<'static, object_store::Result<Bytes>>,
    ) -> Result<Content, Error> {
        let opener = Opener::new(key, layout, span).map_err(|reason| self.damaged(path, reason))?;
        let reading = Reading {
            store: self.clone(),
            path: path.to_owned(),
            object,
            opener,
        };
        let stream = futures::stream::try_unfold(Some(reading), |reading| async {
            match reading {
                Some(reading) => reading.next().await,
                None => Ok(None),
            }
        });
        Ok(Content {
            len: span.take,
            stream: stream.boxed(),
        })
    }
}

struct Reading {
    store: Store,
    path: String,
    object: BoxStream<'static, object_store::Result<Bytes>>,
    opener: Opener,
}

impl Reading {
    /// The next piece of content, and how to go on.
    async fn next(mut self) -> Result<Option<(Bytes, Option<Self>)>, Error> {
        let mut out = BytesMut::new();
        while let Some(piece) = self.object.next().await {
            let piece = piece.map_err(|error| self.store.explain(error, &self.path))?;
            self.opener
                .push(&piece, &mut out)
                .map_err(|reason| self.wrong(reason))?;
            if !out.is_empty() {
                return Ok(Some((out.freeze(), Some(self))));
            }
        }
        let (store, path) = (self.store, self.path);
        self.opener
            .finish()
            .map_err(|reason| store.damaged(&path, reason))?;
        Ok(None)
    }

    fn wrong(&self, reason: FormatError) -> Error {
        self.store.damaged(&self.path, reason)
    }
}
