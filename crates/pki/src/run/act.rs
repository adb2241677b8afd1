//! The writes: each on what was last seen, and only while we lead, if it is not the very first.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{DynamicObject, ObjectMeta, Patch, PatchParams, PostParams};
use serde_json::Value;
use tracing::{info, warn};

use super::keeper::Keeper;
use super::objects::{Slot, untyped};
use crate::authority::Authority;
use crate::error::Error;
use crate::leaf;
use crate::plan::{LeafState, Place, Step};
use crate::store::Authorities;

/// `fieldManager` of all writes.
const MANAGER: &str = "atelier-certificates";
/// How long a request may take.
const REQUEST: Duration = Duration::from_secs(10);

/// What is to be written.
pub enum Write {
    /// This Secret: POST if it has no version, PUT on exactly its version if it has.
    Secret(Box<Secret>),
    /// This patch, which carries the version.
    Patch(Value),
}

impl Keeper {
    /// Takes one step, if we still lead or it makes what nobody has.
    pub async fn act(
        &mut self,
        step: Step,
        now: Timestamp,
        leads: &impl Fn() -> bool,
    ) -> Result<(), Error> {
        let slot = Slot::of(step);
        if slot == Slot::Authority {
            for trouble in &self.troubles {
                let name = &self.config.authority_secret;
                warn!(
                    name,
                    trouble, "the Secret with the authorities is damaged; mending it"
                );
            }
        }
        let Some(write) = self.prepare(step, now)? else {
            return Ok(());
        };
        if !leads() && !self.is_new(step) {
            return Ok(());
        }
        let written = self.send(slot, write).await?;
        self.unblock(slot);
        self.see(slot, Some(written));
        let name = self.find(slot).1;
        let authority = self.authorities.current.as_ref().map(Authority::name);
        info!(name, ?step, authority, "certificates: written");
        Ok(())
    }

    /// What a step writes.
    pub fn prepare(&self, step: Step, now: Timestamp) -> Result<Option<Write>, Error> {
        let secret = match step {
            Step::Nothing { .. } => return Ok(None),
            Step::Tell(Place::Target(target)) => {
                let live = self.seen(Slot::Target(target)).object();
                let (wanted, bundle) = (&self.config.targets[target], self.authorities.bundle());
                let patch = live.and_then(|live| wanted.correction(live, &bundle));
                return Ok(patch.map(Write::Patch));
            }
            Step::Tell(Place::Leaf(leaf)) => {
                let live = self.seen(Slot::Leaf(leaf)).secret();
                let live = live.ok_or(Error::Missing("the Secret"))?;
                leaf::with_bundle(live, self.authorities.bundle())
            }
            Step::Issue(leaf) => self.issue(leaf, now)?,
            _ => self.keep(self.next(step, now)?)?,
        };
        Ok(Some(Write::Secret(Box::new(secret))))
    }

    fn next(&self, step: Step, now: Timestamp) -> Result<Authorities, Error> {
        let (before, periods) = (self.authorities.clone(), &self.config.periods);
        Ok(match step {
            Step::MakeFirst => before.with_first(Authority::make(now, periods)?),
            Step::MakeNext => before.with_next(Authority::make(now, periods)?),
            Step::Promote => before.promoted(),
            Step::DropPrevious => before.without_previous(),
            _ => before,
        })
    }

    /// The Secret with these authorities. What others noted on it stays.
    fn keep(&self, authorities: Authorities) -> Result<Secret, Error> {
        let mut secret = self
            .seen(Slot::Authority)
            .secret()
            .unwrap_or_else(|| Secret {
                metadata: ObjectMeta {
                    name: Some(self.config.authority_secret.clone()),
                    labels: Some(leaf::labels()),
                    ..ObjectMeta::default()
                },
                ..Secret::default()
            });
        secret.data = Some(authorities.data()?);
        Ok(secret)
    }

    /// Makes a certificate, and makes sure that it will be accepted: else it would be made again and again.
    fn issue(&self, leaf: usize, now: Timestamp) -> Result<Secret, Error> {
        let wish = &self.config.leaves[leaf];
        let current = self.authorities.current.as_ref();
        let current = current.ok_or(Error::Missing("the authority"))?;
        let issued = current.issue(wish, now, &self.config.periods)?;
        let live = self.seen(Slot::Leaf(leaf)).secret();
        let secret = leaf::with_certificate(live, wish, issued, self.authorities.bundle())?;
        match leaf::inspect(Some(&secret), wish, &self.authorities, now) {
            LeafState::Good { .. } => Ok(secret),
            _ => Err(Error::Other(
                "nobody would accept what was asked for".into(),
            )),
        }
    }

    async fn send(&self, slot: Slot, write: Write) -> Result<DynamicObject, Error> {
        let (api, name) = self.find(slot);
        let field_manager = Some(MANAGER.to_owned());
        match write {
            Write::Secret(secret) => {
                let object = untyped(&secret)?;
                let params = PostParams {
                    field_manager,
                    ..PostParams::default()
                };
                match secret.metadata.resource_version {
                    None => timely(api.create(&params, &object)).await,
                    Some(_) => timely(api.replace(&name, &params, &object)).await,
                }
            }
            Write::Patch(patch) => {
                // Webhooks are merged by their names; an APIService has no list to merge.
                let patch = match patch.get("webhooks") {
                    Some(_) => Patch::Strategic(patch),
                    None => Patch::Merge(patch),
                };
                let params = PatchParams {
                    field_manager,
                    ..PatchParams::default()
                };
                timely(api.patch(&name, &params, &patch)).await
            }
        }
    }
}

/// The answer, if it comes in time.
pub async fn timely<T>(request: impl Future<Output = Result<T, kube::Error>>) -> Result<T, Error> {
    match tokio::time::timeout(REQUEST, request).await {
        Ok(answer) => Ok(answer?),
        Err(_) => Err(Error::TimedOut(REQUEST)),
    }
}
