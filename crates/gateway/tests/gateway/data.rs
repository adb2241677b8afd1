//! Inputs and predictions: which are collected, of what they consist, and what that costs.

use std::{convert::Infallible, time::Duration};

use atelier_api::report::WantedData;
use atelier_gateway::data::{MOST, is_sampled};
use bytes::Bytes;
use futures::channel::mpsc;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::{Frame, Incoming};
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::{task::JoinSet, time::timeout};

use crate::{
    collecting::{Collecting, DATA, ids, json_answer, model, post, typed},
    harness::{PATIENCE, PRIMARY, eventually, in_pod},
    http_client::{call, connect, request, score},
    models::{self, Seen},
    pki::Ca,
    tls_client::{Client, H2},
};

#[test]
fn input_and_prediction_are_there_byte_for_byte_and_nothing_else_of_a_call() {
    in_pod(|| async {
        const INPUT: &str =
            r#"{"a b":[1.50,-0,1E5,12345678901234567890123,"\u00e9\"é\\"],"a b":null}"#;
        const PREDICTION: &str = r#"[0.10,{"label":"Sieben \ud83d\ude00"}]"#;
        model(|_| json_answer(&format!(" {}\n", PREDICTION.replace(",{", ",\r\n\t{")))).await;
        let gateway = Collecting::start(DATA, None, &[]).await;
        let headers = [
            ("authorization", "Bearer atl_primary"),
            ("cookie", "canary-cookie"),
            ("user-agent", "canary-agent"),
            ("x-atelier-subject", "canary-subject"),
            ("x-request-id", "r-1"),
            ("x-ms-client-request-id", "c-1"),
            ("content-type", "application/json; charset=utf-8"),
        ];
        let sent = INPUT.replace(",\"a b\"", "\n ,\t\"a b\"");
        let answer = call(request(
            "POST",
            "/score?token=canary-query",
            &headers,
            &sent,
        ))
        .await;
        assert_eq!(answer.status, 200);
        let calls = gateway.collected(1).await;
        let line = gateway.lines().remove(0);
        assert!(line.contains(&format!("\"input\":{INPUT},")), "{line}");
        assert!(
            line.ends_with(&format!("\"prediction\":{PREDICTION}}}")),
            "{line}"
        );
        let mut call = calls[0].clone();
        let members = call.as_object_mut().expect("an object");
        for of_bodies in ["input", "prediction"] {
            members.remove(of_bodies).expect("there");
        }
        let time = members.remove("time").expect("there");
        let time: Timestamp = time
            .as_str()
            .and_then(|time| time.parse().ok())
            .expect("a time");
        assert!(Timestamp::now().duration_since(time).as_secs() < 60);
        let expected = json!({"requestId": "r-1", "clientRequestId": "c-1", "service": "iris", "workspace": "ws",
            "namespace": "ml", "replica": "iris-0", "inputContentType": "application/json; charset=utf-8",
            "inputBytes": sent.len(), "predictionContentType": "application/json",
            "predictionBytes": answer.body.len()});
        assert_eq!(call, expected);
        assert!(!line.contains("canary") && !line.contains("atl_"), "{line}");
        // The record is what it always was, without any of it.
        let record = String::from_utf8(gateway.records.bytes()).expect("text");
        assert!(
            !record.contains("Sieben") && !record.contains("1E5"),
            "{record}"
        );
    });
}

#[test]
fn what_is_collected_of_many_calls_is_the_share_that_their_ids_say() {
    in_pod(|| async {
        model(json_answer).await;
        let share = WantedData {
            sample_percent: 30,
            ..DATA
        };
        let gateway = Collecting::start(share, None, &[]).await;
        let all: Vec<_> = (0..200).map(|n| format!("r-{n}")).collect();
        for id in &all {
            let answer = call(post(id, "application/json", "[1]")).await;
            assert_eq!(answer.status, 200);
        }
        let expected = all.iter().map(String::as_str);
        let expected: Vec<_> = expected.filter(|id| is_sampled(id, 30)).collect();
        assert!((30..90).contains(&expected.len()), "{}", expected.len());
        let calls = gateway.collected(expected.len() as u64).await;
        assert_eq!(ids(&calls), expected);
        assert_eq!(gateway.dropped(""), 0);
    });
}

