//! One child as it was last seen.

use atelier_api::labels;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::ResourceExt as _;
use kube::api::DynamicObject;
use serde_json::Value;

use super::secret::SecretView;
use crate::kit::child::ChildKind;
use crate::kit::content::{self, ContentHash};
use crate::kit::pod::PodView;

/// What is known of one child.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Its uid.
    pub uid: String,
    /// Its resourceVersion. Comparable: larger is later.
    pub version: u64,
    /// Hash of its normal form.
    pub hash: ContentHash,
    /// The desired hash this very version was written for. Differs from `hash` where this API server fills in a
    /// default that we do not know; the pair is then accepted as equal.
    pub written_for: Option<ContentHash>,
    /// Kind, name and uid of the owner that controls it.
    pub owner: Option<Owner>,
    /// The workspace it belongs to, by its label.
    pub workspace: Option<String>,
    /// The generation of its owner's spec that it says it was made from; 0 if it does not say.
    pub generation: i64,
    /// Whether it is being deleted.
    pub deleting: bool,
    /// What the controllers look at beyond identity and content.
    pub view: View,
}

/// The owner that controls a child.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Owner {
    pub kind: String,
    pub name: String,
    pub uid: String,
}

/// What the controllers look at beyond identity and content.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub enum View {
    Plain,
    Deployment(DeploymentView),
    Pod(Box<PodView>),
    Secret(SecretView),
    Volume(VolumeView),
    Route(RouteView),
}

/// What Gateways say of an HTTPRoute.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RouteView {
    /// Generation of the route's spec.
    pub generation: i64,
    /// What each says.
    pub parents: Vec<ParentView>,
}

/// What one of them says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParentView {
    /// Its namespace; the route's own if it says none.
    pub namespace: Option<String>,
    /// Its name.
    pub name: String,
    /// Its listener, if the route names one.
    pub section: Option<String>,
    /// The generation of the route that it speaks of.
    pub generation: i64,
    /// Whether it takes the route: not, if any of its conditions is False.
    pub accepted: bool,
    /// Why it does not.
    pub why: String,
}

/// What of a PersistentVolumeClaim the controllers look at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VolumeView {
    /// The uid of the workspace that it is to go with.
    pub goes_with: Option<String>,
    /// How far it is with its volume.
    pub phase: VolumePhase,
    /// How the volume may be mounted; while there is none, how it is to be.
    pub access_modes: Vec<String>,
    /// Its StorageClass, once it has one.
    pub class: Option<String>,
    /// How large the volume is.
    pub capacity: Option<String>,
    /// Whether it is a bare device and no folder.
    pub is_block: bool,
}

/// How far a PersistentVolumeClaim is with its volume.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum VolumePhase {
    /// It has none yet.
    #[default]
    Pending,
    /// It has one.
    Bound,
    /// It had one, and that is gone.
    Lost,
}

impl VolumeView {
    /// Reads a claim.
    pub fn of(claim: &PersistentVolumeClaim) -> Self {
        let annotations = claim.annotations();
        let uid = annotations.get(labels::GOES_WITH);
        let (spec, status) = (claim.spec.as_ref(), claim.status.as_ref());
        let bound = status.and_then(|status| status.access_modes.clone());
        let capacity = status.and_then(|status| status.capacity.as_ref()?.get("storage"));
        Self {
            goes_with: uid.filter(|uid| !uid.is_empty()).cloned(),
            phase: match status.and_then(|status| status.phase.as_deref()) {
                Some("Bound") => VolumePhase::Bound,
                Some("Lost") => VolumePhase::Lost,
                _ => VolumePhase::Pending,
            },
            access_modes: bound
                .or_else(|| spec?.access_modes.clone())
                .unwrap_or_default(),
            class: spec.and_then(|spec| spec.storage_class_name.clone()),
            capacity: capacity.map(|capacity| capacity.0.clone()),
            is_block: spec.is_some_and(|spec| spec.volume_mode.as_deref() == Some("Block")),
        }
    }
}

/// What of a Deployment the controllers look at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeploymentView {
    /// Generation of the spec.
    pub generation: i64,
    /// Generation that the Deployment controller has seen.
    pub observed_generation: i64,
    /// Replicas that there are to be.
    pub wanted: i32,
    /// Who has claimed that number by server-side apply.
    pub claimed_by: Option<String>,
    /// Replicas there are, of any version.
    pub replicas: i32,
    /// Replicas of the current version.
    pub updated: i32,
    /// Replicas that are ready.
    pub ready: i32,
    /// Replicas that are available.
    pub available: i32,
    /// Why the API server takes no pods, if it does not: a quota, a policy, or what is in them.
    pub refused: Option<String>,
}

impl Seen {
    /// Reads a live object. `None` if it lacks a uid or version, which no stored object does.
    pub fn of(kind: ChildKind, object: &DynamicObject) -> Option<Self> {
        let meta = &object.metadata;
        let value = serde_json::to_value(object).ok()?;
        let owner = meta
            .owner_references
            .iter()
            .flatten()
            .find(|o| o.controller == Some(true));
        Some(Self {
            uid: meta.uid.clone()?,
            version: meta.resource_version.as_ref()?.parse().ok()?,
            hash: content::hash(kind, &value),
            written_for: None,
            owner: owner.map(|o| Owner {
                kind: o.kind.clone(),
                name: o.name.clone(),
                uid: o.uid.clone(),
            }),
            workspace: object.labels().get(labels::WORKSPACE).cloned(),
            generation: owner_generation(object),
            deleting: meta.deletion_timestamp.is_some(),
            view: view(kind, value),
        })
    }

