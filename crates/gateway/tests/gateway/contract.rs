//! What callers may rely on when nothing is broken.

use http::Response;
use http_body_util::Full;

use crate::{
    harness::{Gateway, PRIMARY, SECONDARY, in_pod},
    http_client::{call, raw, request, score},
    models::{self, Seen},
};

#[test]
fn every_row_of_the_table() {
    in_pod(|| async {
        models::echo().await;
        let _gateway = Gateway::ready(&[]).await;
        const KEY: (&str, &str) = ("x-api-key", PRIMARY);
        let bearer = format!("Bearer {SECONDARY}");
        let (longest, longer) = ("i".repeat(100), "i".repeat(101));
        for (method, target, headers, status) in [
            ("POST", "/score", &[KEY][..], 200),
            ("GET", "/score", &[KEY], 200),
            ("OPTIONS", "/score", &[KEY], 200),
            (
                "POST",
                "/score?a=b",
                &[("authorization", bearer.as_str())],
                200,
            ),
            (
                "POST",
                "/score",
                &[KEY, ("x-ms-client-request-id", &longest)],
                200,
            ),
            ("GET", "/", &[], 200),
            ("GET", "/swagger.json", &[KEY], 200),
            ("POST", "/score", &[], 401),
            ("POST", "/score", &[("x-api-key", "atl_wrong")], 401),
            ("POST", "/score", &[KEY, KEY], 401),
            (
                "POST",
                "/score",
                &[KEY, ("authorization", bearer.as_str())],
                401,
            ),
            ("OPTIONS", "/score", &[], 401),
            ("GET", "/swagger.json", &[], 401),
            ("POST", "/other", &[KEY], 404),
            ("POST", "//score", &[KEY], 404),
            ("GET", "/score/", &[KEY], 404),
            ("PUT", "/score", &[KEY], 405),
            ("DELETE", "/score", &[], 405),
            ("POST", "/", &[], 405),
            ("POST", "/score", &[KEY, ("x-request-id", &longer)], 431),
            ("POST", "/score", &[KEY, ("x-ms-request-id", &longer)], 431),
            (
                "POST",
                "/score",
                &[KEY, ("x-ms-client-request-id", &longer)],
                431,
            ),
            (
                "POST",
                "/score",
                &[KEY, ("upgrade", "websocket"), ("connection", "upgrade")],
                400,
            ),
        ] {
            let answer = call(request(method, target, headers, "")).await;
            assert_eq!(
                answer.status, status,
                "{method} {target} {headers:?}: {answer:?}"
            );
            let ids = ["x-request-id", "x-ms-request-id"].map(|name| answer.headers.get(name));
            if target == "/" && status == 200 {
                assert_eq!(answer.text(), "Healthy");
                continue;
            }
            assert!(
                ids[0].is_some_and(|id| !id.is_empty()) && ids[0] == ids[1],
                "{method} {target}: {answer:?}"
            );
            if status >= 400 {
                assert_eq!(
                    answer.json()["requestId"],
                    ids[0].and_then(|id| id.to_str().ok()).expect("text")
                );
            }
            match status {
                401 => assert_eq!(answer.headers["www-authenticate"], "Bearer"),
                405 => assert!(answer.headers.contains_key("allow")),
                _ => {}
            }
        }
    });
}

