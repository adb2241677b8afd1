//! The volumes of a workspace: claims that outlive it, unless they are to go with it.

use atelier_api::v1alpha1::{AccessMode, DeletionPolicy};
use atelier_api::{Workspace, labels};
use k8s_openapi::api::core::v1::{
    PersistentVolumeClaim, PersistentVolumeClaimSpec, VolumeResourceRequirements,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::kit::Error;
use crate::kit::apply::Applier;
use crate::kit::child::{ChildKind, Desired};
use crate::kit::meta::Parent;

/// Why there is none while one of the workspace before is still there.
pub const GOING: &str = "the volume of the workspace before is being deleted";

/// What a claim asks for. None of it can be changed later, but for the size, which is an administrator's to enlarge.
pub struct Shape {
    /// Its name.
    pub name: String,
    /// How much.
    pub size: Quantity,
    /// The StorageClass; the cluster's default without it.
    pub class: Option<String>,
    /// Who may mount it at the same time.
    pub access_mode: AccessMode,
}

/// A claim. It has no owner, so it outlives its workspace; what becomes of it then is written on it.
pub fn claim(workspace: &Workspace, parent: &Parent, shape: Shape) -> Result<Desired, Error> {
    let goes_with = match workspace.spec.deletion_policy {
        DeletionPolicy::Delete => parent.uid(),
        DeletionPolicy::Retain => "",
    };
    let goes_with = (labels::GOES_WITH.to_owned(), goes_with.to_owned());
    let metadata = ObjectMeta {
        annotations: Some([goes_with].into()),
        ..parent.unowned(shape.name)
    };
    let claim = PersistentVolumeClaim {
        metadata,
        spec: Some(PersistentVolumeClaimSpec {
            access_modes: Some(vec![shape.access_mode.as_str().into()]),
            resources: Some(VolumeResourceRequirements {
                requests: Some([("storage".to_owned(), shape.size)].into()),
                limits: None,
            }),
            storage_class_name: shape.class,
            volume_mode: Some("Filesystem".into()),
            ..PersistentVolumeClaimSpec::default()
        }),
        status: None,
    };
    Desired::new(ChildKind::PersistentVolumeClaim, &claim)
}

/// Sees that a claim is there. `false` while one of the workspace before has to go first: that one was to go with its
/// workspace, and another has come before it went.
pub async fn ensure(
    claim: &Desired,
    parent: &Parent,
    applier: &Applier<'_>,
) -> Result<bool, Error> {
    if let Some(seen) = applier.children.get(&claim.key)
        && seen.goes_with().is_some_and(|uid| uid != parent.uid())
    {
        applier.delete(&claim.key, &seen).await?;
        return Ok(false);
    }
    applier.apply(claim).await?;
    Ok(true)
}
