//! Clients: one that speaks HTTP as it should, and one that sends whatever bytes it is given.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::{body::Body, client::conn::http1};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

use crate::harness::{ADMIN, GATEWAY, PATIENCE, PRIMARY};

#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).expect("JSON")
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// A request with headers, `Host` among them.
pub fn request(
    method: &str,
    target: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Request<Full<Bytes>> {
    let mut request = Request::new(Full::new(Bytes::copy_from_slice(body.as_bytes())));
    *request.method_mut() = Method::from_bytes(method.as_bytes()).expect("a method");
    *request.uri_mut() = target.parse().expect("a target");
    request
        .headers_mut()
        .insert("host", "iris.example".parse().expect("a value"));
    for (name, value) in headers {
        let name = http::HeaderName::from_bytes(name.as_bytes()).expect("a name");
        request
            .headers_mut()
            .append(name, value.parse().expect("a value"));
    }
    request
}

/// `POST /score` with the primary key.
pub fn score(body: &str) -> Request<Full<Bytes>> {
    request("POST", "/score", &[("x-api-key", PRIMARY)], body)
}

/// A connection to the gateway for requests with bodies of type `B`.
pub async fn connect<B>() -> hyper::Result<http1::SendRequest<B>>
where
    B: Body<Data: Send, Error: Into<Box<dyn std::error::Error + Send + Sync>>> + Send + 'static,
{
    connect_to(GATEWAY).await
}

async fn connect_to<B>(address: &str) -> hyper::Result<http1::SendRequest<B>>
where
    B: Body<Data: Send, Error: Into<Box<dyn std::error::Error + Send + Sync>>> + Send + 'static,
{
    let stream = TcpStream::connect(address)
        .await
        .expect("something listens");
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    Ok(sender)
}

/// Sends a request on a connection and reads the whole answer.
pub async fn send(
    connection: &mut http1::SendRequest<Full<Bytes>>,
    request: Request<Full<Bytes>>,
) -> hyper::Result<Answer> {
    connection.ready().await?;
    let (head, body) = connection.send_request(request).await?.into_parts();
    Ok(Answer {
        status: head.status,
        headers: head.headers,
        body: body.collect().await?.to_bytes(),
    })
}

/// Sends a request on a connection of its own.
pub async fn call(request: Request<Full<Bytes>>) -> Answer {
    let answer = async { send(&mut connect().await?, request).await };
    timeout(PATIENCE, answer)
        .await
        .expect("an answer in time")
        .expect("an answer")
}

/// The status of an admin path, if anybody answers.
pub async fn admin(path: &str) -> Option<u16> {
    Some(admin_get(path).await?.status.as_u16())
}

pub async fn metrics() -> String {
    admin_get("/metrics").await.expect("metrics").text()
}

async fn admin_get(path: &str) -> Option<Answer> {
    TcpStream::connect(ADMIN).await.ok()?;
    let mut connection = connect_to(ADMIN).await.ok()?;
    send(&mut connection, request("GET", path, &[], ""))
        .await
        .ok()
}

/// Sends bytes and returns everything that comes back until the gateway closes, or is silent for
/// a moment.
pub async fn raw(bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(GATEWAY)
        .await
        .expect("the gateway listens");
    // The gateway may close before it has read everything.
    let _ = stream.write_all(bytes).await;
    read_all(&mut stream, Duration::from_millis(300)).await
}

pub async fn read_all(stream: &mut TcpStream, silence: Duration) -> String {
    let mut received = Vec::new();
    let mut buffer = [0; 4096];
    while let Ok(Ok(n @ 1..)) = timeout(silence, stream.read(&mut buffer)).await {
        received.extend_from_slice(&buffer[..n]);
    }
    String::from_utf8_lossy(&received).into_owned()
}
