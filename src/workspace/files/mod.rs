//! The file share of a workspace: a claim of its own, or one that its team brings; and how far that is with its volume
//! (docs/design/file-share.md).

mod class;
mod encryption;

use std::sync::Arc;

use atelier_api::Workspace;
use atelier_api::conditions::{FILE_SHARE_READY, reasons};
use atelier_api::v1alpha1::{AccessMode, FileShareStatus, FileShareType};
use k8s_openapi::api::storage::v1::StorageClass;
use kube::ResourceExt as _;

use super::{MANAGER, volume};
use crate::ctx::Ctx;
use crate::kit::Error;
use crate::kit::brought::Brought;
use crate::kit::children::{VolumePhase, VolumeView};
use crate::kit::conditions::kept;
use crate::kit::meta::Parent;
pub use class::told;
pub use encryption::Encryption;

/// `app.kubernetes.io/component` of the claim.
const COMPONENT: &str = "files";

/// What is so of a file share.
#[derive(Clone, Debug, PartialEq)]
pub struct State {
    /// Whether it can be used; `None` while that shows only when somebody does.
    pub ready: Option<bool>,
    /// A stable reason.
    pub reason: String,
    /// What is so, and what to do about it.
    pub message: String,
    /// What it is.
    pub status: Option<FileShareStatus>,
    /// Whether its volume is encrypted; `None` while there is no claim.
    pub encryption: Option<Encryption>,
}

impl State {
    fn new(ready: Option<bool>, reason: &str, message: String) -> Self {
        Self {
            ready,
            reason: reason.into(),
            message,
            status: None,
            encryption: None,
        }
    }

    /// What the status says of it.
    pub fn recorded(workspace: &Workspace) -> Option<Self> {
        let status = workspace.status.as_ref()?;
        let (ready, reason, message) = kept(&status.conditions, FILE_SHARE_READY)?;
        Some(Self {
            ready,
            reason: reason.into(),
            message: message.into(),
            status: status.file_share.clone(),
            encryption: Encryption::recorded(status),
        })
    }
}

/// Name of the claim of a workspace's own.
fn claim_name(workspace: &str) -> String {
    format!("{workspace}-files")
}

/// Sees that the claim is there, and says how far it is. `None` if the workspace wants no file share. What is in the way
/// of it is in nobody else's.
pub async fn settle(
    workspace: &Workspace,
    parent: &Parent,
    ctx: &Ctx,
) -> Result<Option<State>, Error> {
    let share = &workspace.spec.file_share;
    let brought = share.persistent_volume_claim.as_ref();
    let brought = brought.filter(|_| share.type_ == FileShareType::PersistentVolumeClaim);
    if brought.is_none() {
        ctx.claims.let_go(&parent.namespace, &parent.name);
    }
    match (share.type_, brought) {
        (FileShareType::None, _) => Ok(None),
        (_, Some(brought)) => {
            let (namespace, name) = (&parent.namespace, &brought.claim_name);
            let found = ctx.claims.know(namespace, &parent.name, name).await?;
            Ok(Some(of_brought(namespace, name, found, ctx)))
        }
        (_, None) => match own(workspace, parent, ctx).await {
            Err(error) if error.needs_help() => {
                let state = State::new(Some(false), error.reason(), error.to_string());
                Ok(Some(state))
            }
            other => other.map(Some),
        },
    }
}

fn of_brought(namespace: &str, name: &str, found: Brought<VolumeView>, ctx: &Ctx) -> State {
    match found {
        Brought::There(view) if view.is_block => {
            let why = format!(
                "PersistentVolumeClaim {name} has volumeMode Block: it is a bare device and no folder; name another"
            );
            State::new(Some(false), reasons::CLAIM_UNSUITABLE, why)
        }
        Brought::There(view) => {
            let classes = ctx.stores.storage_classes.state();
            judge(name, &view, class_of(&view, None, &classes))
        }
        Brought::Missing | Brought::Unknown => {
            let why = format!(
                "there is no PersistentVolumeClaim {name} in namespace {namespace}; make it"
            );
            State::new(Some(false), reasons::CLAIM_MISSING, why)
        }
    }
}

/// The claim of the workspace's own, made once it is known what its class can do: that cannot be changed later.
async fn own(workspace: &Workspace, parent: &Parent, ctx: &Ctx) -> Result<State, Error> {
    let wish = workspace.spec.file_share.embedded.clone();
    let wish = wish.unwrap_or_default();
    let parent = &parent.part(COMPONENT);
    let name = claim_name(&parent.name);
    let classes = ctx.stores.storage_classes.state();
    let class = class::chosen(wish.storage_class_name.as_deref(), &classes);
    let applier = ctx.applier(MANAGER);
    let shape = |access_mode| volume::Shape {
        name: name.clone(),
        size: wish.size.clone(),
        class: wish.storage_class_name.clone(),
        access_mode,
    };
    let narrowest = AccessMode::ReadWriteOnce;
    let mode = wish.access_mode.or_else(|| class.map(class::widest));
    let claim = volume::claim(workspace, parent, shape(mode.unwrap_or(narrowest)))?;
    let is_there = ctx.children.get(&claim.key).is_some();
    if class.is_none() && !is_there {
        return Ok(without_class(wish.storage_class_name.as_deref()));
    }
    if !volume::ensure(&claim, parent, &applier).await? {
        let why = volume::GOING.to_owned();
        return Ok(State::new(Some(false), reasons::PROVISIONING, why));
    }
    let seen = ctx.children.get(&claim.key);
    let view = seen.and_then(|seen| seen.volume().cloned());
    let view = view.unwrap_or_default();
    let class = class_of(&view, wish.storage_class_name.as_deref(), &classes);
    Ok(judge(&name, &view, class))
}

