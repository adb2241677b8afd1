//! What all pods that we make have in common: Pod Security `restricted`, no token, no injected variables.

use k8s_openapi::api::core::v1::{
    Capabilities, Container, PodSecurityContext, PodSpec, ResourceRequirements, SeccompProfile,
    SecurityContext,
};

use atelier_api::v1alpha1::Resources;

/// A pod's security context under `restricted`.
pub fn pod_security() -> PodSecurityContext {
    PodSecurityContext {
        run_as_non_root: Some(true),
        seccomp_profile: Some(SeccompProfile {
            type_: "RuntimeDefault".into(),
            localhost_profile: None,
        }),
        ..PodSecurityContext::default()
    }
}

/// A container's security context under `restricted`.
pub fn container_security(read_only_root: bool) -> SecurityContext {
    SecurityContext {
        allow_privilege_escalation: Some(false),
        capabilities: Some(Capabilities {
            drop: Some(vec!["ALL".into()]),
            add: None,
        }),
        // Said either way: what is left out cannot be told from what somebody took out.
        read_only_root_filesystem: Some(read_only_root),
        ..SecurityContext::default()
    }
}

/// Requested and guaranteed alike: a node is as large as its target says, no more and no less.
pub fn guaranteed(resources: &Resources) -> ResourceRequirements {
    let both: std::collections::BTreeMap<_, _> = [
        ("cpu".to_owned(), resources.cpu.clone()),
        ("memory".to_owned(), resources.memory.clone()),
    ]
    .into();
    ResourceRequirements {
        requests: Some(both.clone()),
        limits: Some(both),
        claims: None,
    }
}

/// A pod of these containers, with every default that the API server would fill in.
pub fn spec(service_account: String, containers: Vec<Container>, grace_seconds: i64) -> PodSpec {
    PodSpec {
        service_account_name: Some(service_account),
        automount_service_account_token: Some(false),
        enable_service_links: Some(false),
        security_context: Some(pod_security()),
        termination_grace_period_seconds: Some(grace_seconds),
        restart_policy: Some("Always".into()),
        dns_policy: Some("ClusterFirst".into()),
        scheduler_name: Some("default-scheduler".into()),
        containers,
        ..PodSpec::default()
    }
}

/// A container with every default that the API server would fill in.
pub fn container(name: &str, image: &str, pull_policy: Option<&str>) -> Container {
    Container {
        name: name.into(),
        image: Some(image.into()),
        image_pull_policy: pull_policy.map(Into::into),
        termination_message_path: Some("/dev/termination-log".into()),
        termination_message_policy: Some("File".into()),
        ..Container::default()
    }
}
