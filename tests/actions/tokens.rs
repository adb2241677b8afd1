//! Tokens: who gets one, what it opens and for how long, and how it is taken back.

use std::time::{Duration, Instant};

use atelier_api::v1alpha1::TokenKeyStatus;
use atelier_api::{RoleAssignment, WebService};
use atelier_testkit::manifest::{role, service};
use atelier_testkit::namespace::{QUICK, SLOW};
use atelier_testkit::wait::check;
use atelier_testkit::{TestNamespace, Way, eventually};
use k8s_openapi::api::core::v1::{Secret, Service};
use serde_json::{Value, json};

use crate::score::recorded;
use crate::team::{CONTRIBUTOR, READER, plugin, team};

/// How often a thing is taken back, each time measured: `ATELIER_TEST_TRIALS` makes it more.
#[allow(clippy::disallowed_methods)] // A test has no command line of its own.
pub fn trials() -> usize {
    let asked = std::env::var("ATELIER_TEST_TRIALS").ok();
    asked.map_or(10, |asked| asked.parse().unwrap())
}

/// A service that takes tokens, and the way to it.
pub async fn with_tokens(namespace: &TestNamespace, name: &str, auth: Value) -> Way {
    let mut manifest = service(name);
    manifest["spec"]["auth"] = auth;
    manifest["spec"]["auth"]["mode"] = json!("Token");
    namespace.create::<WebService>(manifest).await;
    namespace.ready::<WebService>(name, SLOW).await;
    let way = Way::to(namespace, name).await;
    eventually(QUICK, "a token opens it", async || {
        let token = token(namespace, READER, name)?;
        let status = status(&way, &token).await;
        check(status == 200, status)
    })
    .await;
    way
}

/// A token for a user.
pub fn token(namespace: &TestNamespace, user: &str, service: &str) -> Result<String, String> {
    let printed = plugin(namespace, user, &["token", service])?;
    Ok(printed.trim_end().to_owned())
}

/// What a request with a token comes to.
pub async fn status(way: &Way, token: &str) -> u16 {
    way.post(Some(token), "{}").await.status
}

async fn token_keys(namespace: &TestNamespace, name: &str) -> Vec<TokenKeyStatus> {
    let service = namespace.api::<WebService>().get(name).await.unwrap();
    service.status.unwrap_or_default().token_keys
}

/// How long it takes until it is refused.
async fn refused_after(way: &Way, token: &str) -> Duration {
    let begun = Instant::now();
    eventually(QUICK, "the token is refused", async || {
        let status = status(way, token).await;
        check(status == 401, status)
    })
    .await;
    begun.elapsed()
}

pub fn tell(what: &str, mut took: Vec<Duration>) {
    took.sort();
    let at = |share: f64| took[((took.len() - 1) as f64 * share).round() as usize];
    println!(
        "{what}: {} trials, p50 {:?}, p99 {:?}, max {:?}",
        took.len(),
        at(0.5),
        at(0.99),
        at(1.0)
    );
    // The median: one that meets a busy moment of the machine says nothing of the way that it takes.
    assert!(at(0.5) < Duration::from_secs(1), "{took:?}");
}

#[tokio::test]
async fn a_reader_gets_a_token_that_opens_this_service_in_their_name_and_no_other() {
    let namespace = team("tokens").await;
    let (first, second) = tokio::join!(
        with_tokens(&namespace, "first", json!({})),
        with_tokens(&namespace, "second", json!({}))
    );
    let whole = plugin(&namespace, READER, &["token", "first", "-o", "json"]).unwrap();
    let whole: Value = serde_json::from_str(&whole).unwrap();
    let token = whole["accessToken"].as_str().unwrap();
    assert_eq!(
        (&whole["kind"], &whole["tokenType"]),
        (&json!("AccessToken"), &json!("Bearer"))
    );
    let (refresh, end) = (&whole["refreshAfter"], &whole["expiryOn"]);
    assert_eq!(end.as_i64().unwrap() - refresh.as_i64().unwrap(), 43_200);

    let answer = first.post(Some(token), "{}").await;
    assert_eq!(answer.status, 200);
    let seen: Value = serde_json::from_str(&answer.body).unwrap();
    let seen = seen["seen"].as_array().unwrap();
    assert!(seen.contains(&json!("x-atelier-subject")), "{seen:?}");
    assert!(!seen.contains(&json!("authorization")), "{seen:?}");
    let id = answer.headers["x-request-id"].to_str().unwrap();
    let record = recorded(&namespace, "first", id);
    assert_eq!(
        (&record["subject"], &record["authMode"]),
        (&json!(READER), &json!("Token"))
    );
    assert!(!record.to_string().contains(token), "{record}");

    let elsewhere = second.post(Some(token), "{}").await;
    assert_eq!(elsewhere.status, 401);
    assert_eq!(elsewhere.headers["www-authenticate"], "Bearer");
    assert_eq!(first.post(None, "{}").await.status, 401);
    let refused = plugin(&namespace, "stranger", &["token", "first"]).unwrap_err();
    assert!(
        refused.contains("Forbidden") && refused.contains("webservices/token"),
        "{refused}"
    );
    namespace.finish().await;
}

