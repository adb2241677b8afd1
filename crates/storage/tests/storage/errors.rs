//! What is told when something is wrong.

use std::time::Duration;

use atelier_storage::{Connection, Credential, Error, Place, ProbeStep, Trust};
use bytes::Bytes;

use crate::server::{Server, free_port};

/// What the first step of a probe says.
async fn refusal(server: &Server, change: impl FnOnce(&mut Connection)) -> Error {
    let mut connection = server.connection();
    change(&mut connection);
    let store = server.store_by(&connection);
    let failed = store.probe(Duration::from_secs(20)).await.unwrap_err();
    assert_eq!(failed.step, ProbeStep::Write);
    failed.reason
}

fn embedded(port: u16, bucket: &str) -> Place {
    Place::Embedded {
        endpoint: format!("https://127.0.0.1:{port}"),
        bucket: bucket.to_owned(),
    }
}

fn port(connection: &Connection) -> u16 {
    let Place::Embedded { endpoint, .. } = &connection.place else {
        panic!("another place");
    };
    endpoint.rsplit(':').next().unwrap().parse().unwrap()
}

#[tokio::test]
async fn each_says_what_to_do() {
    let server = Server::start();
    server.store().probe(Duration::from_secs(20)).await.unwrap();

    let wrong = refusal(&server, |connection| {
        connection.credential = Credential::AccessKey {
            id: "atelier".to_owned(),
            secret: "wrong".to_owned().into(),
        };
    });
    let wrong = wrong.await;
    assert!(matches!(wrong, Error::WrongCredential { .. }), "{wrong}");
    let unknown = refusal(&server, |connection| {
        connection.credential = Credential::AccessKey {
            id: "nobody".to_owned(),
            secret: "wrong".to_owned().into(),
        };
    });
    let unknown = unknown.await;
    assert!(
        matches!(unknown, Error::WrongCredential { .. }),
        "{unknown}"
    );

    let bucket = refusal(&server, |connection| {
        connection.place = embedded(port(connection), "elsewhere");
    });
    let bucket = bucket.await;
    assert!(
        matches!(&bucket, Error::NoBucket { bucket, .. } if bucket == "elsewhere"),
        "{bucket}"
    );

    let nobody = refusal(&server, |connection| {
        connection.place = embedded(free_port(), "workspace");
    });
    let nobody = nobody.await;
    assert!(
        matches!(&nobody, Error::Unreachable { reason, .. } if reason.contains("refused")),
        "{nobody}"
    );

    let other = Server::start();
    let untrusted = refusal(&server, |connection| {
        connection.trust = Trust::Bundle(other.certificate.clone());
    });
    let untrusted = untrusted.await;
    assert!(matches!(untrusted, Error::Untrusted { .. }), "{untrusted}");
    let public = refusal(&server, |connection| connection.trust = Trust::Public).await;
    assert!(matches!(public, Error::Untrusted { .. }), "{public}");
}

#[tokio::test]
async fn an_access_key_that_is_taken_away_is_refused_at_once() {
    let server = Server::start();
    let store = server.store();
    store
        .put_bytes("a", Bytes::from_static(b"x"))
        .await
        .unwrap();
    server.revoke_access_key();
    let refused = store.get("a").await.unwrap_err();
    assert!(
        matches!(refused, Error::WrongCredential { .. }),
        "{refused}"
    );
}

#[tokio::test]
async fn a_server_that_is_away_is_said_to_be_and_comes_back() {
    let mut server = Server::start();
    let store = server.store();
    server.kill();
    let failed = store.probe(Duration::from_secs(20)).await.unwrap_err();
    assert!(
        matches!(failed.reason, Error::Unreachable { .. }),
        "{failed}"
    );
    server.run();
    store.probe(Duration::from_secs(20)).await.unwrap();
}

#[tokio::test]
async fn a_probe_ends_in_time_where_nobody_answers() {
    let server = Server::start();
    // Accepts, and never says a word.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut connection = server.connection();
    connection.place = embedded(silent.local_addr().unwrap().port(), "workspace");
    let begun = std::time::Instant::now();
    let store = server.store_by(&connection);
    let failed = store.probe(Duration::from_secs(1)).await.unwrap_err();
    assert!(
        matches!(failed.reason, Error::Unreachable { .. }),
        "{failed}"
    );
    assert!(begun.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn an_object_may_be_called_like_an_error() {
    let server = Server::start();
    let store = server.store();
    for path in ["NoSuchBucket", "InvalidAccessKeyId"] {
        let missing = store.get(path).await.unwrap_err();
        assert!(matches!(missing, Error::NotFound(_)), "{missing}");
        store.delete(path).await.unwrap();
    }
}
