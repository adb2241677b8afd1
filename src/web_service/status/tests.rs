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
        &Progress::Made(Known::default()),
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
        &Progress::Made(Known::default()),
        &seen,
        None,
        now,
    );
    assert_eq!(after.state, Some(ServiceState::Failed));
    let ready = after.conditions.iter().find(|c| c.type_ == READY);
    assert!(ready.is_some_and(|c| c.message.contains("exceeded quota")));
}
