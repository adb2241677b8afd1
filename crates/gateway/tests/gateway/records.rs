//! What is told about requests, and what must never be.

use crate::{
    harness::{Gateway, PRIMARY, SECONDARY, eventually, in_pod, policy},
    http_client::{call, metrics, raw, request, score},
    models,
};

#[test]
fn a_record_says_everything_about_a_request() {
    in_pod(|| async {
        models::echo().await;
        let gateway = Gateway::ready(&["--compute-type", "Instance"]).await;
        let headers = [
            ("x-api-key", PRIMARY),
            ("user-agent", "tester/1"),
            ("x-ms-client-request-id", "c-1"),
            ("x-request-id", "r-1"),
        ];
        let answer = call(request("POST", "/score?code=s3cret", &headers, "12345")).await;
        let mut record = gateway.record("RequestId", "r-1").await;
        let time = record["time"].as_str().expect("a time");
        assert!(time.len() == 27 && time.ends_with('Z'), "{time}");
        let number = |name: &str| record[name].as_f64().expect(name);
        assert!(
            number("Duration") >= number("modelMs")
                && number("modelMs") > 0.0
                && number("queueMs") >= 0.0
        );
        for varying in ["time", "Duration", "modelMs", "queueMs"] {
            record.as_object_mut().expect("an object").remove(varying);
        }
        assert_eq!(
            record,
            serde_json::json!({
                "name": "/score", "HTTPMethod": "POST", "UserAgent": "tester/1", "ComputeType": "Instance",
                "RequestUrl": "/score?REDACTED", "StatusCode": 200, "RequestId": "r-1", "ClientRequestId": "c-1",
                "service": "iris", "workspace": "ws", "namespace": "ml", "replica": "iris-0", "authMode": "Key",
                "bytesIn": 5, "bytesOut": answer.body.len(), "outcome": "Completed",
            })
        );
    });
}

#[test]
fn every_request_is_recorded_once_and_health_checks_never() {
    in_pod(|| async {
        models::echo().await;
        let gateway = Gateway::ready(&["--queue-wait-ms", "10000"]).await;
        let mut requests = Vec::new();
        for n in 0..80 {
            let path = ["/score", "/", "/other", "/swagger.json"][n % 4];
            let key = [PRIMARY, "atl_wrong"][n / 4 % 2];
            requests.push(call(request("GET", path, &[("x-api-key", key)], "")));
        }
        futures::future::join_all(requests).await;
        eventually("60 records", || async { gateway.records().len() == 60 }).await;
        let mut ids: Vec<_> = gateway
            .records()
            .iter()
            .map(|record| record["RequestId"].to_string())
            .collect();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), 60);
        let metrics = metrics().await;
        for line in [
            r#"requests_total{code="404",outcome="NotFound"} 20"#,
            r#"requests_total{code="401",outcome="Unauthorized"} 20"#,
            r#"requests_total{code="200",outcome="Completed"} 20"#,
            r#"denied_total{reason="Wrong"} 20"#,
            "request_duration_seconds_count 60",
            "requests_in_flight 0",
            "records_dropped_total 0",
        ] {
            assert!(
                metrics.contains(&format!("atelier_gateway_{line}\n")),
                "{line}\n{metrics}"
            );
        }
    });
}

#[test]
fn neither_payloads_nor_credentials_are_ever_told() {
    in_pod(|| async {
        models::bytes(
            b"HTTP/1.1 200 OK\r\nx-ms-run-function-failed: True\r\ncontent-length: 12\r\n\r\nCANARY-model",
        )
        .await;
        let gateway = Gateway::ready(&["--log", "trace"]).await;
        for headers in [
            &[("x-api-key", PRIMARY)][..],
            &[("authorization", "Bearer CANARY-bearer")],
            &[("authorization", "CANARY-basic")],
            &[("x-api-key", "CANARY-key"), ("cookie", "CANARY-cookie")],
        ] {
            call(request(
                "POST",
                "/score?key=CANARY-query",
                headers,
                "CANARY-body",
            ))
            .await;
        }
        raw(b"POST /score HTTP/1.1\r\nCANARY-broken\r\n\r\n").await;
        gateway.mount(
            r#"{"version":1,"mode":"Key","keys":{"primary":{"generation":1,"sha256":"CANARY-digest"}}}"#,
        );
        gateway.logged("the policy cannot be read").await;
        eventually("five records", || async { gateway.records().len() == 5 }).await;
        let told = gateway.said() + &metrics().await;
        assert!(
            !told.contains("CANARY") && !told.contains(PRIMARY),
            "{told}"
        );
    });
}

#[test]
fn a_reader_of_stdout_who_stalls_delays_no_request_and_losses_are_counted() {
    in_pod(|| async {
        models::echo().await;
        let gateway = Gateway::spawn(
            Some(&policy(Some((PRIMARY, SECONDARY)))),
            &["--queue-wait-ms", "10000"],
            false,
        );
        gateway.until_ready().await;
        let agent = "a".repeat(256);
        let mut connection = crate::http_client::connect().await.expect("a connection");
        // A pipe holds 64 KiB, the writer and the queue hold 2 MiB and a little more.
        for _ in 0..6000 {
            let denied = request("POST", "/score", &[("user-agent", &agent)], "");
            assert_eq!(
                crate::http_client::send(&mut connection, denied)
                    .await
                    .expect("an answer")
                    .status,
                401
            );
        }
        assert_eq!(call(score("{}")).await.status, 200);
        assert!(!metrics().await.contains("records_dropped_total 0\n"));
    });
}
