//! Streams, in both directions.

use bytes::Bytes;
use futures::SinkExt as _;
use futures::channel::mpsc;
use http::Request;
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::client::conn::http1::handshake;
use hyper_util::rt::TokioIo;
use std::convert::Infallible;

use crate::fixture::{Fixture, GROUP, action, begin};

#[tokio::test]
async fn a_log_ends_when_its_reader_goes() {
    let fixture = Fixture::new().await;
    let mut connection = fixture.proxy().await;
    let response = begin(&mut connection, action("jane", "GET", "runs/a/log", ""))
        .await
        .unwrap();
    assert_eq!(response.headers()["content-type"], "text/plain");
    let mut body = response.into_body();
    let first = body.frame().await.unwrap().unwrap().into_data().unwrap();
    assert_eq!(first, "line 0\n");
    fixture.until_following(1).await;
    drop((body, connection));
    fixture.until_following(0).await;
}

#[tokio::test]
async fn a_raw_action_answers_while_it_is_still_being_asked() {
    let fixture = Fixture::new().await;
    let stream = tokio::net::TcpStream::connect(fixture.address)
        .await
        .unwrap();
    let stream = fixture.proxy_tls(stream).await;
    let (mut sender, connection) = handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let (mut out, body) = mpsc::channel::<Result<Frame<Bytes>, Infallible>>(1);
    let request = Request::builder()
        .method("PATCH")
        .uri(format!("{GROUP}/namespaces/vision/workspaces/v/proxy/x"))
        .header("host", "localhost")
        .header("x-remote-user", "jane")
        .body(StreamBody::new(body))
        .unwrap();
    out.send(Ok(Frame::data(Bytes::from("ping 0"))))
        .await
        .unwrap();
    let response = sender.send_request(request).await.unwrap();
    assert_eq!(response.status(), 207);
    assert_eq!(response.headers()["content-type"], "application/x-ours");
    let mut back = response.into_body();
    for n in 0..3 {
        let data = back.frame().await.unwrap().unwrap().into_data().unwrap();
        assert_eq!(data, format!("ping {n}"));
        let next = Bytes::from(format!("ping {}", n + 1));
        out.send(Ok(Frame::data(next))).await.unwrap();
    }
    drop(out);
    assert_eq!(back.collect().await.unwrap().to_bytes(), "ping 3");
}