    /// Whether it was made for an earlier object of this owner's kind and name.
    pub fn is_of_namesake(&self, owner: &OwnerReference) -> bool {
        self.owner.as_ref().is_some_and(|its| {
            its.kind == owner.kind && its.name == owner.name && its.uid != owner.uid
        })
    }

    /// What may be known of the Secret, where this is one.
    pub fn secret(&self) -> Option<&SecretView> {
        match &self.view {
            View::Secret(secret) => Some(secret),
            _ => None,
        }
    }

    /// The workspace that a volume is to go with, where this is one that is to go with one.
    pub fn goes_with(&self) -> Option<&str> {
        self.volume()?.goes_with.as_deref()
    }

    /// How far it is with its volume, where this is a claim.
    pub fn volume(&self) -> Option<&VolumeView> {
        match &self.view {
            View::Volume(volume) => Some(volume),
            _ => None,
        }
    }

    /// What Gateways say of it, where this is a route.
    pub fn route(&self) -> Option<&RouteView> {
        match &self.view {
            View::Route(route) => Some(route),
            _ => None,
        }
    }

    /// The pod, where this is one.
    pub fn pod(&self) -> Option<&PodView> {
        match &self.view {
            View::Pod(pod) => Some(pod),
            _ => None,
        }
    }
}

/// The generation of its owner's spec that an object says it was made from.
pub fn owner_generation(object: &DynamicObject) -> i64 {
    let said = object.annotations().get(labels::OWNER_GENERATION);
    said.and_then(|said| said.parse().ok()).unwrap_or_default()
}

fn replica_failure(deployment: &Value) -> Option<String> {
    let conditions = deployment.pointer("/status/conditions")?.as_array()?;
    let failure = conditions
        .iter()
        .find(|c| c["type"] == "ReplicaFailure" && c["status"] == "True")?;
    Some(failure["message"].as_str().unwrap_or_default().to_owned())
}

/// A client may write that. Whoever does so is believed to have claimed nothing but that.
fn claimed_by(deployment: &Value) -> Option<String> {
    let entries = deployment.pointer("/metadata/managedFields")?.as_array()?;
    let claims = |entry: &&Value| {
        entry["operation"] == "Apply" && entry.pointer("/fieldsV1/f:spec/f:replicas").is_some()
    };
    let claim = entries.iter().find(claims)?;
    claim["manager"].as_str().map(Into::into)
}

fn view(kind: ChildKind, value: Value) -> View {
    match kind {
        ChildKind::Secret => View::Secret(SecretView::of(&value)),
        ChildKind::Pod => match serde_json::from_value::<Pod>(value) {
            Ok(pod) => View::Pod(Box::new(PodView::of(&pod))),
            Err(_) => View::Plain,
        },
        ChildKind::Deployment => {
            let number = |pointer: &str| {
                value
                    .pointer(pointer)
                    .and_then(Value::as_i64)
                    .unwrap_or_default()
            };
            let count =
                |name: &str| i32::try_from(number(&format!("/status/{name}"))).unwrap_or(i32::MAX);
            View::Deployment(DeploymentView {
                generation: number("/metadata/generation"),
                observed_generation: number("/status/observedGeneration"),
                // The API server fills it in.
                wanted: i32::try_from(number("/spec/replicas")).unwrap_or(i32::MAX),
                claimed_by: claimed_by(&value),
                replicas: count("replicas"),
                updated: count("updatedReplicas"),
                ready: count("readyReplicas"),
                available: count("availableReplicas"),
                refused: replica_failure(&value),
            })
        }
        ChildKind::PersistentVolumeClaim => {
            match serde_json::from_value::<PersistentVolumeClaim>(value) {
                Ok(claim) => View::Volume(VolumeView::of(&claim)),
                Err(_) => View::Plain,
            }
        }
        ChildKind::HttpRoute => View::Route(route(&value)),
        _ => View::Plain,
    }
}

fn route(value: &Value) -> RouteView {
    let parents = value.pointer("/status/parents").and_then(Value::as_array);
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let parents = parents.into_iter().flatten().map(|parent| {
        let (reference, conditions) = (&parent["parentRef"], parent["conditions"].as_array());
        let told = |type_: &str| {
            let mut told = conditions.into_iter().flatten();
            told.find(|told| told["type"] == type_)
        };
        let of = ["Accepted", "ResolvedRefs"].map(told);
        let refused = of
            .into_iter()
            .flatten()
            .find(|told| told["status"] != "True");
        let why = refused.map(|told| &told["message"]).and_then(text);
        let generations = of.into_iter().flatten();
        let generations = generations.filter_map(|told| told["observedGeneration"].as_i64());
        ParentView {
            namespace: text(&reference["namespace"]),
            name: text(&reference["name"]).unwrap_or_default(),
            section: text(&reference["sectionName"]),
            generation: generations.min().unwrap_or_default(),
            accepted: of[0].is_some() && refused.is_none(),
            why: why.unwrap_or_default(),
        }
    });
    RouteView {
        generation: value["metadata"]["generation"].as_i64().unwrap_or_default(),
        parents: parents.collect(),
    }
}
