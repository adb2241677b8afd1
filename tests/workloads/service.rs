//! Web services: rollouts, states, switches.

use atelier_api::WebService;
use atelier_api::v1alpha1::{AuthMode, ServiceState};
use atelier_testkit::load::{Caller, Load};
use atelier_testkit::manifest::{server, service};
use atelier_testkit::namespace::{QUICK, SLOW};
use atelier_testkit::operator::undisturbed;
use atelier_testkit::wait::check;
use atelier_testkit::{TestNamespace, eventually};
use k8s_openapi::api::core::v1::{Secret, Service};
use kube::ResourceExt as _;
use serde_json::json;

/// Where a service answers, from the test's host. Its address works a moment after its first replica is ready.
pub(crate) async fn url(namespace: &TestNamespace, name: &str) -> String {
    let service: Service = namespace.api().get(name).await.unwrap();
    let base = format!("http://{}", service.spec.unwrap().cluster_ip.unwrap());
    eventually(QUICK, &format!("{name} has an address"), async || {
        let answer = Caller::default().post(&base, None, "").await;
        check(answer.status != 0, answer)
    })
    .await;
    format!("{base}/score")
}

/// The value of a key.
pub(crate) async fn key(namespace: &TestNamespace, service: &str, slot: &str) -> String {
    let secret: Secret = namespace
        .api()
        .get(&format!("{service}-keys"))
        .await
        .unwrap();
    String::from_utf8(secret.data.unwrap()[slot].0.clone()).unwrap()
}

async fn pod_uids(namespace: &TestNamespace, service: &str) -> Vec<String> {
    let selector =
        format!("app.kubernetes.io/component=webservice,app.kubernetes.io/instance={service}");
    let pods = namespace.pods(&selector).await;
    let staying = pods
        .iter()
        .filter(|p| p.metadata.deletion_timestamp.is_none());
    let mut uids: Vec<_> = staying.filter_map(|p| p.uid()).collect();
    uids.sort();
    uids
}

#[tokio::test]
async fn a_cluster_service_asks_for_a_key_and_an_instance_for_none() {
    let _operator = undisturbed().await;
    let namespace = TestNamespace::with_workspace("classes").await;
    namespace.create::<WebService>(service("guarded")).await;
    let mut light = service("light");
    light["spec"]["class"] = json!("Instance");
    namespace.create::<WebService>(light).await;

    let guarded: WebService = namespace.ready("guarded", SLOW).await;
    let status = guarded.status.unwrap();
    assert_eq!(
        (status.auth, status.state),
        (Some(AuthMode::Key), Some(ServiceState::Healthy))
    );
    let (caller, at) = (Caller::default(), url(&namespace, "guarded").await);
    let refused = caller.post(&at, None, "{}").await;
    assert_eq!(
        (
            refused.status,
            refused.headers["www-authenticate"].to_str().unwrap()
        ),
        (401, "Bearer")
    );
    assert!(
        refused.body.contains("requestId") && refused.headers.contains_key("x-request-id"),
        "{refused:?}"
    );
    for slot in ["primary", "secondary"] {
        let key = key(&namespace, "guarded", slot).await;
        let answer = caller.post(&at, Some(&key), "{}").await;
        assert_eq!(answer.status, 200, "{slot}: {answer:?}");
        assert!(
            !answer.body.contains("authorization"),
            "the model sees no credential: {}",
            answer.body
        );
    }

    let open: WebService = namespace.ready("light", SLOW).await;
    assert_eq!(open.status.unwrap().auth, Some(AuthMode::None));
    assert_eq!(
        caller
            .post(&url(&namespace, "light").await, None, "{}")
            .await
            .status,
        200
    );
    assert!(
        namespace
            .api::<Secret>()
            .get_opt("light-keys")
            .await
            .unwrap()
            .is_none()
    );
    namespace.finish().await;
}

#[tokio::test]
async fn switching_keys_off_and_on_restarts_nothing_and_finds_the_same_keys() {
    let _operator = undisturbed().await;
    let namespace = TestNamespace::with_workspace("switch").await;
    namespace.create::<WebService>(service("svc")).await;
    namespace.ready::<WebService>("svc", SLOW).await;
    let (caller, at) = (Caller::default(), url(&namespace, "svc").await);
    let (primary, pods) = (
        key(&namespace, "svc", "primary").await,
        pod_uids(&namespace, "svc").await,
    );
    for (mode, status) in [("None", 200), ("Key", 401)] {
        namespace
            .patch::<WebService>("svc", json!({"spec": {"auth": {"mode": mode}}}))
            .await
            .unwrap();
        eventually(
            QUICK,
            &format!("without a key the answer is {status}"),
            async || {
                let answer = caller.post(&at, None, "{}").await;
                check(answer.status == status, answer.status)
            },
        )
        .await;
    }
    assert_eq!(key(&namespace, "svc", "primary").await, primary);
    assert_eq!(caller.post(&at, Some(&primary), "{}").await.status, 200);
    assert_eq!(pod_uids(&namespace, "svc").await, pods);
    namespace.finish().await;
}

