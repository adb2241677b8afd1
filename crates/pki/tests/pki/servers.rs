//! A webhook's server, and one that only clients with a certificate may ask. One request on each connection, so that
//! every request is a handshake.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use atelier_pki::{Reloading, client_config, server_config};
use rustls::pki_types::ServerName;
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, TlsConnector};

/// How long one request may take before it has failed.
const REQUEST: Duration = Duration::from_secs(5);

pub struct Server {
    pub port: u16,
    /// Requests that were answered.
    pub answered: Arc<AtomicUsize>,
}

/// Serves with the identity; if `clients` is given, only those that it knows.
pub async fn serve(identity: &Arc<Reloading>, clients: Option<&Arc<Reloading>>) -> Server {
    let config = server_config(identity, clients.map(Reloading::client_verifier)).unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let answered = Arc::new(AtomicUsize::new(0));
    let count = answered.clone();
    tokio::spawn(async move {
        while let Ok((connection, _)) = listener.accept().await {
            let (acceptor, count) = (acceptor.clone(), count.clone());
            tokio::spawn(async move {
                let mut tls = acceptor.accept(connection).await.ok()?;
                let (body, _) = message(&mut tls).await?;
                let answer = answer(&body);
                let length = answer.len();
                let head = format!(
                    "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
                );
                tls.write_all((head + &answer).as_bytes()).await.ok()?;
                count.fetch_add(1, Ordering::SeqCst);
                tls.shutdown().await.ok()
            });
        }
    });
    Server { port, answered }
}

/// Allows what it is asked about.
fn answer(body: &[u8]) -> String {
    let review: Value = serde_json::from_slice(body).unwrap_or_default();
    json!({
        "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
        "response": {"uid": review["request"]["uid"], "allowed": true},
    })
    .to_string()
}

/// A message's body and head.
async fn message(stream: &mut (impl AsyncRead + Unpin)) -> Option<(Vec<u8>, String)> {
    let mut bytes = Vec::new();
    loop {
        if let Some(end) = bytes.windows(4).position(|w| w == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&bytes[..end]).to_lowercase();
            let length = head.split("content-length: ").nth(1);
            let length = length.and_then(|rest| rest.lines().next()?.trim().parse().ok());
            if bytes.len() >= end + 4 + length.unwrap_or(0) {
                return Some((bytes.split_off(end + 4), head));
            }
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
}

/// Asks once, on a new connection.
pub async fn ask(
    port: u16,
    trust: &Arc<Reloading>,
    identity: Option<&Arc<Reloading>>,
) -> Result<(), String> {
    let asked = async {
        let connector = TlsConnector::from(Arc::new(client_config(trust, identity).unwrap()));
        let name = ServerName::try_from("127.0.0.1").unwrap();
        let connection = TcpStream::connect(("127.0.0.1", port)).await?;
        let mut tls = connector.connect(name, connection).await?;
        tls.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await?;
        let answer = message(&mut tls).await;
        let (_, head) = answer.ok_or_else(|| std::io::Error::other("no answer"))?;
        match head.starts_with("http/1.1 200") {
            true => Ok(()),
            false => Err(std::io::Error::other(head)),
        }
    };
    let asked: Result<Result<(), std::io::Error>, _> = tokio::time::timeout(REQUEST, asked).await;
    asked.map_err(|e| e.to_string())?.map_err(|e| e.to_string())
}
