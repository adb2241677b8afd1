//! Tokens: one opens the service in its caller's name, and hundreds do not.

use atelier_api::gateway_policy::{GatewayPolicy, Revoked};
use atelier_testkit::tokens::Issuer;
use http::HeaderValue;
use jiff::Timestamp;

use crate::{
    harness::{Gateway, PRIMARY, eventually, in_pod},
    http_client::{Answer, call, request},
    models,
};

fn policy(issuer: &Issuer, revoked: Revoked) -> String {
    let policy = GatewayPolicy::Token {
        keys: None,
        tokens: issuer.rules(revoked),
    };
    policy.to_json().expect("writable")
}

async fn serving(issuer: &Issuer) -> Gateway {
    let policy = policy(issuer, Revoked::default());
    let gateway = Gateway::spawn(Some(&policy), &[], true);
    gateway.until_ready().await;
    gateway
}

async fn bearing(token: &str) -> Answer {
    let value = format!("Bearer {token}");
    call(request(
        "POST",
        "/score",
        &[("authorization", &value)],
        "{}",
    ))
    .await
}

#[test]
fn a_token_opens_the_service_in_its_callers_name_and_stays_behind() {
    in_pod(|| async {
        let seen = models::echo().await;
        let issuer = Issuer::since(Timestamp::now());
        let gateway = serving(&issuer).await;
        let token = issuer.token();
        let forged = ("x-atelier-subject", "root");
        for header in [
            ("authorization", format!("Bearer {token}")),
            ("x-api-key", token.clone()),
        ] {
            let headers = [(header.0, header.1.as_str()), forged];
            let answer = call(request("POST", "/score", &headers, "{}")).await;
            assert_eq!(answer.status, 200);
        }
        for request in seen.requests() {
            let request = request.to_string();
            assert!(request.contains("rita"), "{request}");
            assert!(
                !request.contains("root") && !request.contains(&token),
                "{request}"
            );
        }
        let record = gateway.record("subject", "rita").await;
        assert_eq!(record["authMode"], "Token");
        assert!(!gateway.said().contains(&token));
    });
}

#[test]
fn hundreds_of_bad_tokens_all_get_the_same_answer_and_reach_no_model() {
    in_pod(|| async {
        let seen = models::echo().await;
        let issuer = Issuer::since(Timestamp::now());
        let _gateway = serving(&issuer).await;
        let bad = issuer.bad_tokens();
        // What is no header value cannot be sent, and a blank behind one is none of it.
        let can_be_sent =
            |token: &str| HeaderValue::from_str(token).is_ok() && token.trim_end() == token;
        let bad: Vec<_> = bad.iter().filter(|(_, token)| can_be_sent(token)).collect();
        assert!(bad.len() >= 200, "{}", bad.len());
        for (why, token) in bad {
            let answer = bearing(token).await;
            assert_eq!(answer.status, 401, "{why}: {token}");
            assert_eq!(answer.headers["www-authenticate"], "Bearer", "{why}");
            let body = answer.json();
            assert_eq!(
                (&body["code"], &body["message"]),
                (
                    &"Unauthorized".into(),
                    &"A valid credential is required.".into()
                ),
                "{why}"
            );
        }
        assert_eq!(bearing(PRIMARY).await.status, 401);
        assert_eq!(seen.requests().len(), 0);
        assert_eq!(bearing(&issuer.token()).await.status, 200);
    });
}

#[test]
fn a_policy_that_revokes_is_asked_about_what_was_good_a_moment_ago() {
    in_pod(|| async {
        models::echo().await;
        let issuer = Issuer::since(Timestamp::now());
        let gateway = serving(&issuer).await;
        let token = issuer.token();
        for (revoked, status) in [
            (Revoked::default(), 200),
            (
                Revoked {
                    subjects: vec!["rita".into()],
                    ..Revoked::default()
                },
                401,
            ),
            (Revoked::default(), 200),
            (
                Revoked {
                    tokens: vec!["a-token".into()],
                    ..Revoked::default()
                },
                401,
            ),
        ] {
            gateway.mount(&policy(&issuer, revoked));
            eventually("the policy is asked", || async {
                bearing(&token).await.status == status
            })
            .await;
        }
    });
}