#[tokio::test]
async fn a_version_whose_image_cannot_be_pulled_leaves_the_old_one_serving() {
    let _operator = undisturbed().await;
    let namespace = TestNamespace::with_workspace("badimage").await;
    namespace.create::<WebService>(service("svc")).await;
    namespace.ready::<WebService>("svc", SLOW).await;
    let (at, primary) = (
        url(&namespace, "svc").await,
        key(&namespace, "svc", "primary").await,
    );
    let load = Load::start(&at, Some(&primary), "{}", 1);
    let image = |image: &str| json!({"spec": {"image": image}});
    namespace
        .patch::<WebService>("svc", image("registry.invalid/nothing:1"))
        .await
        .unwrap();
    let failed: WebService = namespace
        .condition("svc", "Ready", "False", "ImagePullFailed", SLOW)
        .await;
    assert_eq!(failed.status.unwrap().state, Some(ServiceState::Failed));
    namespace
        .condition::<WebService>("svc", "Available", "True", "", QUICK)
        .await;
    namespace
        .patch::<WebService>("svc", image(atelier_testkit::manifest::IMAGE))
        .await
        .unwrap();
    namespace.ready::<WebService>("svc", SLOW).await;
    let counts = load.stop().await;
    assert!(counts.keys().all(|what| what == "200"), "{counts:?}");
    namespace.finish().await;
}

#[tokio::test]
async fn scaling_and_a_new_version_lose_no_request() {
    let _operator = undisturbed().await;
    let namespace = TestNamespace::with_workspace("rolling").await;
    let mut manifest = service("svc");
    manifest["spec"]["replicas"] = json!(2);
    namespace.create::<WebService>(manifest).await;
    namespace.ready::<WebService>("svc", SLOW).await;
    let (at, primary) = (
        url(&namespace, "svc").await,
        key(&namespace, "svc", "primary").await,
    );
    let load = Load::start(&at, Some(&primary), "{}", 2);
    for replicas in ["3", "1", "2"] {
        let replicas = format!("--replicas={replicas}");
        let (ok, said) = namespace.cluster.kubectl(
            &["-n", &namespace.name, "scale", "webservice/svc", &replicas],
            "",
        );
        assert!(ok, "{said}");
        namespace.ready::<WebService>("svc", SLOW).await;
    }
    let before = pod_uids(&namespace, "svc").await;
    namespace
        .patch::<WebService>("svc", json!({"spec": {"limits": {"queueWaitMs": 501}}}))
        .await
        .unwrap();
    eventually(SLOW, "all pods are new and ready", async || {
        namespace.ready::<WebService>("svc", SLOW).await;
        let now = pod_uids(&namespace, "svc").await;
        check(
            now.len() == 2 && now.iter().all(|uid| !before.contains(uid)),
            &now,
        )
    })
    .await;
    let counts = load.stop().await;
    assert!(counts.keys().all(|what| what == "200"), "{counts:?}");
    println!("requests: {counts:?}");
    namespace.finish().await;
}

#[tokio::test]
async fn a_model_that_could_be_reached_around_the_gateway_is_never_served() {
    let _operator = undisturbed().await;
    let namespace = TestNamespace::with_workspace("exposed").await;
    let mut manifest = service("svc");
    manifest["spec"]["command"] = json!(["python3", "-c", server("0.0.0.0", 0)]);
    namespace.create::<WebService>(manifest).await;
    let found: WebService = namespace
        .condition("svc", "Ready", "False", "ModelNotOnLoopback", SLOW)
        .await;
    let status = found.status.unwrap();
    assert_eq!(
        (status.state, status.ready_replicas),
        (Some(ServiceState::Unhealthy), 0)
    );
    assert!(
        status.conditions.iter().any(|c| c.message.contains("5001")),
        "{:?}",
        status.conditions
    );
    namespace.finish().await;
}

#[tokio::test]
async fn the_example_model_predicts_through_the_gateway() {
    let _operator = undisturbed().await;
    let namespace = TestNamespace::with_workspace("predict").await;
    let mut manifest = service("digits");
    manifest["spec"]["command"] = json!(["python3", "/opt/atelier/serve.py"]);
    manifest["spec"]["resources"] = json!({"cpu": "100m", "memory": "512Mi"});
    namespace.create::<WebService>(manifest).await;
    let ready: WebService = namespace.ready("digits", SLOW).await;
    assert_eq!(
        ready.status.unwrap().scoring_uri,
        Some(format!("http://digits.{}.svc/score", namespace.name))
    );
    let (at, primary) = (
        url(&namespace, "digits").await,
        key(&namespace, "digits", "primary").await,
    );
    let body = json!({"data": [vec![0; 64], vec![8; 64]]}).to_string();
    let answer = Caller::default().post(&at, Some(&primary), &body).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let answer: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
    let predictions = answer["predictions"].as_array().unwrap();
    assert!(
        predictions.len() == 2
            && predictions
                .iter()
                .all(|p| p.as_u64().is_some_and(|d| d < 10)),
        "{answer}"
    );
    namespace.finish().await;
}