#[tokio::test]
async fn a_service_that_takes_no_tokens_says_so_and_the_light_class_never_does() {
    let namespace = team("notokens").await;
    let mut keyed = service("keyed");
    keyed["spec"]["replicas"] = json!(0);
    namespace.create::<WebService>(keyed).await;
    let refused = plugin(&namespace, READER, &["token", "keyed"]).unwrap_err();
    assert!(
        refused.contains("Conflict") && refused.contains("auth.mode"),
        "{refused}"
    );
    let mut light = service("light");
    light["spec"]["class"] = json!("Instance");
    light["spec"]["auth"] = json!({"mode": "Token"});
    let refused = namespace.try_create::<WebService>(light).await;
    let refused = refused.unwrap_err().to_string();
    assert!(refused.contains("takes no tokens"), "{refused}");
    namespace.finish().await;
}

#[tokio::test]
async fn a_service_made_anew_honours_no_token_of_the_one_before() {
    let namespace = team("anew").await;
    with_tokens(&namespace, "model", json!({})).await;
    let old = token(&namespace, READER, "model").unwrap();
    namespace.delete::<WebService>("model").await;
    namespace.gone::<Secret>("model-tokens", None, SLOW).await;
    namespace.gone::<Service>("model", None, SLOW).await;
    let way = with_tokens(&namespace, "model", json!({})).await;
    assert_eq!(status(&way, &old).await, 401);
    namespace.finish().await;
}

#[tokio::test]
async fn keys_and_tokens_take_turns_and_keys_survive_it() {
    let namespace = team("turns").await;
    let way = with_tokens(&namespace, "model", json!({})).await;
    let given = token(&namespace, READER, "model").unwrap();
    let turn = async |mode: &str| {
        let patch = json!({"spec": {"auth": {"mode": mode}}});
        namespace.patch::<WebService>("model", patch).await.unwrap();
    };
    turn("Key").await;
    refused_after(&way, &given).await;
    let show = || {
        plugin(
            &namespace,
            CONTRIBUTOR,
            &["keys", "show", "model", "primary"],
        )
    };
    let key = eventually(QUICK, "there are keys", async || show()).await;
    let key = key.trim_end();
    assert_eq!(status(&way, key).await, 200);
    turn("Token").await;
    refused_after(&way, key).await;
    // The same keys sign: what was given out before is good again.
    assert_eq!(status(&way, &given).await, 200);
    turn("Key").await;
    refused_after(&way, &given).await;
    assert_eq!(status(&way, key).await, 200);
    namespace.finish().await;
}

#[tokio::test]
async fn who_loses_the_role_gets_no_token_more_and_who_is_revoked_is_refused_within_a_second() {
    let namespace = team("revoked").await;
    let way = with_tokens(&namespace, "model", json!({})).await;
    let revoke = async |revoked: Value| {
        let patch = json!({"spec": {"auth": {"revoked": revoked}}});
        namespace.patch::<WebService>("model", patch).await.unwrap();
    };
    let other = token(&namespace, CONTRIBUTOR, "model").unwrap();
    let (mut subjects, mut tokens) = (vec![], vec![]);
    for _ in 0..trials() {
        let given = token(&namespace, READER, "model").unwrap();
        let kept = token(&namespace, READER, "model").unwrap();
        assert_eq!(status(&way, &given).await, 200);
        revoke(json!({"tokens": [id(&given)]})).await;
        tokens.push(refused_after(&way, &given).await);
        assert_eq!(status(&way, &kept).await, 200);
        revoke(json!({"tokens": null, "subjects": [READER]})).await;
        subjects.push(refused_after(&way, &kept).await);
        assert_eq!(status(&way, &other).await, 200);
        let refused = token(&namespace, READER, "model").unwrap_err();
        assert!(refused.contains("are revoked"), "{refused}");
        revoke(json!({"subjects": null})).await;
        eventually(QUICK, "it is taken back", async || {
            let status = status(&way, &kept).await;
            check(status == 200, status)
        })
        .await;
    }
    tell("revoked tokens", tokens);
    tell("revoked callers", subjects);

    let mut roles = vec![];
    for _ in 0..trials() {
        namespace.delete::<RoleAssignment>(READER).await;
        let begun = Instant::now();
        eventually(QUICK, "no token is given", async || {
            let refused = token(&namespace, READER, "model");
            let is = refused
                .as_ref()
                .is_err_and(|said| said.contains("Forbidden"));
            check(is, refused)
        })
        .await;
        roles.push(begun.elapsed());
        namespace
            .create::<RoleAssignment>(role(READER, "Reader", READER))
            .await;
        namespace.ready::<RoleAssignment>(READER, QUICK).await;
        eventually(QUICK, "a token is given", async || {
            token(&namespace, READER, "model")
        })
        .await;
    }
    tell("roles taken back", roles);
    namespace.finish().await;
}

