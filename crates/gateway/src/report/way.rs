//! The way to the intakes of the operator's replicas: found by name, trusted by the installation's authority, opened by
//! the token of this pod.

use std::{
    collections::BTreeSet, fs, io, net::SocketAddr, path::PathBuf, sync::Arc, time::Duration,
};

use atelier_pki::{Reloading, client_config};
use bytes::Bytes;
use http::{
    HeaderValue, Request, StatusCode,
    header::{AUTHORIZATION, CONTENT_TYPE, HOST},
};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use jiff::Timestamp;
use rustls::pki_types::ServerName;
use thiserror::Error;
use tokio::{
    net::{TcpStream, lookup_host},
    time::timeout,
};
use tokio_rustls::TlsConnector;

use crate::{args::Args, telemetry::way::retry_after};

/// How long a connection may take to stand.
const CONNECT: Duration = Duration::from_secs(3);

/// How long an answer may take.
pub const ANSWER: Duration = Duration::from_secs(5);

/// What is read ahead of an answer: as little as hyper allows.
const BUFFER: usize = 8 * 1024;

/// The longest answer that is read.
const ANSWER_BYTES: usize = 4 * 1024;

/// Why a replica could not be told.
#[derive(Debug, Error)]
#[allow(missing_docs)]
pub enum WayError {
    #[error("no address can be found")]
    LookUp(#[source] io::Error),
    #[error("nobody is found under that name")]
    Nobody,
    #[error("no connection within {CONNECT:?}")]
    Slow,
    #[error("no connection")]
    Connect(#[source] io::Error),
    #[error("the connection broke")]
    Broken(#[from] hyper::Error),
    #[error("no answer within {ANSWER:?}")]
    Late,
    #[error("the token of this pod cannot be read")]
    Token(#[source] io::Error),
    #[error("the token of this pod is none")]
    NoToken,
    #[error("it was refused with {0}")]
    Refused(StatusCode),
    #[error("the request cannot be written")]
    Request(#[from] http::Error),
}

/// The way to the operator's replicas.
pub struct Way {
    /// Host and port that all of them are found under.
    to: String,
    host: HeaderValue,
    name: ServerName<'static>,
    trust: Arc<Reloading>,
    tls: TlsConnector,
    token: PathBuf,
}

/// What a replica answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answered {
    /// Its status.
    pub status: StatusCode,
    /// When it wants to be asked again.
    pub retry_after: Option<Duration>,
    /// What it said.
    pub said: String,
}

/// An open connection to one of them.
pub struct Connection {
    sender: SendRequest<Full<Bytes>>,
    generation: u64,
}

impl Way {
    /// What the arguments ask for, if they do. `trust` has the authorities in its `ca.crt`.
    ///
    /// # Errors
    /// The cryptography refuses, which no input can cause.
    pub fn from_args(
        args: &Args,
        trust: Option<Arc<Reloading>>,
    ) -> Result<Option<Self>, rustls::Error> {
        let asked = args.report_to.as_ref().zip(args.internal_client.as_ref());
        let Some(((to, client), trust)) = asked.zip(trust) else {
            return Ok(None);
        };
        let bad = |what: &str| rustls::Error::General(format!("{client} {what}"));
        // The replicas serve by one certificate, whose name the operator has as a client too.
        let name = ServerName::try_from(client.clone()).map_err(|_| bad("is no name"))?;
        let host = HeaderValue::from_str(client).map_err(|_| bad("is no host"))?;
        let tls = client_config(&trust, None)?;
        Ok(Some(Self {
            to: to.clone(),
            host,
            name,
            trust,
            tls: TlsConnector::from(Arc::new(tls)),
            token: args.report_token.clone(),
        }))
    }

    /// The addresses of all replicas.
    ///
    /// # Errors
    /// There are none.
    pub async fn replicas(&self) -> Result<BTreeSet<SocketAddr>, WayError> {
        let found = lookup_host(&self.to).await.map_err(WayError::LookUp)?;
        let found: BTreeSet<_> = found.collect();
        match found.is_empty() {
            true => Err(WayError::Nobody),
            false => Ok(found),
        }
    }

    /// Opens a connection.
    ///
    /// # Errors
    /// It cannot be opened, or shows a certificate that is not the operator's.
    pub async fn connect(&self, address: SocketAddr) -> Result<Connection, WayError> {
        let generation = self.trust.generation();
        let opened = timeout(CONNECT, async {
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            self.tls.connect(self.name.clone(), stream).await
        });
        let stream = opened.await.map_err(|_| WayError::Slow)?;
        let stream = Box::new(stream.map_err(WayError::Connect)?);
        let (sender, connection) = http1::Builder::new()
            .max_buf_size(BUFFER)
            .handshake(TokioIo::new(stream))
            .await?;
        // It ends with the sender, or breaks, which the sender tells of.
        tokio::spawn(connection);
        Ok(Connection { sender, generation })
    }

    /// Whether a connection stands whose other end was trusted as is trusted now.
    #[must_use]
    pub fn is_current(&self, connection: &Connection) -> bool {
        !connection.sender.is_closed() && connection.generation == self.trust.generation()
    }

    /// Posts a document.
    ///
    /// # Errors
    /// There was no answer, or nothing to show who asks.
    pub async fn post(
        &self,
        connection: &mut Connection,
        path: &str,
        content_type: &'static str,
        body: Bytes,
    ) -> Result<Answered, WayError> {
        // The kubelet replaces it now and then; it is in memory there.
        let token = fs::read_to_string(&self.token).map_err(WayError::Token)?;
        let bearer = HeaderValue::from_str(&format!("Bearer {}", token.trim()));
        let mut bearer = bearer.map_err(|_| WayError::NoToken)?;
        bearer.set_sensitive(true);
        let request = Request::post(path)
            .header(HOST, &self.host)
            .header(AUTHORIZATION, bearer)
            .header(CONTENT_TYPE, content_type)
            .body(Full::new(body))?;
        connection.sender.ready().await?;
        let answer = connection.sender.send_request(request).await?;
        let (head, body) = answer.into_parts();
        // Read to its end, so that the connection can be used again. That it answered is enough.
        let said = Limited::new(body, ANSWER_BYTES).collect().await;
        let said = said.map(|said| said.to_bytes()).unwrap_or_default();
        Ok(Answered {
            status: head.status,
            retry_after: retry_after(&head.headers, Timestamp::now()),
            said: String::from_utf8_lossy(&said).into_owned(),
        })
    }
}