#[test]
fn calls_that_are_refused_fail_or_are_given_up_are_not_collected() {
    in_pod(|| async {
        models::serve(Seen::default(), |request: Request<Incoming>| async {
            let body = request.into_body().collect().await;
            let body = body.map_or_else(|_| Bytes::new(), |body| body.to_bytes());
            let (status, hangs) = match &body[..] {
                b"\"bad\"" => (400, false),
                b"\"worse\"" => (500, false),
                b"\"hangs\"" => (200, true),
                _ => (200, false),
            };
            let (parts, frames) = mpsc::unbounded::<Result<Frame<Bytes>, Infallible>>();
            parts
                .unbounded_send(Ok(Frame::data("[7]".into())))
                .expect("open");
            if hangs {
                // Nobody says more, nor that it was all.
                std::mem::forget(parts);
            }
            let response = Response::builder().status(status);
            let response = response.header("content-type", "application/json");
            response.body(StreamBody::new(frames)).expect("a response")
        })
        .await;
        let gateway =
            Collecting::start(DATA, None, &["--max-body-bytes=64", "--timeout-ms=1500"]).await;
        let json = "application/json";
        let wrong = [("x-api-key", "atl_wrong"), ("content-type", json)];
        let other = [("x-api-key", PRIMARY), ("content-type", json)];
        for (request, expected) in [
            (request("POST", "/score", &wrong, "\"denied\""), 401),
            (request("POST", "/elsewhere", &other, "\"lost\""), 404),
            (
                post("r-large", json, &format!("\"{}\"", "x".repeat(100))),
                413,
            ),
            (post("r-bad", json, "\"bad\""), 400),
            (post("r-worse", json, "\"worse\""), 500),
            (request("OPTIONS", "/score", &other, ""), 200),
        ] {
            assert_eq!(call(request).await.status, expected);
        }
        // The model never ends, and so the time does: what the client had by then was no answer.
        let mut connection = connect().await.expect("a connection");
        let answer = connection
            .send_request(post("r-hangs", json, "\"hangs\""))
            .await;
        let mut body = answer.expect("an answer").into_body();
        assert!(body.frame().await.expect("a frame").is_ok());
        assert!(body.frame().await.expect("a frame").is_err());
        // And who leaves in the middle has none either.
        let mut connection = connect().await.expect("a connection");
        let answer = connection
            .send_request(post("r-leaves", json, "\"hangs\""))
            .await;
        let mut body = answer.expect("an answer").into_body();
        assert!(body.frame().await.expect("a frame").is_ok());
        drop((body, connection));
        eventually("nothing is held of them", || async { gateway.held() == 0 }).await;
        let good = call(post("r-good", json, "\"good\"")).await;
        assert_eq!(good.status, 200);
        let calls = gateway.collected(1).await;
        assert_eq!(
            (ids(&calls), &calls[0]["input"]),
            (vec!["r-good"], &json!("good"))
        );
        assert_eq!(gateway.dropped(""), 0);
    });
}

#[test]
fn bodies_stream_as_ever_while_they_are_collected() {
    in_pod(|| async {
        models::serve(Seen::default(), |request: Request<Incoming>| async {
            let response = Response::builder().header("content-type", "text/event-stream");
            response.body(request.into_body()).expect("a response")
        })
        .await;
        let gateway = Collecting::start(DATA, None, &["--concurrent-requests=2"]).await;
        let begin = async |id: &str| {
            let (parts, body) = mpsc::unbounded::<Result<Frame<Bytes>, Infallible>>();
            let request = Request::post("/score")
                .header("host", "h")
                .header("x-api-key", PRIMARY);
            let request = request
                .header("x-request-id", id)
                .header("content-type", "text/plain");
            let request = request.body(StreamBody::new(body)).expect("a request");
            let mut connection = connect().await.expect("a connection");
            let answer = timeout(PATIENCE, connection.send_request(request)).await;
            let mut body = answer
                .expect("before the request's end")
                .expect("an answer")
                .into_body();
            for part in ["one\n", "two\n", "three"] {
                parts
                    .unbounded_send(Ok(Frame::data(part.into())))
                    .expect("an open request");
                let frame = timeout(PATIENCE, body.frame()).await.expect("in time");
                let frame = frame.expect("a frame").expect("data");
                assert_eq!(frame.into_data().expect("data"), part);
            }
            (parts, body, connection)
        };
        // One that never ends, and one that does.
        let endless = begin("r-endless").await;
        let (parts, mut body, _connection) = begin("r-ends").await;
        drop(parts);
        assert!(body.frame().await.is_none());
        eventually("it has come", || async { gateway.exported() == 1 }).await;
        drop(endless);
        let calls = gateway.collected(1).await;
        assert_eq!(ids(&calls), ["r-ends"]);
        for (name, content_type) in [("input", "text/plain"), ("prediction", "text/event-stream")] {
            assert_eq!(calls[0][name], "one\ntwo\nthree");
            assert_eq!(calls[0][format!("{name}ContentType")], content_type);
            assert_eq!(calls[0][format!("{name}Bytes")], 13);
        }
    });
}

