//! Makes a child what it should be: POST when it is absent, PUT with uid and resourceVersion when it differs.
//!
//! Not server-side apply: that leaves what others added (docs/design/drift.md). Every write but a creation carries
//! the version it was decided on; a conflict means to look again.

mod decide;

use std::sync::Mutex;

use atelier_api::labels;
use jiff::Timestamp;
use kube::api::{DeleteParams, DynamicObject, PostParams, Preconditions};
use kube::core::Status;
use kube::{Api, Client, ResourceExt as _};

use super::child::{ChildKey, ChildKind, Desired};
use super::children::{Children, Seen, View, owner_generation};
use super::contest::{Contests, Verdict};
use super::error::{Error, status_code};
use crate::leader::Claim;
pub use decide::{Decision, decide, unowned_id};
use decide::{
    api_resource, first_owner, is_built_for, is_contestable, is_ours, is_predecessors, is_right,
    is_same_role, owner_id,
};

/// Writes children, for as long as we are the leader.
pub struct Applier<'a> {
    /// Where to write.
    pub client: &'a Client,
    /// What is known.
    pub children: &'a Children,
    /// Proof of leadership, asked before every write.
    pub claim: &'a Claim,
    /// Who insists on changing what.
    pub contests: &'a Contests,
    /// The time.
    pub now: Timestamp,
    /// The owner's uid and generation that the API server has confirmed.
    pub confirmed: Mutex<Option<(String, i64)>>,
    /// `fieldManager` of the writes: one for each concern.
    pub manager: &'static str,
}

/// What became of a child.
#[derive(Clone, Debug)]
pub struct Applied {
    /// Its uid.
    pub uid: String,
    /// Whether it had to be written.
    pub written: bool,
}

