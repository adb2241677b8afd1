//! Records on their way to a collector, which is the OpenTelemetry Collector's own receiver, or one that fails.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use atelier_testkit::collector::attributes;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use rcgen::ExtendedKeyUsagePurpose;
use serde_json::{Value, json};
use tokio::{
    io::AsyncReadExt as _,
    net::TcpListener,
    time::{Instant, sleep},
};

use crate::{
    harness::{Gateway, PRIMARY, eventually, folder, in_pod},
    http_client::{call, connect, metrics, raw, request, score, send},
    models,
    outside::{ADDRESS, Outside, collector, logs_come},
    pki::Ca,
};

const PLAIN: &str = r#"{"version":1,"otlp":{"endpoint":"http://10.99.0.2:4318"}}"#;
const GZIP: &str = r#"{"version":1,"otlp":{"endpoint":"http://10.99.0.2:4318","gzip":true}}"#;
const TELEMETRY: &str = "telemetry.json";
const HEADERS: &str = "telemetry.headers";
const MANY: [&str; 4] = ["--concurrent-requests", "64", "--queue-wait-ms", "10000"];

async fn exporting(gateway: &Gateway, document: &str) {
    gateway.mount_entry(TELEMETRY, Some(document));
    gateway.logged("records are exported").await;
}

/// A counter, summed over its labels where several lines match.
async fn counter(name: &str, labels: &str) -> u64 {
    let metrics = metrics().await;
    let lines = metrics
        .lines()
        .filter(|line| line.starts_with(name) && line.contains(labels));
    lines
        .map(|line| {
            line.rsplit(' ')
                .next()
                .expect("a value")
                .parse::<u64>()
                .expect("a number")
        })
        .sum()
}

async fn exported(sink: &str) -> u64 {
    counter("atelier_gateway_telemetry_exported_total", sink).await
}

async fn dropped(labels: &str) -> u64 {
    counter("atelier_gateway_telemetry_dropped_total", labels).await
}