/// The class of a claim: the one that it was given, or will be. What is the default by now says nothing of a claim that has
/// its volume.
fn class_of<'a>(
    view: &VolumeView,
    wish: Option<&str>,
    classes: &'a [Arc<StorageClass>],
) -> Option<&'a StorageClass> {
    match (&view.class, view.phase) {
        (Some(given), _) => class::chosen(Some(given), classes),
        (None, VolumePhase::Pending) => class::chosen(wish, classes),
        (None, VolumePhase::Bound | VolumePhase::Lost) => None,
    }
}

fn without_class(name: Option<&str>) -> State {
    let why = match name {
        Some(name) => format!("there is no StorageClass {name}; an administrator makes it"),
        None => "no StorageClass is the cluster's default; an administrator makes one that, or the team makes a new \
                 workspace that names one, or a claim, or none in spec.fileShare"
            .to_owned(),
    };
    State::new(Some(false), reasons::NO_STORAGE_CLASS, why)
}

/// How far a claim is with its volume, and who may mount that.
fn judge(name: &str, view: &VolumeView, class: Option<&StorageClass>) -> State {
    let lower = view.capacity.as_deref().unwrap_or("a volume");
    let (ready, reason, message) = match view.phase {
        VolumePhase::Bound => {
            let who = reach(&view.access_modes);
            (
                Some(true),
                reasons::BOUND,
                format!("PersistentVolumeClaim {name} has {lower}, {who}"),
            )
        }
        VolumePhase::Lost => (
            Some(false),
            reasons::VOLUME_LOST,
            format!(
                "the volume of PersistentVolumeClaim {name} is gone, and what was on it; restore it from a backup"
            ),
        ),
        VolumePhase::Pending if class.is_some_and(class::waits_for_first_use) => {
            let class = class.map(|class| class.name_any()).unwrap_or_default();
            let who = reach(&view.access_modes);
            (
                None,
                reasons::WAITS_FOR_FIRST_USE,
                format!(
                    "PersistentVolumeClaim {name} is there, {who}; StorageClass {class} makes its volume when a pod first mounts it"
                ),
            )
        }
        VolumePhase::Pending => (
            Some(false),
            reasons::PROVISIONING,
            format!(
                "PersistentVolumeClaim {name} waits for its volume; its events say what keeps it"
            ),
        ),
    };
    State {
        status: Some(FileShareStatus {
            claim_name: name.into(),
            access_modes: view.access_modes.clone(),
            capacity: view.capacity.clone(),
        }),
        encryption: Some(Encryption::of(name, class)),
        ..State::new(ready, reason, message)
    }
}

/// Who may mount a volume at the same time, in words.
fn reach(modes: &[String]) -> &'static str {
    let has = |mode: &str| modes.iter().any(|one| one == mode);
    match () {
        () if has("ReadWriteMany") => "for pods on all nodes at the same time (ReadWriteMany)",
        () if has("ReadWriteOnce") => "for pods on one node at a time (ReadWriteOnce)",
        () if has("ReadWriteOncePod") => "for one pod at a time (ReadWriteOncePod)",
        () => "for reading only (ReadOnlyMany)",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(phase: VolumePhase, mode: &str) -> VolumeView {
        VolumeView {
            phase,
            access_modes: vec![mode.into()],
            capacity: (phase == VolumePhase::Bound).then(|| "10Gi".into()),
            ..VolumeView::default()
        }
    }

    fn class(binding: &str) -> StorageClass {
        StorageClass {
            volume_binding_mode: Some(binding.into()),
            ..StorageClass::default()
        }
    }

    #[test]
    fn what_is_bound_is_ready_and_says_for_whom() {
        let many = judge("c", &view(VolumePhase::Bound, "ReadWriteMany"), None);
        assert_eq!((many.ready, many.reason.as_str()), (Some(true), "Bound"));
        assert!(many.message.contains("10Gi") && many.message.contains("all nodes"));
        let one = judge("c", &view(VolumePhase::Bound, "ReadWriteOnce"), None);
        assert!(one.message.contains("one node"), "{}", one.message);
    }

    #[test]
    fn one_that_is_made_when_it_is_first_used_is_neither_ready_nor_not() {
        let pending = view(VolumePhase::Pending, "ReadWriteOnce");
        let waits = judge("c", &pending, Some(&class("WaitForFirstConsumer")));
        assert_eq!(
            (waits.ready, waits.reason.as_str()),
            (None, "WaitsForFirstUse")
        );
        let made = judge("c", &pending, Some(&class("Immediate")));
        assert_eq!(
            (made.ready, made.reason.as_str()),
            (Some(false), "Provisioning")
        );
        let lost = judge("c", &view(VolumePhase::Lost, "ReadWriteOnce"), None);
        assert_eq!(
            (lost.ready, lost.reason.as_str()),
            (Some(false), "VolumeLost")
        );
    }
}
