//! Whether a principal may get a role here.

use atelier_api::conditions::reasons;
use atelier_api::v1alpha1::{Principal, PrincipalKind};
use atelier_api::{RoleAssignment, labels};
use k8s_openapi::api::rbac::v1::Subject;
use kube::ResourceExt as _;

use crate::ctx::Stores;
use crate::workspace::gate;

const RBAC: &str = "rbac.authorization.k8s.io";

/// Judges an assignment by what is known. `Ok` gives the subject to bind.
pub fn validate(
    assignment: &RoleAssignment,
    stores: &Stores,
) -> Result<Subject, (&'static str, String)> {
    let here = assignment.namespace().unwrap_or_default();
    let principal = &assignment.spec.principal;
    let consents = |namespace: &str| {
        let labels = gate::namespace_labels(stores, namespace).unwrap_or_default();
        labels
            .get(&consent_label(&here))
            .is_some_and(|value| value == "true")
    };
    match principal.namespace.as_deref() {
        Some(other) if other != here && !consents(other) => Err((
            reasons::NAMESPACE_DOES_NOT_CONSENT,
            format!(
                "namespace {other} has to agree that its ServiceAccounts get roles here: kubectl label namespace {other} {}=true",
                consent_label(&here)
            ),
        )),
        _ => Ok(subject(principal, &here)),
    }
}

/// The label by which a namespace consents to roles given in another.
fn consent_label(here: &str) -> String {
    format!("{}{here}", labels::CONSENT_PREFIX)
}

fn subject(principal: &Principal, here: &str) -> Subject {
    let name = principal.name.clone();
    match principal.kind {
        PrincipalKind::User => Subject {
            api_group: Some(RBAC.into()),
            kind: "User".into(),
            name,
            namespace: None,
        },
        PrincipalKind::Group => Subject {
            api_group: Some(RBAC.into()),
            kind: "Group".into(),
            name,
            namespace: None,
        },
        PrincipalKind::ServiceAccount => Subject {
            api_group: None,
            kind: "ServiceAccount".into(),
            name,
            namespace: Some(principal.namespace.clone().unwrap_or_else(|| here.into())),
        },
    }
}