#[test]
fn a_request_arrives_as_a_log_record_and_a_span_of_its_callers_trace() {
    in_pod(|| async {
        let outside = Outside::new();
        let collector = collector(&outside, &[]).await;
        let seen = models::echo().await;
        let gateway = Gateway::ready(&["--compute-type", "Instance"]).await;
        exporting(&gateway, PLAIN).await;
        let headers = [
            ("x-api-key", PRIMARY),
            ("user-agent", "tester/1"),
            ("x-ms-client-request-id", "c-1"),
            ("x-request-id", "r-1"),
            (
                "traceparent",
                "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            ),
            ("tracestate", "a=b"),
        ];
        let answer = call(request("POST", "/score?code=s3cret", &headers, "12345")).await;
        let record = gateway.record("RequestId", "r-1").await;
        let log = logs_come(&collector, 1).await.remove(0);
        let mut found = attributes(&log);
        let ms = |name: &str| record[name].as_f64().expect(name);
        for (name, member) in [
            ("duration_ms", "Duration"),
            ("model_ms", "modelMs"),
            ("queue_ms", "queueMs"),
        ] {
            let value = found
                .as_object_mut()
                .expect("attributes")
                .remove(&format!("atelier.{name}"));
            assert_eq!(
                value.and_then(|value| value.as_f64()),
                Some(ms(member)),
                "{name}"
            );
        }
        let expected = json!({
            "http.request.method": "POST", "url.path": "/score", "http.route": "/score", "url.scheme": "http",
            "http.response.status_code": "200", "http.request.body.size": "5",
            "http.response.body.size": answer.body.len().to_string(), "user_agent.original": "tester/1",
            "atelier.auth.mode": "Key", "atelier.outcome": "Completed", "atelier.request.id": "r-1",
            "atelier.client_request.id": "c-1",
        });
        assert_eq!(found, expected);
        assert_eq!(log["severityText"], "INFO");
        assert_eq!(log["body"]["stringValue"], "Completed");
        assert_eq!(log["eventName"], "atelier.request");
        let resource = &collector.batches("logs")[0]["batch"]["resourceLogs"][0];
        assert_eq!(
            attributes(&resource["resource"]),
            json!({
                "service.name": "iris", "service.namespace": "ml", "service.instance.id": "iris-0",
                "k8s.namespace.name": "ml", "k8s.pod.name": "iris-0", "atelier.workspace.name": "ws",
                "atelier.compute.type": "Instance",
            })
        );
        assert_eq!(resource["scopeLogs"][0]["scope"]["name"], "atelier-gateway");

        eventually("a span", || async { collector.spans().len() == 1 }).await;
        let span = collector.spans().remove(0);
        assert_eq!(span["traceId"], "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!(span["parentSpanId"], "00f067aa0ba902b7");
        assert_eq!(
            (&span["name"], &span["kind"], &span["flags"]),
            (&json!("POST /score"), &json!(2), &json!(0x301))
        );
        assert_eq!(
            (&log["traceId"], &log["spanId"]),
            (&span["traceId"], &span["spanId"])
        );
        let nanos = |name: &str| {
            span[name]
                .as_str()
                .expect(name)
                .parse::<u64>()
                .expect("a number")
        };
        let lasted = (nanos("endTimeUnixNano") - nanos("startTimeUnixNano")) as f64 / 1e6;
        assert!((lasted - ms("Duration")).abs() < 0.001, "{lasted}");
        assert_eq!(log["timeUnixNano"], span["startTimeUnixNano"]);

        let told = &seen.requests()[0]["headers"];
        let told: Vec<Value> = serde_json::from_value(told.clone()).expect("pairs");
        let asked = format!(
            "00-4bf92f3577b34da6a3ce929d0e0e4736-{}-01",
            span["spanId"].as_str().expect("an id")
        );
        assert!(told.contains(&json!(["traceparent", asked])), "{told:?}");
        assert!(told.contains(&json!(["tracestate", "a=b"])));
        assert_eq!(exported("OtlpLogs").await, 1);
        let all = format!(
            "{:?}{:?}",
            collector.batches("logs"),
            collector.batches("traces")
        );
        assert!(!all.contains("s3cret") && !all.contains(PRIMARY));
    });
}

#[test]
fn refused_requests_are_exported_too_and_spans_only_where_the_caller_records() {
    in_pod(|| async {
        let outside = Outside::new();
        let collector = collector(&outside, &[]).await;
        models::echo().await;
        let gateway = Gateway::ready(&[]).await;
        exporting(&gateway, GZIP).await;
        let unsampled = (
            "traceparent",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00",
        );
        let key = ("x-api-key", PRIMARY);
        for (method, path, headers, status) in [
            ("POST", "/score", &[][..], 401),
            ("POST", "/s3cret-path", &[key], 404),
            ("PUT", "/swagger.json", &[key], 405),
            ("BREW", "/score", &[key, unsampled], 405),
            ("POST", "/score", &[key, unsampled], 200),
        ] {
            let answer = call(request(method, path, headers, "{}")).await;
            assert_eq!(answer.status, status, "{method} {path}");
        }
        raw(b"POST /score HTTP/1.1\r\nbroken\r\n\r\n").await;
        let logs = logs_come(&collector, 6).await;
        let of = |log: &Value, name: &str| attributes(log)[name].clone();
        let statuses: BTreeSet<_> = logs
            .iter()
            .map(|log| of(log, "http.response.status_code").to_string())
            .collect();
        assert_eq!(statuses.len(), 5, "{statuses:?}");
        let brewed = logs
            .iter()
            .find(|log| of(log, "http.request.method_original") == "BREW")
            .expect("a log");
        assert_eq!(of(brewed, "http.request.method"), "_OTHER");
        eventually("four spans", || async { collector.spans().len() == 4 }).await;
        let spans = collector.spans();
        let names: BTreeSet<_> = spans.iter().map(|span| span["name"].to_string()).collect();
        // What a client thought of is no span's name.
        assert_eq!(
            names,
            [
                "\"HTTP\"",
                "\"POST /score\"",
                "\"POST\"",
                "\"PUT /swagger.json\""
            ]
            .map(String::from)
            .into()
        );
        assert!(
            spans
                .iter()
                .all(|span| span["parentSpanId"].as_str().unwrap_or_default().is_empty())
        );
        // By the request's id, where that is a UUID.
        for record in gateway.records() {
            let id = record["RequestId"]
                .as_str()
                .expect("an id")
                .replace('-', "");
            let is_named = record["HTTPMethod"] == "BREW" || record["StatusCode"] == 200;
            assert_eq!(spans.iter().any(|span| span["traceId"] == id), !is_named);
        }
        assert_eq!(
            (exported("OtlpLogs").await, exported("OtlpTraces").await),
            (6, 4)
        );
    });
}

#[test]
fn the_export_is_turned_on_and_off_under_load_and_fails_nobody() {
    in_pod(|| async {
        let outside = Outside::new();
        let collector = collector(&outside, &[]).await;
        models::echo().await;
        let gateway = Gateway::ready(&MANY).await;
        let stop = Arc::new(std::sync::atomic::AtomicBool::new(false));
        let client = || {
            let stop = Arc::clone(&stop);
            tokio::spawn(async move {
                let mut connection = connect().await.expect("a connection");
                let mut asked = 0;
                while !stop.load(Ordering::Relaxed) {
                    let answer = send(&mut connection, score("{}")).await;
                    assert_eq!(answer.expect("an answer").status, 200);
                    asked += 1;
                }
                asked
            })
        };
        let clients: Vec<_> = (0..4).map(|_| client()).collect();
        sleep(Duration::from_secs(1)).await;
        assert_eq!(collector.logs().len(), 0);
        for document in [PLAIN, GZIP, PLAIN] {
            let before = collector.logs().len();
            gateway.mount_entry(TELEMETRY, Some(document));
            eventually("more log records", || async {
                collector.logs().len() > before
            })
            .await;
            gateway.mount_entry(TELEMETRY, None);
            sleep(Duration::from_secs(1)).await;
        }
        stop.store(true, Ordering::Relaxed);
        let mut asked = 0;
        for client in clients {
            asked += client.await.expect("no request fails");
        }
        // What was there when it was turned off still comes.
        eventually("all that was taken", || async {
            exported("OtlpLogs").await == collector.logs().len() as u64
        })
        .await;
        sleep(Duration::from_millis(500)).await;
        let ids: BTreeSet<_> = collector
            .logs()
            .iter()
            .map(|log| attributes(log)["atelier.request.id"].to_string())
            .collect();
        assert_eq!(ids.len(), collector.logs().len(), "none comes twice");
        assert!(ids.len() < asked, "{} of {asked}", ids.len());
        assert_eq!(dropped("").await, 0);
        // A request that came before it was turned on, and ended after, has no place in a trace.
        assert!(collector.spans().len() <= ids.len() && collector.spans().len() + 20 > ids.len());
    });
}

#[test]
fn a_collector_that_stalls_delays_no_request_and_what_it_costs_is_counted_to_the_last() {
    in_pod(|| async {
        let outside = Outside::new();
        let listener = outside.listen();
        tokio::spawn(async move {
            let mut held = vec![];
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut some = [0; 100];
                let _ = stream.read(&mut some).await;
                held.push(stream);
            }
        });
        models::echo().await;
        let gateway = Gateway::ready(&MANY).await;
        let mut connection = connect().await.expect("a connection");
        let mut slowest = Vec::new();
        for on in [false, true] {
            if on {
                exporting(&gateway, PLAIN).await;
            }
            let mut times = Vec::new();
            for _ in 0..6000 {
                let asked = Instant::now();
                let agent = "a".repeat(256);
                let denied = request("POST", "/score", &[("user-agent", &agent)], "");
                assert_eq!(
                    send(&mut connection, denied)
                        .await
                        .expect("an answer")
                        .status,
                    401
                );
                times.push(asked.elapsed());
            }
            times.sort();
            slowest.push((times[3000], times[5940]));
        }
        let [(_, _), (median, slow)] = slowest[..] else {
            unreachable!()
        };
        assert!(
            median < Duration::from_millis(5) && slow < Duration::from_millis(50),
            "{slowest:?}"
        );
        let full = dropped(r#"sink="OtlpLogs",reason="QueueFull""#).await;
        assert!(full > 0 && full < 6000, "{full}");
        // Turned off, it gives up on what it has.
        gateway.mount_entry(TELEMETRY, None);
        for sink in ["OtlpLogs", "OtlpTraces"] {
            eventually("all are counted", || async { dropped(sink).await == 6000 }).await;
            assert_eq!(exported(sink).await, 0);
        }
        gateway.logged("records are lost on their way").await;
    });
}

/// A collector that answers as it is told, and counts.
async fn answering(
    listener: TcpListener,
    asked: Arc<AtomicUsize>,
    answer: fn(usize) -> Response<Full<Bytes>>,
) {
    while let Ok((stream, _)) = listener.accept().await {
        let asked = Arc::clone(&asked);
        let service = service_fn(move |request: Request<Incoming>| {
            let asked = Arc::clone(&asked);
            async move {
                let is_logs = request.uri().path() == "/v1/logs";
                let _ = request.into_body().collect().await;
                let nth = if is_logs {
                    asked.fetch_add(1, Ordering::Relaxed)
                } else {
                    usize::MAX
                };
                Ok::<_, std::convert::Infallible>(answer(nth))
            }
        });
        tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    }
}

fn with_status(status: u16, retry: &str, body: &'static [u8]) -> Response<Full<Bytes>> {
    let response = Response::builder()
        .status(status)
        .header("retry-after", retry);
    response
        .body(Full::new(Bytes::from_static(body)))
        .expect("an answer")
}

#[test]
fn a_busy_collector_is_asked_again_when_it_says_so_and_a_refusal_is_final() {
    in_pod(|| async {
        let outside = Outside::new();
        let asked = Arc::new(AtomicUsize::new(0));
        tokio::spawn(answering(
            outside.listen(),
            Arc::clone(&asked),
            |nth| match nth {
                0 => with_status(503, "2", b""),
                1 => with_status(429, "0", b""),
                // Two of three are not wanted.
                3 => with_status(200, "0", b"\x0a\x06\x08\x02\x12\x02no"),
                4 => with_status(401, "0", b""),
                _ => with_status(200, "0", b""),
            },
        ));
        models::echo().await;
        let gateway = Gateway::ready(&MANY).await;
        exporting(&gateway, PLAIN).await;
        let begun = Instant::now();
        call(score("{}")).await;
        eventually("it is taken", || async { exported("OtlpLogs").await == 1 }).await;
        assert!(begun.elapsed() > Duration::from_secs(2));
        assert_eq!((asked.load(Ordering::Relaxed), dropped("").await), (3, 0));
        futures::future::join_all((0..3).map(|_| call(score("{}")))).await;
        eventually("one of three is taken", || async {
            exported("OtlpLogs").await == 2
        })
        .await;
        assert_eq!(dropped(r#"sink="OtlpLogs",reason="Rejected""#).await, 2);
        call(score("{}")).await;
        eventually("it is refused", || async {
            dropped(r#"reason="Refused""#).await == 1
        })
        .await;
        assert_eq!(asked.load(Ordering::Relaxed), 5);
        gateway.logged("the collector answered 401").await;
    });
}

#[test]
fn a_collector_is_reached_over_tls_with_a_credential_that_shows_nowhere() {
    in_pod(|| async {
        let outside = Outside::new();
        let (authority, other) = (Ca::new("one"), Ca::new("other"));
        let secret = authority.secret(ADDRESS, ExtendedKeyUsagePurpose::ServerAuth, &[]);
        let entries = secret.data.expect("a certificate");
        let dir = folder("collector");
        for (name, pem) in &entries {
            std::fs::write(dir.join(name), &pem.0).expect("a file");
        }
        let option = |name: &str, file: &str| format!("tls::{name}={}", dir.join(file).display());
        let collector = collector(
            &outside,
            &[
                option("cert_file", "tls.crt"),
                option("key_file", "tls.key"),
            ],
        )
        .await;
        models::echo().await;
        let gateway = Gateway::ready(&["--log", "trace"]).await;
        let target = |ca: &str| {
            json!({"version": 1, "otlp": {"endpoint": "https://10.99.0.2:4318", "gzip": true, "caBundle": ca}}).to_string()
        };
        exporting(&gateway, &target(&other.pem())).await;
        call(score("{}")).await;
        sleep(Duration::from_secs(2)).await;
        assert_eq!(collector.logs().len(), 0);
        gateway.mount_entry(HEADERS, Some(r#"{"authorization":"Bearer CANARY"}"#));
        gateway.mount_entry(TELEMETRY, Some(&target(&authority.pem())));
        eventually("it is trusted", || async {
            call(score("{}")).await;
            sleep(Duration::from_millis(300)).await;
            !collector.logs().is_empty()
        })
        .await;
        // What is not exactly right changes nothing.
        gateway.mount_entry(HEADERS, Some(r#"{"host":"CANARY"}"#));
        gateway.logged("cannot be done").await;
        gateway.mount_entry(
            TELEMETRY,
            Some(r#"{"version":1,"otlp":{"endpoint":"http://localhost:5001"}}"#),
        );
        eventually("both are refused", || async {
            counter("atelier_gateway_telemetry_rejected_total", "").await >= 2
        })
        .await;
        let before = collector.logs().len();
        call(score("{}")).await;
        eventually("one more", || async { collector.logs().len() > before }).await;
        let batches = collector.batches("logs");
        assert!(
            batches
                .iter()
                .all(|batch| batch["authorization"] == "Bearer CANARY"),
            "{batches:?}"
        );
        let told = gateway.said() + &metrics().await;
        assert!(!told.contains("CANARY"), "{told}");
        std::fs::remove_dir_all(dir).expect("a directory");
    });
}

#[test]
fn a_gateway_that_ends_sends_what_it_has() {
    in_pod(|| async {
        let outside = Outside::new();
        let collector = collector(&outside, &[]).await;
        models::echo().await;
        let mut gateway = Gateway::ready(&MANY).await;
        exporting(&gateway, PLAIN).await;
        futures::future::join_all((0..200).map(|_| call(score("{}")))).await;
        gateway.terminate();
        assert!(gateway.exit().await.success());
        logs_come(&collector, 200).await;
        assert_eq!(collector.spans().len(), 200);
    });
}
