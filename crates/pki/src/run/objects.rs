//! The objects that are watched and written: Secrets and targets, all by their names.

use k8s_openapi::api::core::v1::Secret;
use kube::api::{ApiResource, DynamicObject};

use crate::error::Error;
use crate::plan::{Place, Step};

/// Which object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Slot {
    /// The Secret with the authorities.
    Authority,
    /// The Secret of a certificate.
    Leaf(usize),
    /// A target.
    Target(usize),
}

impl Slot {
    /// Which object a step writes.
    pub fn of(step: Step) -> Self {
        match step {
            Step::Issue(leaf) | Step::Tell(Place::Leaf(leaf)) => Self::Leaf(leaf),
            Step::Tell(Place::Target(target)) => Self::Target(target),
            _ => Self::Authority,
        }
    }
}

/// What is known of an object.
#[derive(Clone, Default)]
pub enum Seen {
    /// Nothing yet.
    #[default]
    Unknown,
    /// That there is none.
    Absent,
    /// What it was when last seen.
    There(Box<DynamicObject>),
}

impl Seen {
    /// Takes a newer state over. A watch may still tell of what was before our own last write.
    pub fn update(&mut self, object: Option<DynamicObject>) {
        *self = match (&*self, object) {
            (_, None) => Self::Absent,
            (Self::There(known), Some(object)) if is_older(&object, known) => return,
            (_, Some(object)) => Self::There(Box::new(object)),
        };
    }

    /// The object, if there is one.
    pub fn object(&self) -> Option<&DynamicObject> {
        match self {
            Self::There(object) => Some(object),
            Self::Unknown | Self::Absent => None,
        }
    }

    /// The object as a Secret.
    pub fn secret(&self) -> Option<Secret> {
        let value = serde_json::to_value(self.object()?).ok()?;
        serde_json::from_value(value).ok()
    }
}

fn is_older(object: &DynamicObject, known: &DynamicObject) -> bool {
    let version = |object: &DynamicObject| -> Option<u64> {
        object.metadata.resource_version.as_ref()?.parse().ok()
    };
    object.metadata.uid == known.metadata.uid && version(object) < version(known)
}

/// A Secret in the form in which all objects are written.
pub fn untyped(secret: &Secret) -> Result<DynamicObject, Error> {
    Ok(serde_json::from_value(serde_json::to_value(secret)?)?)
}

/// The resource of Secrets.
pub fn secrets() -> ApiResource {
    ApiResource::erase::<Secret>(&())
}
