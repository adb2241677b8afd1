//! When rights that were just given are in force.

use std::time::Duration;

use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec,
};
use kube::api::PostParams;
use kube::{Api, Client};
use tracing::debug;

const FIRST: Duration = Duration::from_millis(5);
const LONGEST: Duration = Duration::from_secs(2);

/// Waits until we may do our work in a namespace. A binding is in force some milliseconds after it was written; to
/// ask costs nothing but a request, whereas trying would fill the audit log with refusals that nobody can tell from
/// real ones.
pub async fn await_in(client: Client, namespace: &str) {
    let api: Api<SelfSubjectAccessReview> = Api::all(client);
    // The binding gives all rights at once, so any of them tells.
    let question = SelfSubjectAccessReview {
        spec: SelfSubjectAccessReviewSpec {
            resource_attributes: Some(ResourceAttributes {
                namespace: Some(namespace.into()),
                verb: Some("watch".into()),
                resource: Some("pods".into()),
                ..ResourceAttributes::default()
            }),
            ..SelfSubjectAccessReviewSpec::default()
        },
        ..SelfSubjectAccessReview::default()
    };
    let mut pause = FIRST;
    loop {
        match api.create(&PostParams::default(), &question).await {
            Ok(answer) if answer.status.as_ref().is_some_and(|status| status.allowed) => return,
            Ok(_) => {}
            Err(error) => debug!(namespace, %error, "cannot ask for our own rights; trying again"),
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST);
    }
}
