//! One object, moved by somebody who has neither the store's credential nor the workspace's keys.

use std::{
    fmt,
    time::{Duration, Instant},
};

use http::Method;
use url::Url;

use super::{Store, key_error};
use crate::{
    Error,
    format::{HEADER_LEN, Layout, ObjectKey},
};

/// The right to write one object: PUT the header, and after it what a [`crate::format::Sealer`] makes of the content.
pub struct Upload {
    /// Where to. Whoever has it may write this one object until it expires: a credential.
    pub url: Url,
    /// What the object begins with.
    pub header: [u8; HEADER_LEN],
    /// What seals it.
    pub key: ObjectKey,
}

/// The right to read one object: GET it, skip the header, and open the rest by a [`crate::format::Opener`].
pub struct Download {
    /// Where from. Whoever has it may read this one object until it expires: a credential.
    pub url: Url,
    /// How it is divided.
    pub layout: Layout,
    /// What opens it.
    pub key: ObjectKey,
}

impl Store {
    /// The right to write one object, for so long. The workspace's keys stay here.
    ///
    /// # Errors
    /// When there is no key, or the store cannot sign.
    pub async fn upload(&self, path: &str, expires_in: Duration) -> Result<Upload, Error> {
        let ring = self.keys.ring(Instant::now()).await;
        let (header, key) = ring
            .and_then(|ring| ring.wrap(&self.owner, path, &*self.entropy))
            .map_err(|reason| key_error(path, reason))?;
        Ok(Upload {
            url: self.sign(Method::PUT, path, expires_in).await?,
            header: header.encode(),
            key,
        })
    }

    /// The right to read one object, for so long, as it is now: one that replaces it needs a new one.
    ///
    /// # Errors
    /// When it is not there, or there is no key for it.
    pub async fn download(&self, path: &str, expires_in: Duration) -> Result<Download, Error> {
        let (header, meta) = self.head(path).await?;
        Ok(Download {
            key: self.unwrap(&header, path).await?,
            layout: self.layout(meta.size, path)?,
            url: self.sign(Method::GET, path, expires_in).await?,
        })
    }

    async fn sign(&self, method: Method, path: &str, expires_in: Duration) -> Result<Url, Error> {
        let name = self.name(path)?;
        let url = self.backend.signer.signed_url(method, &name, expires_in);
        url.await.map_err(|error| self.explain(error, path))
    }
}

impl fmt::Debug for Upload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Upload(…)")
    }
}

impl fmt::Debug for Download {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Download(…)")
    }
}
