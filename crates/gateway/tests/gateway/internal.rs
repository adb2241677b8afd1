//! The operator's way in: who comes in by it, and in whose name.

use std::{sync::Arc, time::Duration};

use atelier_gateway::{
    args, internal::Internal, lifecycle::Lifecycle, metrics::Metrics, policy::Store,
};
use atelier_pki::{Reloading, client_config};
use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use serde_json::Value;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;

use crate::{
    harness::{Gateway, eventually, in_pod, policy},
    http_client::{Answer, call, request, send},
    inside::{Lines, gateway},
    models,
    pki::{Ca, OPERATOR, SERVER, reading},
};

type Connection = SendRequest<Full<Bytes>>;

/// The operator's listener of a gateway whose certificate is offered here instead of by an API server.
struct Inner {
    certificate: Arc<Reloading>,
    port: u16,
    records: Lines,
}

impl Inner {
    async fn start(more: &[&str]) -> Self {
        let line = [
            "atelier-gateway",
            "--namespace=ml",
            "--service=iris",
            "--workspace=ws",
            "--replica=iris-0",
        ];
        let line = line.iter().chain(more).map(Into::into);
        let args = args::parse(line).expect("valid");
        let (metrics, records) = (Metrics::new(), Lines::default());
        // It has loaded no policy: the operator's word is not a matter of policy.
        let policy = Arc::new(Store::new(metrics.clone()));
        let (gateway, limits) = gateway(&args, policy, &records, &metrics);
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let certificate = Reloading::new("iris-gateway-tls");
        let internal = Internal::new(certificate.clone(), OPERATOR).expect("a name");
        let port = listener.local_addr().expect("bound").port();
        tokio::spawn(internal.serve(listener, limits, Lifecycle::default(), gateway));
        Self {
            certificate,
            port,
            records,
        }
    }

    /// A connection of a client with this certificate, or none, that trusts as it says.
    async fn connect(
        &self,
        trust: &Arc<Reloading>,
        identity: Option<&Arc<Reloading>>,
    ) -> Result<Connection, String> {
        let config = client_config(trust, identity).expect("TLS");
        let connector = TlsConnector::from(Arc::new(config));
        let stream = TcpStream::connect(("127.0.0.1", self.port)).await;
        let name = ServerName::try_from(SERVER).expect("a name");
        let stream = connector.connect(name, stream.expect("it listens")).await;
        let stream = TokioIo::new(stream.map_err(|error| error.to_string())?);
        let (sender, connection) = http1::handshake(stream).await.expect("HTTP");
        tokio::spawn(connection);
        Ok(sender)
    }

    /// One request on a connection of its own.
    async fn ask(
        &self,
        trust: &Arc<Reloading>,
        identity: Option<&Arc<Reloading>>,
        request: Request<Full<Bytes>>,
    ) -> Result<Answer, String> {
        let mut connection = self.connect(trust, identity).await?;
        let answer = send(&mut connection, request).await;
        answer.map_err(|error| format!("{error:?}"))
    }

    async fn record(&self) -> Value {
        let written = || self.records.bytes();
        eventually("a record", || async { written().ends_with(b"\n") }).await;
        serde_json::from_slice(&written()).expect("one record")
    }
}

fn as_rita(body: &str) -> Request<Full<Bytes>> {
    let headers = [("x-atelier-subject", "rita"), ("x-request-id", "r-1")];
    request("POST", "/score", &headers, body)
}

/// What the model was told of the caller.
fn told(request: &Value) -> Vec<&str> {
    let headers = request["headers"].as_array().expect("headers").iter();
    let subjects = headers.filter(|header| header[0] == "x-atelier-subject");
    subjects.filter_map(|header| header[1].as_str()).collect()
}

#[test]
fn only_the_operator_comes_in_and_says_in_whose_name() {
    in_pod(|| async {
        let seen = models::echo().await;
        let (ca, foreign) = (Ca::new("ours"), Ca::new("foreign"));
        let inner = Inner::start(&["--max-body-bytes=64"]).await;
        inner.certificate.offer(&ca.server(&[&ca]));
        let operator = reading(&ca.client(OPERATOR, &[&ca]));
        let strangers = [
            None,
            Some(reading(&ca.client("other.atelier.svc", &[&ca]))),
            Some(reading(&ca.server(&[&ca]))),
            Some(reading(&foreign.client(OPERATOR, &[&ca]))),
        ];
        for stranger in &strangers {
            let answer = inner.ask(&operator, stranger.as_ref(), as_rita("1")).await;
            answer.expect_err("not let in");
        }
        assert_eq!(seen.requests().len(), 0);

        let answer = inner.ask(&operator, Some(&operator), as_rita("12")).await;
        let answer = answer.expect("an answer");
        assert_eq!(
            (answer.status.as_u16(), &answer.headers["x-request-id"]),
            (200, &"r-1".parse().expect("a value"))
        );
        assert_eq!(told(&answer.json()), ["rita"]);
        let record = inner.record().await;
        assert_eq!(
            (&record["subject"], &record["authMode"], &record["bytesIn"]),
            (&"rita".into(), &"Action".into(), &2.into())
        );
        // Limits are those of everybody.
        let large = as_rita(&"x".repeat(65));
        let answer = inner.ask(&operator, Some(&operator), large).await;
        assert_eq!(answer.expect("an answer").status, 413);
        // In nobody's name, nothing is asked; and it is not the caller who is refused.
        let nobody = request("POST", "/score", &[("x-api-key", "atl_primary")], "");
        let answer = inner.ask(&operator, Some(&operator), nobody).await;
        let answer = answer.expect("an answer");
        assert_eq!(answer.status, 503);
        assert_eq!(answer.json()["code"], "Unvouched");
        assert_eq!(seen.requests().len(), 1);
    });
}