#[test]
fn ids_go_to_the_model_and_come_back() {
    in_pod(|| async {
        let seen = models::echo().await;
        let _gateway = Gateway::ready(&[]).await;
        let headers = [
            ("x-api-key", PRIMARY),
            ("x-request-id", "r-1"),
            ("x-ms-client-request-id", "c-1"),
        ];
        let answer = call(request("POST", "/score", &headers, "{}")).await;
        for (name, value) in [
            ("x-request-id", "r-1"),
            ("x-ms-request-id", "r-1"),
            ("x-ms-client-request-id", "c-1"),
        ] {
            assert_eq!(answer.headers[name], value);
            assert!(
                seen.requests()[0]["headers"]
                    .to_string()
                    .contains(&format!(r#"["{name}","{value}"]"#)),
                "{name}"
            );
        }
    });
}

#[test]
fn the_model_sees_the_request_but_neither_credential_nor_forged_identity() {
    in_pod(|| async {
        let seen = models::echo().await;
        let _gateway = Gateway::ready(&[]).await;
        let answer = raw(format!(
            "POST /score?q=%2F&x HTTP/1.1\r\nHost: iris.example:80\r\nAuthorization: Bearer {PRIMARY}\r\nX-API-KEY: {PRIMARY}\r\n\
             x_api_key: {PRIMARY}\r\nX-Atelier-Subject: root\r\nx_atelier_subject: root\r\nX_ATELIER-Groups: admins\r\n\
             Connection: keep-alive, x-request-id, host, x-private\r\nX-Private: 1\r\nProxy-Authorization: Basic eDp5\r\n\
             TE: trailers\r\nX-Kept: yes\r\nContent-Length: 4\r\n\r\nbody"
        ).as_bytes())
        .await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        let request = &seen.requests()[0];
        assert_eq!(request["method"], "POST");
        assert_eq!(request["target"], "/score?q=%2F&x");
        assert_eq!(request["body"], "body");
        let mut names: Vec<&str> = request["headers"]
            .as_array()
            .expect("headers")
            .iter()
            .filter_map(|line| line[0].as_str())
            .collect();
        names.sort_unstable();
        assert_eq!(
            names,
            [
                "content-length",
                "host",
                "x-kept",
                "x-ms-request-id",
                "x-request-id"
            ]
        );
        assert!(request["headers"].to_string().contains("iris.example:80"));
    });
}

#[test]
fn the_models_own_answers_pass_unchanged() {
    in_pod(|| async {
        models::serve(Seen::default(), |request| async move {
            let status: u16 = request
                .uri()
                .query()
                .and_then(|status| status.parse().ok())
                .unwrap_or(200);
            Response::builder()
                .status(status)
                .header("x-model", "m")
                .header("x-hop", "1")
                .header("connection", "x-hop")
                .header("x-ms-client-request-id", "not the client's")
                .body(Full::<bytes::Bytes>::new("said the model".into()))
                .expect("a response")
        })
        .await;
        let _gateway = Gateway::ready(&[]).await;
        for status in [
            200, 201, 302, 400, 401, 404, 413, 418, 429, 500, 502, 503, 599,
        ] {
            let answer = call(request(
                "POST",
                &format!("/score?{status}"),
                &[("x-api-key", PRIMARY)],
                "",
            ))
            .await;
            assert_eq!(
                (answer.status.as_u16(), answer.text().as_str()),
                (status, "said the model")
            );
            assert_eq!(answer.headers["x-model"], "m");
            assert!(
                !answer.headers.contains_key("x-hop")
                    && !answer.headers.contains_key("x-ms-client-request-id")
            );
        }
    });
}

#[test]
fn a_model_without_a_description_gets_a_generic_one() {
    in_pod(|| async {
        models::bytes(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n").await;
        let _gateway = Gateway::ready(&["--score-path", "/api/v1/iris/score"]).await;
        let answer = call(request(
            "GET",
            "/swagger.json",
            &[("x-api-key", PRIMARY)],
            "",
        ))
        .await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.json()["openapi"], "3.0.3");
        assert!(answer.json()["paths"]["/api/v1/iris/score"]["post"].is_object());
    });
}

#[test]
fn connections_are_kept_on_both_sides() {
    in_pod(|| async {
        let seen = models::echo().await;
        let _gateway = Gateway::ready(&[]).await;
        let mut connection = crate::http_client::connect().await.expect("a connection");
        for _ in 0..20 {
            let answer = crate::http_client::send(&mut connection, score("{}"))
                .await
                .expect("an answer");
            assert_eq!(answer.status, 200);
        }
        // The health check's connections carry no request, but are counted.
        assert!(seen.connections() < 10, "{}", seen.connections());
    });
}
