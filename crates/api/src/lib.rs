//! The custom resources of `atelier.dev/v1alpha1`, their conditions, labels and names.
//!
//! Types only: nothing here opens a connection, reads a clock or draws a random number, so the operator,
//! the gateway, the command line and the tests can share it without sharing anything else.

pub mod conditions;
pub mod gateway_policy;
pub mod labels;
pub mod schema;
pub mod v1alpha1;

pub use v1alpha1::{
    ComputeTarget, ComputeTargetSpec, ComputeTargetStatus, RoleAssignment, RoleAssignmentSpec,
    RoleAssignmentStatus, Run, RunSpec, RunStatus, WebService, WebServiceSpec, WebServiceStatus,
    Workspace, WorkspaceSpec, WorkspaceStatus,
};

/// The API group of every custom resource.
pub const GROUP: &str = "atelier.dev";

/// All CustomResourceDefinitions, in the order in which they are written to `crds/`.
pub fn crds()
-> Vec<k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition>
{
    use kube::CustomResourceExt as _;
    vec![
        Workspace::crd(),
        RoleAssignment::crd(),
        ComputeTarget::crd(),
        Run::crd(),
        WebService::crd(),
    ]
}
