//! `workspaces/resynckeys`.

use atelier_api::Workspace;
use atelier_api::v1alpha1::{GrantResource, GrantState};
use atelier_testkit::namespace::QUICK;
use k8s_openapi::api::rbac::v1::RoleBinding;

use crate::team::{CONTRIBUTOR, READER, plugin, team};

#[tokio::test]
async fn a_contributor_gives_a_grant_back_and_a_reader_does_not() {
    let namespace = team("resync").await;
    namespace.delete::<RoleBinding>("team-identity").await;
    namespace
        .condition::<Workspace>("team", "IdentityAccess", "False", "GrantRevoked", QUICK)
        .await;
    let refused = plugin(&namespace, READER, &["resync", "team"]).unwrap_err();
    assert!(refused.contains("Forbidden"), "{refused}");

    let before: Workspace = namespace.api().get("team").await.unwrap();
    let said = plugin(&namespace, CONTRIBUTOR, &["resync", "team"]).unwrap();
    assert!(
        said.contains("team resynced\n  Workspace: Contributor: Granted"),
        "{said}"
    );
    let after: Workspace = namespace.api().get("team").await.unwrap();
    assert_eq!(
        after.grant(GrantResource::Workspace),
        Some(GrantState::Granted)
    );
    // The spec is its author's.
    assert_eq!(after.spec, before.spec);
    let status = after.status.unwrap();
    assert_eq!(status.resync_requested.unwrap().by, CONTRIBUTOR);
    namespace.finish().await;
}
