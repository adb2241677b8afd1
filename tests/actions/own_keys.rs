//! Keys that a team keeps itself.

use std::time::{Duration, Instant};

use atelier_api::WebService;
use atelier_api::conditions::{KEYS_ACCEPTED, reasons};
use atelier_testkit::manifest::service;
use atelier_testkit::namespace::{QUICK, SLOW, condition};
use atelier_testkit::wait::check;
use atelier_testkit::{TestNamespace, Way, eventually};
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

use crate::team::{CONTRIBUTOR, client, plugin, team};
use crate::tokens::trials;

/// A key that nobody would guess in a test.
fn key(name: &str) -> String {
    format!("{name:k<40}")
}

async fn store(namespace: &TestNamespace, entries: &[(&str, &str)]) {
    let data: serde_json::Map<_, _> = entries
        .iter()
        .map(|(name, value)| ((*name).to_owned(), json!(value)))
        .collect();
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "own"}, "stringData": data});
    let params = PatchParams::apply("team").force();
    let secrets = namespace.api::<Secret>();
    let stored = secrets.patch("own", &params, &Patch::Apply(&secret)).await;
    stored.unwrap();
}

fn manifest(replicas: i32) -> Value {
    let mut model = service("model");
    model["spec"]["replicas"] = json!(replicas);
    model["spec"]["auth"] = json!({"mode": "Key", "keysSecretRef": {"name": "own"}});
    model
}

/// Waits until the condition has this status and reason, for the spec as it is.
async fn told(namespace: &TestNamespace, status: &str, reason: &str) -> WebService {
    eventually(
        SLOW,
        &format!("KeysAccepted={status} {reason}"),
        async || {
            let service = namespace.api::<WebService>().get("model").await;
            let service = service.map_err(|error| error.to_string())?;
            let told = condition(&service, KEYS_ACCEPTED).ok_or("no such condition")?;
            check(told.status == status && told.reason == reason, &told)?;
            Ok(service)
        },
    )
    .await
}

async fn opens(way: &Way, key: &str) {
    eventually(QUICK, "the key opens the service", async || {
        let answer = way.post(Some(key), "{}").await;
        check(answer.status == 200, answer.status)
    })
    .await;
}

/// How long it takes until a key is refused.
async fn refused_after(way: &Way, key: &str) -> Duration {
    let begun = Instant::now();
    eventually(QUICK, "the key is refused", async || {
        let answer = way.post(Some(key), "{}").await;
        check(answer.status == 401, answer.status)
    })
    .await;
    begun.elapsed()
}

#[tokio::test]
async fn a_key_of_the_teams_own_that_is_changed_is_refused_within_a_second_and_the_other_never() {
    let namespace = team("ownkeys").await;
    let (first, second) = (key("first"), key("second"));
    store(&namespace, &[("primary", &first), ("secondary", &second)]).await;
    namespace.create::<WebService>(manifest(1)).await;
    namespace.ready::<WebService>("model", SLOW).await;
    told(&namespace, "True", reasons::FROM_SECRET).await;
    let way = Way::to(&namespace, "model").await;
    opens(&way, &first).await;
    assert_eq!(way.post(Some(&key("guessed")), "{}").await.status, 401);
    assert_eq!(way.post(None, "{}").await.status, 401);
    // Nowhere but in the team's Secret.
    let made = namespace.api::<Secret>().get_opt("model-keys").await;
    assert!(made.unwrap().is_none(), "keys were made that nobody uses");

    let load = way.load(Some(&second), "{}", 1);
    let mut took = vec![];
    let mut old = first;
    for turn in 0..trials() {
        let new = key(&format!("turn-{turn}-"));
        store(&namespace, &[("primary", &new), ("secondary", &second)]).await;
        took.push(refused_after(&way, &old).await);
        opens(&way, &new).await;
        old = new;
    }
    crate::tokens::tell("own keys", took);
    let counts = load.stop().await;
    assert!(counts.len() == 1 && counts["200"] > 10, "{counts:?}");
    namespace.finish().await;
}

#[tokio::test]
async fn what_cannot_be_keys_is_told_of_and_those_from_before_go_on() {
    let namespace = team("badkeys").await;
    let (first, second) = (key("first"), key("second"));
    store(&namespace, &[("primary", &first), ("secondary", &second)]).await;
    namespace.create::<WebService>(manifest(1)).await;
    namespace.ready::<WebService>("model", SLOW).await;
    let way = Way::to(&namespace, "model").await;
    opens(&way, &first).await;

    store(&namespace, &[("primary", "short"), ("secondary", &second)]).await;
    let refused = told(&namespace, "False", reasons::KEYS_REFUSED).await;
    let ready = condition(&refused, "Ready").unwrap();
    assert_eq!(
        (ready.status.as_str(), ready.reason.as_str()),
        ("False", reasons::KEYS_REFUSED)
    );
    assert!(
        ready.message.contains("primary has 5 characters"),
        "{}",
        ready.message
    );
    assert_eq!(way.post(Some("short"), "{}").await.status, 401);
    assert_eq!(way.post(Some(&first), "{}").await.status, 200);

    namespace.delete::<Secret>("own").await;
    told(&namespace, "False", reasons::KEYS_MISSING).await;
    assert_eq!(way.post(Some(&first), "{}").await.status, 200);
    assert_eq!(way.post(Some(&second), "{}").await.status, 200);

    let third = key("third");
    store(&namespace, &[("primary", &third), ("secondary", &second)]).await;
    told(&namespace, "True", reasons::FROM_SECRET).await;
    opens(&way, &third).await;
    refused_after(&way, &first).await;

    // Without the reference, keys are made as ever.
    let none = json!({"spec": {"auth": {"keysSecretRef": null}}});
    namespace.patch::<WebService>("model", none).await.unwrap();
    refused_after(&way, &third).await;
    let shown = plugin(
        &namespace,
        CONTRIBUTOR,
        &["keys", "show", "model", "primary"],
    );
    opens(&way, shown.unwrap().trim_end()).await;
    let service: WebService = namespace.api().get("model").await.unwrap();
    assert!(condition(&service, KEYS_ACCEPTED).is_none());
    namespace.finish().await;
}

