//! The custom resources of `atelier.dev/v1alpha1`, their conditions, labels and names.
//!
//! Types only: nothing here opens a connection, reads a clock or draws a random number, so the operator,
//! the gateway, the command line and the tests can share it without sharing anything else.

pub mod actions;
pub mod archive;
pub mod conditions;
pub mod gateway_policy;
pub mod gateway_telemetry;
pub mod labels;
pub mod report;
pub mod schema;
pub mod subject;
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
    let mut workspace = Workspace::crd();
    spec_may_be_left_out(&mut workspace);
    vec![
        workspace,
        RoleAssignment::crd(),
        ComputeTarget::crd(),
        Run::crd(),
        WebService::crd(),
    ]
}

/// A kind whose fields all have defaults needs no `spec` in a manifest: the API server fills it in.
fn spec_may_be_left_out(
    crd: &mut k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
) {
    use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::JSON;
    for version in &mut crd.spec.versions {
        let schema = version
            .schema
            .as_mut()
            .and_then(|v| v.open_api_v3_schema.as_mut());
        let Some(schema) = schema else { continue };
        schema.required = schema
            .required
            .take()
            .map(|names| names.into_iter().filter(|n| n != "spec").collect());
        if let Some(spec) = schema
            .properties
            .as_mut()
            .and_then(|all| all.get_mut("spec"))
        {
            spec.default = Some(JSON(serde_json::json!({})));
        }
    }
}
