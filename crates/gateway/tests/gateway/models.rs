//! Models: a decent one that says what it received, and the means to write indecent ones.

use std::{
    convert::Infallible,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::{
    body::{Body, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

pub const MODEL: &str = "127.0.0.1:5001";

/// What a model received.
#[derive(Clone, Default)]
pub struct Seen {
    requests: Arc<Mutex<Vec<Value>>>,
    connections: Arc<AtomicU32>,
}

impl Seen {
    pub fn requests(&self) -> Vec<Value> {
        self.requests
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    pub fn connections(&self) -> u32 {
        self.connections.load(Ordering::Relaxed)
    }

    fn note(&self, request: Value) {
        self.requests
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(request);
    }
}

/// A model that answers with what it received, as JSON, and notes it.
pub async fn echo() -> Seen {
    let seen = Seen::default();
    let noted = seen.clone();
    serve(seen.clone(), move |request| {
        let noted = noted.clone();
        async move {
            let (head, body) = request.into_parts();
            let Ok(body) = body.collect().await else {
                // Broken off: no request, as a real model would see it.
                return Response::new(Full::default());
            };
            let body = body.to_bytes();
            let headers: Vec<_> = head
                .headers
                .iter()
                .map(|(name, value)| {
                    (
                        name.to_string(),
                        String::from_utf8_lossy(value.as_bytes()).into_owned(),
                    )
                })
                .collect();
            let request = json!({
                "method": head.method.as_str(), "target": head.uri.to_string(), "headers": headers,
                "body": String::from_utf8_lossy(&body),
            });
            noted.note(request.clone());
            Response::new(Full::new(Bytes::from(request.to_string())))
        }
    })
    .await;
    seen
}

/// A model that answers by a function.
pub async fn serve<B, F>(
    seen: Seen,
    answer: impl Fn(Request<Incoming>) -> F + Clone + Send + 'static,
) where
    B: Body<Data: Send, Error: Into<Box<dyn std::error::Error + Send + Sync>>> + Send + 'static,
    F: Future<Output = Response<B>> + Send + 'static,
{
    connections(move |stream| {
        seen.connections.fetch_add(1, Ordering::Relaxed);
        let answer = answer.clone();
        async move {
            let service = service_fn(move |request| {
                let answer = answer(request);
                async move { Ok::<_, Infallible>(answer.await) }
            });
            let _ = http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        }
    })
    .await;
}

/// A model that answers every request, once its header is there, with these bytes, then closes.
pub async fn bytes(answer: &'static [u8]) {
    connections(move |mut stream| async move {
        if read_head(&mut stream).await {
            let _ = stream.write_all(answer).await;
            let _ = stream.shutdown().await;
            // Lets the gateway read it all before the connection is gone.
            let _ = stream.read_to_end(&mut Vec::new()).await;
        }
    })
    .await;
}

/// A model that treats each connection by a function.
pub async fn connections<F>(treat: impl Fn(TcpStream) -> F + Send + 'static)
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind(MODEL).await.expect("a free port");
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(treat(stream));
        }
    });
}

/// Reads until the end of a header. False if the connection ends before one came.
pub async fn read_head(stream: &mut TcpStream) -> bool {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read(&mut byte).await {
            Ok(1) => head.push(byte[0]),
            _ => return false,
        }
    }
    true
}