#[test]
fn a_connection_does_not_outlive_the_trust_in_it() {
    in_pod(|| async {
        models::echo().await;
        let (ca, next) = (Ca::new("ours"), Ca::new("next"));
        let inner = Inner::start(&[]).await;
        inner.certificate.offer(&ca.server(&[&ca]));
        let operator = reading(&ca.client(OPERATOR, &[&ca]));
        let mut connection = inner
            .connect(&operator, Some(&operator))
            .await
            .expect("let in");
        let mut ask = async || send(&mut connection, as_rita("")).await.expect("an answer");
        assert_eq!(ask().await.status, 200);
        inner.certificate.offer(&next.server(&[&ca, &next]));
        assert_eq!(ask().await.status, 200);
        inner.certificate.offer(&next.server(&[&next]));
        let refused = ask().await;
        assert_eq!(
            (
                refused.status.as_u16(),
                refused.headers["connection"].as_bytes()
            ),
            (503, &b"close"[..])
        );
    });
}

#[test]
fn authorities_come_and_go_and_no_request_fails() {
    in_pod(|| async {
        models::echo().await;
        let inner = Inner::start(&["--concurrent-requests=8"]).await;
        let mut now = Ca::new("0");
        inner.certificate.offer(&now.server(&[&now]));
        let operator = reading(&now.client(OPERATOR, &[&now]));
        let mut kept = inner
            .connect(&operator, Some(&operator))
            .await
            .expect("let in");
        let mut requests = 0;
        for n in 1..=100 {
            let next = Ca::new(&n.to_string());
            let both = [&now, &next];
            let steps = [
                // Those who verify come before those who show.
                (now.server(&both), now.client(OPERATOR, &both)),
                (next.server(&both), next.client(OPERATOR, &both)),
                (next.server(&[&next]), next.client(OPERATOR, &[&next])),
            ];
            for (server, client) in &steps {
                // One of the two is always the first to know.
                let offers = [(&inner.certificate, server), (&operator, client)];
                let order = if n % 2 == 0 { [0, 1] } else { [1, 0] };
                for which in order {
                    let (reader, secret) = offers[which];
                    reader.offer(secret);
                    let answer = inner.ask(&operator, Some(&operator), as_rita("")).await;
                    assert_eq!(answer.expect("an answer").status, 200, "{n}");
                    requests += 1;
                }
                let renewed = inner.connect(&operator, Some(&operator)).await;
                let answer = send(&mut kept, as_rita("")).await.expect("an answer");
                assert_eq!(answer.status, 200, "{n}");
                kept = renewed.expect("let in");
            }
            now = next;
        }
        println!(
            "100 authorities, {requests} handshakes and 300 requests on kept connections: none failed"
        );
    });
}

#[test]
fn the_public_way_believes_no_name_and_needs_no_certificate() {
    in_pod(|| async {
        let seen = models::echo().await;
        let line = [
            "--internal-listen=0.0.0.0:8443",
            "--internal-secret=iris-gateway-tls",
            "--internal-client=operator.atelier.svc",
        ];
        let gateway = Gateway::spawn(Some(&policy(None)), &line, true);
        gateway.until_ready().await;
        let headers = [
            ("x-atelier-subject", "root"),
            ("x_atelier_subject", "root"),
            ("x-request-id", "p-1"),
        ];
        let answer = call(request("POST", "/score", &headers, "")).await;
        assert_eq!(answer.status, 200);
        assert!(told(&seen.requests()[0]).is_empty());
        let record = gateway.record("RequestId", "p-1").await;
        assert_eq!(
            (&record["authMode"], &record["subject"]),
            (&"None".into(), &Value::Null)
        );
        // Its own way in listens, and lets nobody in.
        let ca = Ca::new("any");
        let reader = reading(&ca.client(OPERATOR, &[&ca]));
        let config = client_config(&reader, Some(&reader)).expect("TLS");
        let stream = TcpStream::connect("127.0.0.1:8443")
            .await
            .expect("it listens");
        let name = ServerName::try_from(SERVER).expect("a name");
        let shaken = TlsConnector::from(Arc::new(config)).connect(name, stream);
        let shaken = tokio::time::timeout(Duration::from_secs(5), shaken).await;
        shaken.expect("in time").expect_err("no certificate");
        println!("at rest: {} KiB", gateway.resident_kib());
    });
}