#[tokio::test]
async fn a_service_whose_keys_are_not_there_yet_is_closed_to_everybody() {
    let namespace = team("nokeysyet").await;
    // Open first: turning keys on closes it, whether they are there or not.
    let mut open = manifest(1);
    open["spec"]["auth"] = json!({"mode": "None"});
    namespace.create::<WebService>(open).await;
    namespace.ready::<WebService>("model", SLOW).await;
    let way = Way::to(&namespace, "model").await;
    assert_eq!(way.post(None, "{}").await.status, 200);
    let on = json!({"spec": {"auth": {"mode": "Key", "keysSecretRef": {"name": "own"}}}});
    namespace.patch::<WebService>("model", on).await.unwrap();
    told(&namespace, "False", reasons::KEYS_MISSING).await;
    eventually(QUICK, "nobody gets in", async || {
        let status = way.post(None, "{}").await.status;
        check(status == 401, status)
    })
    .await;
    let primary = key("primary");
    store(
        &namespace,
        &[("primary", &primary), ("secondary", &key("other"))],
    )
    .await;
    opens(&way, &primary).await;
    told(&namespace, "True", reasons::FROM_SECRET).await;
    namespace.finish().await;
}

#[tokio::test]
async fn naming_a_secret_shows_nobody_what_is_in_it() {
    let namespace = team("hiddenkeys").await;
    let (first, second) = (key("first"), key("second"));
    store(&namespace, &[("primary", &first), ("secondary", &second)]).await;
    let services: Api<WebService> =
        Api::namespaced(client(&namespace, CONTRIBUTOR), &namespace.name);
    let create = async |model: Value| {
        let model: WebService = serde_json::from_value(model).unwrap();
        services.create(&Default::default(), &model).await
    };
    // Who may not read it may not name it.
    let refused = create(manifest(0)).await.unwrap_err().to_string();
    assert!(refused.contains("may not read the Secret own"), "{refused}");
    // A stored credential may be named, and is shown by no action.
    let literals = [
        format!("--from-literal=primary={first}"),
        format!("--from-literal=secondary={second}"),
    ];
    let stored = ["credential", "store", "mine", &literals[0], &literals[1]];
    plugin(&namespace, CONTRIBUTOR, &stored).unwrap();
    let mut model = manifest(0);
    model["spec"]["auth"]["keysSecretRef"]["name"] = json!("atelier-credential-mine");
    create(model).await.unwrap();
    let service = told(&namespace, "True", reasons::FROM_SECRET).await;
    let status = serde_json::to_string(&service.status).unwrap();
    assert!(
        !status.contains(&first) && !status.contains(&second),
        "{status}"
    );
    for args in [
        &["keys", "show", "model"][..],
        &["keys", "regenerate", "model", "primary"],
    ] {
        let refused = plugin(&namespace, CONTRIBUTOR, args).unwrap_err();
        assert!(
            refused.contains("Secret atelier-credential-mine"),
            "{refused}"
        );
        assert!(!refused.contains(&first), "{refused}");
    }
    let listed = plugin(&namespace, CONTRIBUTOR, &["keys", "list", "model"]).unwrap();
    assert!(
        listed.contains("primary") && !listed.contains(&first),
        "{listed}"
    );
    namespace.finish().await;
}

#[tokio::test]
async fn a_service_may_name_as_many_secrets_as_it_has_places_for() {
    let namespace = team("manysecrets").await;
    let mut model = manifest(0);
    model["spec"]["tls"] = json!({"mode": "Secret", "secretRef": {"name": "certificate"}});
    let collector =
        json!({"endpoint": "https://collector.invalid", "headersSecretRef": {"name": "headers"}});
    model["spec"]["telemetry"] = json!({"enabled": true, "otlp": collector});
    let services: Api<WebService> =
        Api::namespaced(client(&namespace, CONTRIBUTOR), &namespace.name);
    let asked: WebService = serde_json::from_value(model.clone()).unwrap();
    let refused = services.create(&Default::default(), &asked).await;
    let refused = refused.unwrap_err().to_string();
    assert!(refused.contains("may not read the Secret"), "{refused}");
    // Whoever may read them all may name them all: to ask for each is not too dear.
    namespace.create::<WebService>(model).await;
    namespace.finish().await;
}
