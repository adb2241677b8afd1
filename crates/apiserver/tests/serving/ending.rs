//! The end, and who must not hold others up.

use std::time::Duration;

use atelier_apiserver::Limits;
use http_body_util::BodyExt as _;
use tokio::net::TcpStream;

use crate::fixture::{Fixture, action, begin, plain, send};

#[tokio::test]
async fn what_has_begun_is_finished() {
    let fixture = Fixture::new().await;
    let mut connection = fixture.proxy().await;
    let cancel = action("jane", "POST", "runs/held/cancel", "");
    let request = tokio::spawn(async move { send(&mut connection, cancel).await });
    let begun = fixture.hooks.begun.clone();
    begun.acquire().await.unwrap().forget();
    fixture.stop.cancel();
    // The listener closes first.
    atelier_testkit::eventually(Duration::from_secs(10), "the port is closed", async || {
        match TcpStream::connect(fixture.address).await {
            Ok(_) => Err("it is open".to_owned()),
            Err(_) => Ok(()),
        }
    })
    .await;
    assert!(!fixture.running.is_finished());
    fixture.hooks.release.add_permits(1);
    assert_eq!(request.await.unwrap().code, 201);
    fixture.ended().await;
}

#[tokio::test]
async fn a_stream_is_ended_last_and_does_not_look_complete() {
    let fixture = Fixture::new().await;
    let (mut one, mut other) = (fixture.proxy().await, fixture.proxy().await);
    let log = begin(&mut one, action("jane", "GET", "runs/a/log", ""))
        .await
        .unwrap();
    let cancel = action("jane", "POST", "runs/held/cancel", "");
    let request = tokio::spawn(async move { send(&mut other, cancel).await });
    fixture.hooks.begun.acquire().await.unwrap().forget();
    fixture.stop.cancel();
    // While the other request runs, the log goes on.
    let mut log = log.into_body();
    for _ in 0..20 {
        assert!(log.frame().await.unwrap().is_ok());
    }
    fixture.hooks.release.add_permits(1);
    assert_eq!(request.await.unwrap().code, 201);
    let rest = tokio::time::timeout(Duration::from_secs(10), log.collect()).await;
    assert!(rest.unwrap().is_err(), "a cut log must not end well");
    fixture.ended().await;
}

#[tokio::test]
async fn what_does_not_end_is_ended() {
    let fixture = Fixture::with(Limits {
        grace: Duration::from_millis(100),
        farewell: Duration::from_millis(100),
        ..Limits::default()
    })
    .await;
    let mut connection = fixture.proxy().await;
    let cancel = action("jane", "POST", "runs/held/cancel", "");
    let request = tokio::spawn(async move { begin(&mut connection, cancel).await.is_ok() });
    fixture.hooks.begun.acquire().await.unwrap().forget();
    fixture.stop.cancel();
    assert!(!request.await.unwrap());
    fixture.ended().await;
}

#[tokio::test]
async fn it_says_that_it_goes_before_it_goes() {
    let fixture = Fixture::with(Limits {
        linger: Duration::from_millis(500),
        ..Limits::default()
    })
    .await;
    fixture.stop.cancel();
    let mut late = fixture.stranger().await;
    let ready = send(&mut late, plain("GET", "/readyz", "")).await;
    assert_eq!((ready.code, &ready.body[..]), (503, &b"going"[..]));
    assert_eq!(fixture.ask("POST", "runs/a/cancel", "").await.code, 201);
    fixture.ended().await;
}

#[tokio::test]
async fn whoever_does_not_speak_tls_holds_up_nobody() {
    let fixture = Fixture::with(Limits {
        handshake: Duration::from_millis(300),
        ..Limits::default()
    })
    .await;
    let mut silent = Vec::new();
    for _ in 0..50 {
        silent.push(TcpStream::connect(fixture.address).await.unwrap());
    }
    assert_eq!(fixture.ask("POST", "runs/a/cancel", "").await.code, 201);
    // And they are shown the door.
    let mut byte = [0];
    let read = tokio::io::AsyncReadExt::read(&mut silent[0], &mut byte);
    let read = tokio::time::timeout(Duration::from_secs(10), read).await;
    assert!(matches!(read.unwrap(), Ok(0) | Err(_)));
}

#[tokio::test]
async fn strangers_do_not_take_the_places_of_callers() {
    let fixture = Fixture::with(Limits {
        strangers: 2,
        stranger_idle: Duration::from_secs(60),
        ..Limits::default()
    })
    .await;
    let (mut first, mut second) = (fixture.stranger().await, fixture.stranger().await);
    for connection in [&mut first, &mut second] {
        assert_eq!(send(connection, plain("GET", "/livez", "")).await.code, 200);
    }
    let refused = match fixture.try_connect(None).await {
        Ok(mut third) => begin(&mut third, plain("GET", "/livez", "")).await.is_err(),
        Err(_) => true,
    };
    assert!(refused);
    assert_eq!(fixture.ask("POST", "runs/a/cancel", "").await.code, 201);
}