#[test]
fn what_is_too_long_no_text_or_compressed_is_said_and_not_kept() {
    in_pod(|| async {
        model(|body| match body {
            "image" => typed("image/png", &b"\x89PNG canary"[..]),
            "gzip" => {
                let mut response = typed("application/json", &b"\x1f\x8b canary"[..]);
                let coding = "gzip".parse().expect("a value");
                response.headers_mut().insert("content-encoding", coding);
                response
            }
            "nothing" => typed("application/json", ""),
            "long" => typed("text/csv", "canary ".repeat(20)),
            other => json_answer(other),
        })
        .await;
        let short = WantedData {
            max_bytes: 100,
            ..DATA
        };
        let gateway = Collecting::start(short, None, &[]).await;
        let long = format!("[\"{}\"]", "canary ".repeat(20));
        for (id, content_type, body) in [
            ("r-image", "text/plain", "image"),
            ("r-gzip", "text/plain", "gzip"),
            ("r-nothing", "text/plain", "nothing"),
            ("r-long", "text/plain", "long"),
            ("r-long-too", "application/json", long.as_str()),
            ("r-photo", "image/jpeg", "canary"),
            ("r-form", "application/x-www-form-urlencoded", "{\"a\": 1}"),
        ] {
            assert_eq!(call(post(id, content_type, body)).await.status, 200);
        }
        let calls = gateway.collected(7).await;
        let side = |call: &Value, name: &str| {
            let skipped = call[format!("{name}Skipped")].clone();
            (
                call[name].clone(),
                skipped,
                call[format!("{name}Bytes")].clone(),
            )
        };
        let sides: Vec<_> = calls
            .iter()
            .map(|call| (side(call, "input"), side(call, "prediction")))
            .collect();
        let kept = |value: Value, length: usize| (value, Value::Null, json!(length));
        let skipped = |why: &str, length: usize| (Value::Null, json!(why), json!(length));
        assert_eq!(
            sides,
            [
                (kept(json!("image"), 5), skipped("ContentType", 11)),
                (kept(json!("gzip"), 4), skipped("ContentEncoding", 9)),
                (kept(json!("nothing"), 7), kept(Value::Null, 0)),
                (kept(json!("long"), 4), skipped("TooLong", 140)),
                (skipped("TooLong", 144), skipped("TooLong", 144)),
                (skipped("ContentType", 6), kept(json!("canary"), 6)),
                (kept(json!({"a": 1}), 8), kept(json!({"a": 1}), 8)),
            ]
        );
        let lines = gateway.lines().join("\n");
        assert_eq!(lines.matches("canary").count(), 1, "{lines}");
    });
}

#[test]
fn it_is_turned_on_and_off_without_a_restart_and_nobody_notices() {
    in_pod(|| async {
        model(json_answer).await;
        let gateway = Collecting::start(DATA, None, &[]).await;
        let ask = async |id: &str| {
            let answer = call(post(id, "application/json", "[1]")).await;
            assert_eq!(answer.status, 200);
        };
        ask("r-1").await;
        gateway.want(None).await;
        ask("r-2").await;
        // What there was is sent at once.
        let calls = gateway.collected(1).await;
        assert_eq!(ids(&calls), ["r-1"]);
        gateway
            .want(Some(WantedData {
                max_bytes: 2,
                ..DATA
            }))
            .await;
        ask("r-3").await;
        let calls = gateway.collected(2).await;
        assert_eq!(ids(&calls), ["r-1", "r-3"]);
        assert_eq!(calls[1]["inputSkipped"], "TooLong");
        assert_eq!(gateway.dropped(""), 0);
    });
}

#[test]
fn it_is_turned_off_at_once_even_where_nobody_takes_what_there_is() {
    in_pod(|| async {
        model(json_answer).await;
        let gateway = Collecting::start(DATA, None, &[]).await;
        *gateway.intake.answer.lock().expect("whole") = StatusCode::SERVICE_UNAVAILABLE;
        let body = format!("[\"{}\"]", "x".repeat(1000));
        // Until the archivist waits for a part to be taken.
        eventually("parts wait", || async {
            let answer = call(post("r", "application/json", &body)).await;
            answer.status == 200 && gateway.intake.came().len() > 1
        })
        .await;
        gateway.want(None).await;
        let held = gateway.held();
        for _ in 0..10 {
            assert_eq!(call(post("r", "application/json", &body)).await.status, 200);
        }
        assert!(gateway.held() <= held, "{} of {held}", gateway.held());
    });
}