impl Applier<'_> {
    /// Fails unless the API server says that the owner is the one, and has the spec, that a child was built for. Asked
    /// where our view alone would not do: before anything is made, which no version protects, and before an older spec
    /// would be put into what was made from a newer one.
    async fn confirm_owner(&self, desired: &Desired) -> Result<(), Error> {
        let Some(owner) = first_owner(desired) else {
            return Ok(());
        };
        let generation = owner_generation(&desired.object);
        let built_for = (owner.uid.clone(), generation);
        if self
            .confirmed
            .lock()
            .is_ok_and(|known| known.as_ref() == Some(&built_for))
        {
            return Ok(());
        }
        let what = format!("{} {}", owner.kind, owner.name);
        let api: Api<DynamicObject> = Api::namespaced_with(
            self.client.clone(),
            &desired.key.namespace,
            &api_resource(owner),
        );
        let live = api.get_metadata_opt(&owner.name).await;
        let live = live.map_err(Error::api(format!("get {what}")))?;
        if !live.is_some_and(|live| is_built_for(&live.metadata, &built_for)) {
            return Err(Error::Stale(what));
        }
        if let Ok(mut known) = self.confirmed.lock() {
            *known = Some(built_for);
        }
        Ok(())
    }

    /// Makes one child what it should be. One that somebody insists on changing is left as it is for a while.
    pub async fn apply(&self, desired: &Desired) -> Result<Applied, Error> {
        let applied = self.restore(desired).await?;
        if is_contestable(desired.key.kind) {
            let owner = owner_id(desired);
            let (key, written) = (&desired.key, applied.written);
            self.contests
                .settled(key, &owner, desired.hash, written, self.now);
        }
        Ok(applied)
    }

    async fn restore(&self, desired: &Desired) -> Result<Applied, Error> {
        let seen = self.children.get(&desired.key);
        let decision = decide(desired, seen.as_ref());
        let left_alone = self.is_left_alone(desired, &decision, seen.as_ref());
        match (decision, seen) {
            (Decision::Keep, Some(seen)) => Ok(Applied {
                uid: seen.uid,
                written: false,
            }),
            // Of an object of the same name that is gone. The garbage collector is about to remove it, and what was made
            // for another is not made ours by another owner reference.
            (Decision::Replace, Some(seen)) if is_predecessors(&seen, desired) => {
                Err(Error::Stale(desired.key.to_string()))
            }
            (Decision::Replace, Some(seen)) if self.is_ours(desired, &seen) => match left_alone {
                true => Ok(Applied {
                    uid: seen.uid,
                    written: false,
                }),
                false => self.replace(desired, &seen).await,
            },
            (Decision::Create, _) if left_alone => Err(Error::Contested(desired.key.clone())),
            (Decision::Replace, Some(_)) => Err(Error::NameConflict(desired.key.clone())),
            (Decision::Wait, _) => Err(Error::Stale(desired.key.to_string())),
            _ => self.create(desired).await,
        }
    }

    fn is_left_alone(&self, desired: &Desired, decision: &Decision, seen: Option<&Seen>) -> bool {
        if !is_contestable(desired.key.kind) {
            return false;
        }
        let live = match decision {
            Decision::Create => None,
            Decision::Replace => seen.map(|seen| seen.hash),
            Decision::Keep | Decision::Wait => return false,
        };
        let (key, owner) = (&desired.key, owner_id(desired));
        let verdict = self
            .contests
            .judge(key, &owner, desired.hash, live, self.now);
        // Told of, and undone all the same: whoever insists on a right must not have it.
        matches!(verdict, Verdict::Leave(_)) && !is_right(key.kind)
    }

    fn is_ours(&self, desired: &Desired, seen: &Seen) -> bool {
        let last_uid = self.children.last_uid(&desired.key);
        match first_owner(desired) {
            Some(owner) => is_ours(seen, last_uid.as_deref(), Some(&owner.uid)),
            // It has no owner to know it by; our label of the workspace has to do.
            None => seen.workspace.is_some() || is_ours(seen, last_uid.as_deref(), None),
        }
    }

    async fn create(&self, desired: &Desired) -> Result<Applied, Error> {
        self.confirm_owner(desired).await?;
        self.claim.check()?;
        let api = desired.key.kind.api(self.client, &desired.key.namespace);
        match api.create(&self.params(), &desired.object).await {
            Ok(object) => self.learn(desired, &object),
            // Somebody's, or ours and not seen yet or without its labels.
            Err(error) if status_code(&error) == Some(409) => self.adopt(desired).await,
            Err(error) => Err(refused_or_api(&desired.key, "create", error)),
        }
    }

    /// The name is taken: by us, or by somebody else.
    async fn adopt(&self, desired: &Desired) -> Result<Applied, Error> {
        let api = desired.key.kind.api(self.client, &desired.key.namespace);
        let live = api
            .get_opt(&desired.key.name)
            .await
            .map_err(Error::api(format!("get {}", desired.key)))?;
        let same_role = live
            .as_ref()
            .is_some_and(|live| is_same_role(desired, live));
        let Some(seen) = live.and_then(|object| Seen::of(desired.key.kind, &object)) else {
            return Err(Error::Stale(desired.key.to_string()));
        };
        if is_predecessors(&seen, desired) {
            return Err(Error::Stale(desired.key.to_string()));
        }
        if !same_role && !self.is_ours(desired, &seen) {
            return match seen.deleting {
                true => Err(Error::Stale(desired.key.to_string())),
                false => Err(Error::NameConflict(desired.key.clone())),
            };
        }
        match decide(desired, Some(&seen)) {
            Decision::Replace => self.replace(desired, &seen).await,
            Decision::Keep => {
                self.children.observe(&desired.key, seen.clone());
                Ok(Applied {
                    uid: seen.uid,
                    written: false,
                })
            }
            Decision::Wait | Decision::Create => Err(Error::Stale(desired.key.to_string())),
        }
    }

    async fn replace(&self, desired: &Desired, seen: &Seen) -> Result<Applied, Error> {
        // Or somebody has written a great number there.
        if seen.generation > owner_generation(&desired.object) {
            self.confirm_owner(desired).await?;
        }
        self.claim.check()?;
        let api = desired.key.kind.api(self.client, &desired.key.namespace);
        let mut object = desired.object.clone();
        object.metadata.uid = Some(seen.uid.clone());
        object.metadata.resource_version = Some(seen.version.to_string());
        if let View::Deployment(view) = &seen.view
            && object.annotations().contains_key(labels::AUTOSCALED)
        {
            object.data["spec"]["replicas"] = view.wanted.into();
        }
        // Their spec cannot be put back: their metadata is.
        if matches!(
            desired.key.kind,
            ChildKind::Pod | ChildKind::PersistentVolumeClaim
        ) {
            return self.replace_metadata(desired, object).await;
        }
        match api
            .replace(&desired.key.name, &self.params(), &object)
            .await
        {
            Ok(object) => self.learn(desired, &object),
            Err(error) if matches!(status_code(&error), Some(404 | 409)) => {
                Err(Error::Stale(desired.key.to_string()))
            }
            // Only what a binding refers to is immutable there, so this is somebody's remake of ours.
            Err(error)
                if status_code(&error) == Some(422)
                    && desired.key.kind == ChildKind::RoleBinding =>
            {
                self.delete(&desired.key, seen).await?;
                Err(Error::Stale(desired.key.to_string()))
            }
            // Somebody made it immutable: it is made anew at once, with what was to be in it.
            Err(error)
                if status_code(&error) == Some(422) && desired.key.kind == ChildKind::Secret =>
            {
                self.delete(&desired.key, seen).await?;
                Box::pin(self.create(desired)).await
            }
            Err(error) => Err(refused_or_api(&desired.key, "replace", error)),
        }
    }

    async fn replace_metadata(
        &self,
        desired: &Desired,
        object: DynamicObject,
    ) -> Result<Applied, Error> {
        let api = desired.key.kind.api(self.client, &desired.key.namespace);
        let metadata = serde_json::json!({"metadata": {
            "uid": object.metadata.uid, "resourceVersion": object.metadata.resource_version,
            "labels": object.metadata.labels, "annotations": object.metadata.annotations,
            "ownerReferences": object.metadata.owner_references,
        }});
        let params = kube::api::PatchParams {
            field_manager: Some(self.manager.into()),
            ..Default::default()
        };
        match api
            .patch(
                &desired.key.name,
                &params,
                &kube::api::Patch::Merge(metadata),
            )
            .await
        {
            Ok(live) => {
                let seen = self.remember(desired, &live, None)?;
                // What runs the wrong image goes.
                if seen.hash != desired.hash && desired.key.kind == ChildKind::Pod {
                    self.delete(&desired.key, &seen).await?;
                    return Err(Error::Stale(desired.key.to_string()));
                }
                Ok(Applied {
                    uid: seen.uid,
                    written: true,
                })
            }
            Err(error) if matches!(status_code(&error), Some(404 | 409)) => {
                Err(Error::Stale(desired.key.to_string()))
            }
            Err(error) => Err(refused_or_api(&desired.key, "replace", error)),
        }
    }

    /// Deletes exactly the object that was decided on.
    pub async fn delete(&self, key: &ChildKey, seen: &Seen) -> Result<(), Error> {
        self.claim.check()?;
        let preconditions = Preconditions {
            uid: Some(seen.uid.clone()),
            resource_version: Some(seen.version.to_string()),
        };
        let params = DeleteParams {
            preconditions: Some(preconditions),
            ..DeleteParams::background()
        };
        match key
            .kind
            .api(self.client, &key.namespace)
            .delete(&key.name, &params)
            .await
        {
            Ok(_) => {
                self.contests.forget(key);
                Ok(())
            }
            Err(error) if status_code(&error) == Some(404) => Ok(()),
            Err(error) if status_code(&error) == Some(409) => Err(Error::Stale(key.to_string())),
            Err(error) => Err(Error::api(format!("delete {key}"))(error)),
        }
    }

    /// Deletes everything that an owner controls.
    pub async fn delete_owned(&self, namespace: &str, owner: &str) -> Result<(), Error> {
        for (key, seen) in self.children.owned_by(namespace, owner) {
            if !seen.deleting {
                self.delete(&key, &seen).await?;
            }
        }
        Ok(())
    }

    fn learn(&self, desired: &Desired, object: &DynamicObject) -> Result<Applied, Error> {
        let seen = self.remember(desired, object, Some(desired.hash))?;
        Ok(Applied {
            uid: seen.uid,
            written: true,
        })
    }

    fn remember(
        &self,
        desired: &Desired,
        object: &DynamicObject,
        written_for: Option<super::content::ContentHash>,
    ) -> Result<Seen, Error> {
        let seen = Seen::of(desired.key.kind, object)
            .ok_or_else(|| Error::Stale(desired.key.to_string()))?;
        if written_for.is_some_and(|hash| hash != seen.hash) {
            tracing::debug!(child = %desired.key, "the API server filled in a default that is not known here");
        }
        let seen = Seen {
            written_for,
            ..seen
        };
        self.children.observe(&desired.key, seen.clone());
        Ok(seen)
    }

    fn params(&self) -> PostParams {
        PostParams {
            dry_run: false,
            field_manager: Some(self.manager.into()),
        }
    }
}

/// 422 and 403 by content (quota, admission) are the user's to mend; 403 by rights is ours.
fn refused_or_api(key: &ChildKey, what: &str, error: kube::Error) -> Error {
    if let kube::Error::Api(status) = &error {
        let by_content = match status.code {
            400 | 413 | 422 => true,
            403 => !is_by_rights(status) && !is_terminating(status),
            _ => false,
        };
        if by_content {
            return Error::Refused {
                key: key.clone(),
                code: status.code,
                message: status.message.clone(),
            };
        }
    }
    Error::api(format!("{what} {key}"))(error)
}

/// The API server tells a missing right by its sentence only (`User "u" cannot create resource …`).
fn is_by_rights(status: &Status) -> bool {
    status.message.contains(": User \"") && status.message.contains("\" cannot ")
}

/// The namespace is on its way out, and all in it.
fn is_terminating(status: &Status) -> bool {
    let causes = status.details.iter().flat_map(|details| &details.causes);
    causes
        .into_iter()
        .any(|cause| cause.reason == "NamespaceTerminating")
}
