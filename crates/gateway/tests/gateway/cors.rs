//! Calls out of pages in browsers.

use crate::{
    harness::{Gateway, PRIMARY, in_pod},
    http_client::{call, request},
    models,
};

const APP: &str = "https://app.example.com";

#[test]
fn a_browser_is_told_who_may_call_and_the_model_is_not_asked() {
    in_pod(|| async {
        let seen = models::echo().await;
        let gateway = Gateway::ready(&["--cors-origin", APP]).await;
        let asks = |origin| {
            let headers = [
                ("origin", origin),
                ("access-control-request-method", "POST"),
                ("access-control-request-headers", "x-api-key"),
                ("user-agent", origin),
            ];
            request("OPTIONS", "/score", &headers, "")
        };
        let granted = call(asks(APP)).await;
        assert_eq!(granted.status, 204);
        assert_eq!(granted.headers["access-control-allow-origin"], APP);
        assert_eq!(
            granted.headers["access-control-allow-methods"],
            "POST, GET, OPTIONS"
        );
        assert_eq!(granted.headers["access-control-allow-headers"], "x-api-key");
        let other = call(asks("https://other.example.com")).await;
        assert_eq!(other.status, 204);
        assert!(!other.headers.contains_key("access-control-allow-origin"));
        assert_eq!(seen.requests().len(), 0);
        let record = gateway.record("UserAgent", APP).await;
        assert_eq!(
            (&record["StatusCode"], &record["outcome"]),
            (&204.into(), &"Completed".into())
        );

        // The call itself needs a credential as ever, and its page may read why it was refused.
        for (key, status) in [(PRIMARY, 200), ("atl_wrong", 401)] {
            let headers = [("origin", APP), ("x-api-key", key)];
            let answer = call(request("POST", "/score", &headers, "{}")).await;
            assert_eq!(answer.status, status);
            assert_eq!(answer.headers["access-control-allow-origin"], APP);
            assert_eq!(answer.headers["vary"], "origin");
        }
        // What is no preflight is a request.
        let options = request("OPTIONS", "/score", &[("origin", APP)], "");
        assert_eq!(call(options).await.status, 401);
    });
}

#[test]
fn without_origins_a_preflight_is_a_request_without_a_credential() {
    in_pod(|| async {
        let seen = models::echo().await;
        let _gateway = Gateway::ready(&[]).await;
        let headers = [("origin", APP), ("access-control-request-method", "POST")];
        let answer = call(request("OPTIONS", "/score", &headers, "")).await;
        assert_eq!(answer.status, 401);
        assert!(!answer.headers.contains_key("access-control-allow-origin"));
        assert_eq!(seen.requests().len(), 0);
    });
}