/// The name of a token, as it says itself.
fn id(token: &str) -> String {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    let claims = token.split('.').nth(1).unwrap();
    let claims = URL_SAFE_NO_PAD.decode(claims).unwrap();
    let claims: Value = serde_json::from_slice(&claims).unwrap();
    claims["jti"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn keys_that_sign_take_turns_under_load_and_no_token_is_refused_before_its_time() {
    const LIFETIME: Duration = Duration::from_secs(60);
    let namespace = team("signing").await;
    let auth = json!({"tokens": {"lifetimeSeconds": 60, "rotationSeconds": 15}});
    let way = with_tokens(&namespace, "model", auth).await;
    let begun = Instant::now();
    let mut given: Vec<(String, Instant)> = vec![];
    let mut signers = std::collections::BTreeSet::new();
    let mut calls = 0;
    while begun.elapsed() < LIFETIME {
        let fresh = token(&namespace, READER, "model").unwrap();
        signers.extend(fresh.split('.').next().map(str::to_owned));
        given.push((fresh, Instant::now()));
        // A second less: the token's end is in whole seconds.
        let good = |at: &Instant| at.elapsed() < LIFETIME - Duration::from_secs(1);
        for (token, _) in given.iter().filter(|(_, at)| good(at)) {
            assert_eq!(status(&way, token).await, 200, "call {calls}");
            calls += 1;
        }
    }
    println!(
        "{} keys signed {} tokens; {calls} calls",
        signers.len(),
        given.len()
    );
    assert!(signers.len() >= 4, "{}", signers.len());

    // All at once, if need be.
    let newest = &given.last().unwrap().0;
    let patch = json!({"spec": {"auth": {"tokens": {"generation": 2}}}});
    namespace.patch::<WebService>("model", patch).await.unwrap();
    refused_after(&way, newest).await;
    let status_of_new = eventually(QUICK, "there is another key", async || {
        let token = token(&namespace, READER, "model")?;
        Ok(status(&way, &token).await)
    });
    assert_eq!(status_of_new.await, 200);
    let patch = json!({"spec": {"auth": {"tokens": {"generation": 1}}}});
    namespace.patch::<WebService>("model", patch).await.unwrap();
    namespace.ready::<WebService>("model", QUICK).await;
    assert_eq!(token_keys(&namespace, "model").await.len(), 1);
    assert_eq!(status(&way, newest).await, 401);
    namespace.finish().await;
}

#[tokio::test]
async fn keys_that_sign_and_were_damaged_are_made_anew() {
    let namespace = team("damaged").await;
    let way = with_tokens(&namespace, "model", json!({})).await;
    let old = token(&namespace, READER, "model").unwrap();
    let before = token_keys(&namespace, "model").await;
    namespace.delete::<Secret>("model-tokens").await;
    refused_after(&way, &old).await;
    let token = eventually(QUICK, "another is given", async || {
        token(&namespace, READER, "model")
    })
    .await;
    assert_eq!(status(&way, &token).await, 200);
    eventually(QUICK, "the status has the new key", async || {
        let after = token_keys(&namespace, "model").await;
        check(after.len() == 1 && after[0].id != before[0].id, after)
    })
    .await;
    // Readers know of the key, and cannot read it.
    let secrets = [
        "auth",
        "can-i",
        "get",
        "secrets/model-tokens",
        "--as",
        CONTRIBUTOR,
    ];
    let args = [&["-n", &namespace.name], &secrets[..]].concat();
    let (allowed, said) = namespace.cluster.kubectl(&args, "");
    assert!(!allowed, "{said}");
    namespace.finish().await;
}
