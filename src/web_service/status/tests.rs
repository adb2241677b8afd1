use serde_json::json;

use super::*;
use crate::kit::pod::ContainerView;

fn service(replicas: i32) -> WebService {
    serde_json::from_value(
        json!({"apiVersion": "atelier.dev/v1alpha1", "kind": "WebService",
        "metadata": {"name": "digits", "namespace": "n", "uid": "u", "generation": 1},
        "spec": {"image": "registry.test/model:1", "replicas": replicas}}),
    )
    .expect("a service")
}

fn rollout(updated: i32, replicas: i32, available: i32) -> Option<DeploymentView> {
    Some(DeploymentView {
        refused: None,
        wanted: replicas,
        claimed_by: None,
        generation: 1,
        observed_generation: 1,
        replicas,
        updated,
        ready: available,
        available,
    })
}

fn pod(container: &str, view: ContainerView) -> PodView {
    PodView {
        containers: vec![ContainerView {
            name: container.into(),
            ..view
        }],
        ..PodView::default()
    }
}

fn tell(
    service: &WebService,
    deployment: Option<DeploymentView>,
    pods: Vec<PodView>,
) -> (ServiceState, String) {
    let now = Timestamp::from_second(0).expect("a valid time");
    let after = status(
        service,
        Transport::Plain,
        &Progress::Made(Box::default()),
        &Seen { deployment, pods },
        None,
        now,
    );
    let ready = after
        .conditions
        .iter()
        .find(|c| c.type_ == READY)
        .expect("Ready is always there");
    (after.state.expect("a state"), ready.reason.clone())
}

#[test]
fn a_service_that_follows_its_load_stays_healthy_while_replicas_come_and_go() {
    let mut service = service(1);
    service.spec.autoscale = Some(Default::default());
    let wants =
        |wanted, view: Option<DeploymentView>| view.map(|view| DeploymentView { wanted, ..view });
    let state = |service: &WebService, view| tell(service, view, vec![]).0;
    let healthy = ServiceState::Healthy;
    assert_eq!(state(&service, wants(3, rollout(1, 1, 1))), healthy);
    assert_eq!(state(&service, wants(1, rollout(3, 3, 3))), healthy);
    // Another version is a rollout, and one that does not answer is none that does.
    let transitioning = ServiceState::Transitioning;
    assert_eq!(state(&service, wants(2, rollout(1, 2, 2))), transitioning);
    assert_eq!(state(&service, wants(1, rollout(1, 1, 0))), transitioning);
    // Before the Deployment controller has seen another number.
    let ahead = wants(3, rollout(1, 1, 1)).map(|view| DeploymentView {
        generation: 2,
        ..view
    });
    assert_eq!(state(&service, ahead.clone()), transitioning);
    service.status = Some(WebServiceStatus {
        observed_generation: Some(1),
        state: Some(healthy),
        ..WebServiceStatus::default()
    });
    assert_eq!(state(&service, ahead), healthy);
}

#[test]
fn a_service_is_healthy_when_all_replicas_of_this_version_answer() {
    assert_eq!(
        tell(&service(2), None, vec![]).0,
        ServiceState::Transitioning
    );
    assert_eq!(
        tell(&service(2), rollout(1, 2, 2), vec![]).0,
        ServiceState::Transitioning
    );
    assert_eq!(
        tell(&service(2), rollout(2, 2, 2), vec![]).0,
        ServiceState::Healthy
    );
    assert_eq!(
        tell(&service(0), rollout(0, 0, 0), vec![]),
        (ServiceState::Healthy, reasons::SCALED_TO_ZERO.into())
    );
}

#[test]
fn a_replica_lost_after_the_rollout_makes_it_unhealthy() {
    let mut service = service(2);
    service.status = Some(WebServiceStatus {
        observed_generation: Some(1),
        state: Some(ServiceState::Healthy),
        ..WebServiceStatus::default()
    });
    assert_eq!(
        tell(&service, rollout(2, 2, 1), vec![]),
        (ServiceState::Unhealthy, reasons::NOT_ANSWERING.into())
    );
}

