//! Objects moved by somebody who has neither the access key nor the workspace's keys.

use std::time::Duration;

use atelier_storage::format::{HEADER_LEN, Opener, Sealer};
use bytes::{Bytes, BytesMut};
use http::{Method, Request, StatusCode};
use object_store::{
    Certificate, ClientOptions,
    client::{HttpClient, HttpConnector, ReqwestConnector},
};

use crate::{objects::content, server::Server};

fn client(server: &Server) -> HttpClient {
    let certificate = Certificate::from_pem(server.certificate.as_bytes()).unwrap();
    let options = ClientOptions::new()
        .with_no_system_certificates(true)
        .with_root_certificate(certificate);
    ReqwestConnector::default().connect(&options).unwrap()
}

async fn send(server: &Server, method: Method, url: &url::Url, body: Bytes) -> (StatusCode, Bytes) {
    let request = Request::builder()
        .method(method)
        .uri(url.as_str())
        .header(http::header::CONTENT_LENGTH, body.len())
        .body(body.into())
        .unwrap();
    let answer = client(server).execute(request).await.unwrap();
    let status = answer.status();
    (status, answer.into_body().bytes().await.unwrap())
}

#[tokio::test]
async fn one_object_goes_up_and_comes_down_by_urls_alone() {
    let server = Server::start();
    let store = server.store();
    let content = content(300_000);

    let upload = store.upload("a/b", Duration::from_secs(60)).await.unwrap();
    let mut object = BytesMut::from(&upload.header[..]);
    let mut sealer = Sealer::new(&upload.key).unwrap();
    sealer.push(&content, &mut object).unwrap();
    sealer.finish(&mut object).unwrap();
    let (status, said) = send(&server, Method::PUT, &upload.url, object.freeze()).await;
    assert_eq!(status, StatusCode::OK, "{said:?}");
    let read = store.get("a/b").await.unwrap().bytes().await.unwrap();
    assert!(read == content);

    let download = store
        .download("a/b", Duration::from_secs(60))
        .await
        .unwrap();
    let (status, object) = send(&server, Method::GET, &download.url, Bytes::new()).await;
    assert_eq!(status, StatusCode::OK);
    let layout = download.layout;
    let mut opener = Opener::new(&download.key, layout, &layout.whole()).unwrap();
    let mut opened = BytesMut::new();
    opener.push(&object[HEADER_LEN..], &mut opened).unwrap();
    opener.finish().unwrap();
    assert!(opened == content);
}

#[tokio::test]
async fn a_url_is_for_one_object_one_method_and_a_while() {
    let server = Server::start();
    let store = server.store();
    store.put_bytes("a", content(10)).await.unwrap();
    store.put_bytes("b", content(10)).await.unwrap();
    let download = store.download("a", Duration::from_secs(60)).await.unwrap();

    let mut other = download.url.clone();
    other.set_path("/workspace/b");
    let (status, _) = send(&server, Method::GET, &other, Bytes::new()).await;
    assert_eq!(status, StatusCode::FORBIDDEN);
    let (status, _) = send(&server, Method::DELETE, &download.url, Bytes::new()).await;
    assert_eq!(status, StatusCode::FORBIDDEN);
    let (status, _) = send(&server, Method::PUT, &download.url, content(3)).await;
    assert_eq!(status, StatusCode::FORBIDDEN);

    let short = store.download("a", Duration::from_secs(1)).await.unwrap();
    atelier_testkit::eventually(Duration::from_secs(10), "the URL expires", async || {
        let (status, _) = send(&server, Method::GET, &short.url, Bytes::new()).await;
        atelier_testkit::wait::check(status == StatusCode::FORBIDDEN, status)
    })
    .await;
}