#[test]
fn over_http_2_calls_are_collected_too() {
    in_pod(|| async {
        model(json_answer).await;
        let ca = Ca::new("public");
        let gateway = Collecting::start(DATA, Some(&ca), &[]).await;
        let client = Client::new(&ca, H2, &[&rustls::version::TLS13]);
        let mut connection = client.connect().await.expect("let in");
        for n in 0..3 {
            let request = post(&format!("r-{n}"), "application/json", &format!("[{n}]"));
            assert_eq!(
                connection.send(request).await.expect("an answer").status,
                200
            );
        }
        let calls = gateway.collected(3).await;
        assert_eq!(ids(&calls), ["r-0", "r-1", "r-2"]);
        for (n, call) in calls.iter().enumerate() {
            assert_eq!(
                (&call["input"], &call["prediction"]),
                (&json!([n]), &json!([n]))
            );
        }
    });
}

/// A body that cannot be compressed away.
fn noise(length: usize, random: &mut u64) -> String {
    let mut noise = String::from("\"");
    while noise.len() < length - 1 {
        *random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        noise.push_str(&format!("{random:016x}"));
    }
    noise.truncate(length - 1);
    noise + "\""
}

#[test]
fn a_storage_that_stalls_costs_bounded_memory_and_each_call_is_counted() {
    in_pod(|| async {
        model(json_answer).await;
        let gateway = Collecting::start(DATA, None, &[]).await;
        *gateway.intake.answer.lock().expect("whole") = StatusCode::SERVICE_UNAVAILABLE;
        let (mut random, mut sent) = (1, 0);
        while gateway.dropped("QueueFull") < 5 {
            let body = noise(60_000, &mut random);
            let answer = call(post(&format!("r-{sent}"), "application/json", &body)).await;
            assert_eq!((answer.status, answer.body.len()), (StatusCode::OK, 60_000));
            sent += 1;
            assert!(gateway.held() <= MOST, "{}", gateway.held());
            assert!(sent < 500, "{sent}");
        }
        let data = &gateway.gateway.reporter.data;
        data.finish(Duration::from_millis(200)).await;
        let lost = gateway.dropped("QueueFull") + gateway.dropped("Ended");
        assert_eq!((lost, gateway.exported(), gateway.held()), (sent, 0, 0));
        // Small ones and large ones go on being answered.
        assert_eq!(call(score("{}")).await.status, 200);
    });
}

#[test]
fn what_is_in_flight_is_bounded_too_and_all_that_has_room_is_kept() {
    in_pod(|| async {
        const LENGTH: usize = 262_144;
        model(|_| json_answer("[]")).await;
        let most = WantedData {
            max_bytes: LENGTH as u32,
            ..DATA
        };
        let gateway = Collecting::start(most, None, &["--concurrent-requests=64"]).await;
        // Each has all of its body but the last byte with the model.
        let mut open = JoinSet::new();
        let mut ends = vec![];
        for n in 0..48 {
            let (parts, body) = mpsc::unbounded::<Result<Frame<Bytes>, Infallible>>();
            let first = Bytes::from(format!("\"{}", "x".repeat(LENGTH - 2)));
            parts.unbounded_send(Ok(Frame::data(first))).expect("open");
            ends.push(parts);
            open.spawn(async move {
                let request = Request::post("/score")
                    .header("host", "h")
                    .header("x-api-key", PRIMARY);
                let request = request.header("x-request-id", format!("r-{n}"));
                let request = request.header("content-type", "application/json");
                let request = request.body(StreamBody::new(body)).expect("a request");
                let mut connection = connect().await.expect("a connection");
                let answer = connection.send_request(request).await.expect("an answer");
                answer.status()
            });
        }
        eventually("there is no more room", || async {
            gateway.held() > MOST - LENGTH
        })
        .await;
        assert!(gateway.held() <= MOST);
        for parts in ends {
            parts
                .unbounded_send(Ok(Frame::data("\"".into())))
                .expect("open");
        }
        let statuses = open.join_all().await;
        assert!(statuses.iter().all(|status| *status == 200), "{statuses:?}");
        eventually("all are counted", || async {
            gateway.exported() + gateway.dropped("QueueFull") == 48 && gateway.held() == 0
        })
        .await;
        let calls = gateway.collected(gateway.exported()).await;
        assert!((16..48).contains(&calls.len()), "{}", calls.len());
        for call in calls {
            let input = call["input"].as_str().map(str::len);
            assert_eq!(input, Some(LENGTH - 2));
        }
    });
}