#[test]
fn what_keeps_a_pod_from_answering_is_told() {
    let waiting = |reason: &str| ContainerView {
        waiting: Some((reason.into(), "why".into())),
        ..ContainerView::default()
    };
    let end = Terminated {
        exit_code: 86,
        message: "ModelNotOnLoopback: 5001".into(),
        ..Terminated::default()
    };
    let exposed = ContainerView {
        last_terminated: Some(end),
        ..ContainerView::default()
    };
    let nowhere = PodView {
        unschedulable: Some("Insufficient cpu".into()),
        ..PodView::default()
    };
    for (pod, state, reason) in [
        (
            pod(MODEL, waiting("ImagePullBackOff")),
            ServiceState::Failed,
            reasons::IMAGE_PULL_FAILED,
        ),
        (
            pod(MODEL, waiting("CrashLoopBackOff")),
            ServiceState::Unhealthy,
            reasons::CRASH_LOOP,
        ),
        (
            pod(GATEWAY, exposed),
            ServiceState::Unhealthy,
            reasons::MODEL_NOT_ON_LOOPBACK,
        ),
        (nowhere, ServiceState::Unschedulable, reasons::UNSCHEDULABLE),
    ] {
        assert_eq!(
            tell(&service(1), rollout(1, 2, 1), vec![pod]),
            (state, reason.into())
        );
    }
}

#[test]
fn turning_keys_off_is_told_once_as_a_warning() {
    let open = WebServiceStatus {
        auth: Some(AuthMode::None),
        ..WebServiceStatus::default()
    };
    assert_eq!(
        transitions(None, &open).first().map(|e| (e.0, e.1)),
        Some((true, "AuthNone"))
    );
    assert!(transitions(Some(&open), &open).is_empty());
}

#[test]
fn pods_that_the_api_server_does_not_take_are_told_of() {
    let refused = DeploymentView {
        refused: Some("exceeded quota: small".into()),
        ..DeploymentView::default()
    };
    let now = Timestamp::from_second(0).expect("a valid time");
    let seen = Seen {
        deployment: Some(refused),
        pods: vec![],
    };
    let after = status(
        &service(1),
        Transport::Plain,
        &Progress::Made(Box::default()),
        &seen,
        None,
        now,
    );
    assert_eq!(after.state, Some(ServiceState::Failed));
    let ready = after.conditions.iter().find(|c| c.type_ == READY);
    assert!(ready.is_some_and(|c| c.message.contains("exceeded quota")));
}

#[test]
fn a_certificate_that_cannot_be_served_fails_the_service_and_what_was_known_of_it_stays() {
    use super::super::transport;
    let now = Timestamp::from_second(0).expect("a valid time");
    let tell = |before: &WebService, tls: Option<transport::Standing>| {
        let known = Known {
            tls,
            ..Known::default()
        };
        let seen = Seen {
            deployment: rollout(1, 1, 1),
            pods: vec![],
        };
        let made = Progress::Made(Box::new(known));
        status(before, Transport::Generated, &made, &seen, None, now)
    };
    let encrypted = |status: &WebServiceStatus| {
        let told = status.conditions.iter();
        let mut told = told.filter(|told| told.type_ == TRANSPORT_ENCRYPTED);
        let told = told.next().expect("always told of");
        (told.status.clone(), told.reason.clone())
    };
    let good = transport::generated(true, Some(now), Some("pem".into()));
    let mut before = service(1);
    let after = tell(&before, Some(good));
    assert_eq!(after.state, Some(ServiceState::Healthy));
    assert_eq!(
        after.scoring_uri.as_deref(),
        Some("https://digits.n.svc/score")
    );
    assert_eq!(encrypted(&after), ("True".into(), "Generated".into()));
    let tls = after.tls.clone();
    assert_eq!(
        tls.as_ref().and_then(|tls| tls.ca_bundle.as_deref()),
        Some("pem")
    );
    before.status = Some(after);
    // Not looked at yet, by an operator that has just begun.
    let after = tell(&before, None);
    assert_eq!((&after.tls, encrypted(&after).0), (&tls, "True".into()));
    let after = tell(&before, Some(transport::generated(false, None, None)));
    assert_eq!(after.state, Some(ServiceState::Failed));
    assert_eq!(
        encrypted(&after),
        ("True".into(), reasons::NO_AUTHORITY.into())
    );
}

#[test]
fn who_turns_encryption_off_is_warned_once() {
    use super::super::transport;
    let now = Timestamp::from_second(0).expect("a valid time");
    let tls = atelier_api::v1alpha1::Tls {
        mode: Some(TlsMode::Disabled),
        ..Default::default()
    };
    let known = Known {
        tls: Some(transport::plain(&tls)),
        ..Known::default()
    };
    let made = Progress::Made(Box::new(known));
    let off = status(
        &service(1),
        Transport::Plain,
        &made,
        &Seen::default(),
        None,
        now,
    );
    let told = |before| {
        let events = transitions(before, &off);
        let told = events
            .iter()
            .filter(|(_, reason, _)| *reason == "TransportNotEncrypted");
        told.count()
    };
    assert_eq!((told(None), told(Some(&off))), (1, 0));
    assert_eq!(
        off.scoring_uri.as_deref(),
        Some("http://digits.n.svc/score")
    );
}
