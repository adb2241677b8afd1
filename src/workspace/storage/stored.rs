//! The Secrets of the operator's own namespace that hold rings: read, and written on the version that was read.

use std::collections::BTreeMap;

use atelier_api::Workspace;
use atelier_api::conditions::reasons;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Api;
use kube::api::PostParams;

use super::{Problem, Trouble};
use crate::ctx::Ctx;
use crate::kit::Error;
use crate::workspace::MANAGER;

/// What the name of an entry ends with that holds the uid of the workspace with which the ring of that name goes.
pub const GOES: &str = ".goes";

/// A Secret of the operator's own namespace as it was read.
pub struct Stored {
    name: String,
    secret: Option<Secret>,
}

impl Stored {
    /// Reads it, whether it exists or not.
    pub async fn read(ctx: &Ctx, name: &str) -> Result<Self, Trouble> {
        let api: Api<Secret> = Api::namespaced(ctx.client.clone(), &ctx.settings.namespace);
        let secret = api
            .get_opt(name)
            .await
            .map_err(Error::api(format!("get Secret {name}")))?;
        Ok(Self {
            name: name.to_owned(),
            secret,
        })
    }

    /// Whether there was one.
    pub fn exists(&self) -> bool {
        self.secret.is_some()
    }

    /// All that is in it.
    pub fn entries(&self) -> BTreeMap<String, ByteString> {
        let secret = self.secret.as_ref();
        secret.and_then(|s| s.data.clone()).unwrap_or_default()
    }

    /// The ring of the workspace at a place, wrapped.
    pub fn ring(&self, place: &str) -> Option<&[u8]> {
        let entry = self.secret.as_ref()?.data.as_ref()?.get(place)?;
        Some(entry.0.as_slice())
    }

    /// The uid of the workspace that a ring goes with.
    pub fn goes_with(&self, place: &str) -> Option<&str> {
        let entries = self.secret.as_ref()?.data.as_ref()?;
        std::str::from_utf8(&entries.get(&format!("{place}{GOES}"))?.0).ok()
    }

    /// Writes what differs, for the workspace of this uid. `false` if somebody was first.
    pub async fn write(
        self,
        ctx: &Ctx,
        place: &str,
        ring: Option<Vec<u8>>,
        of: &str,
        goes: bool,
    ) -> Result<bool, Trouble> {
        let before = self.entries();
        let mut after = before.clone();
        if let Some(ring) = ring {
            after.insert(place.to_owned(), ByteString(ring));
        }
        let mark = format!("{place}{GOES}");
        match goes {
            true => drop(after.insert(mark, ByteString(of.into()))),
            false => drop(after.remove(&mark)),
        }
        if after == before {
            return Ok(true);
        }
        // A probe of a workspace that is gone must not touch the keys of the next one of its name.
        if live_uid(ctx, place).await?.as_deref() != Some(of) {
            let why = "the workspace is gone".to_owned();
            return Err(Problem::new(reasons::KEY_UNAVAILABLE, why).into());
        }
        self.put(ctx, after).await
    }

    /// Writes all of it. `false` if somebody was first.
    pub async fn put(self, ctx: &Ctx, data: BTreeMap<String, ByteString>) -> Result<bool, Trouble> {
        ctx.claim.check()?;
        let namespace = &ctx.settings.namespace;
        let api: Api<Secret> = Api::namespaced(ctx.client.clone(), namespace);
        let params = PostParams {
            field_manager: Some(MANAGER.into()),
            ..PostParams::default()
        };
        let written = match self.secret {
            Some(secret) => {
                let secret = Secret {
                    data: Some(data),
                    ..secret
                };
                api.replace(&self.name, &params, &secret).await
            }
            None => api.create(&params, &new(&self.name, namespace, data)).await,
        };
        let what = format!("write Secret {}", self.name);
        match written.map_err(Error::write(&self.name, what)) {
            Ok(_) => Ok(true),
            Err(Error::Stale(_)) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}

fn new(name: &str, namespace: &str, data: BTreeMap<String, ByteString>) -> Secret {
    let labels = [
        ("app.kubernetes.io/name", "atelier"),
        ("app.kubernetes.io/part-of", "atelier"),
        ("app.kubernetes.io/component", "storage"),
    ];
    let labels = labels.map(|(key, value)| (key.to_owned(), value.to_owned()));
    Secret {
        metadata: ObjectMeta {
            name: Some(name.into()),
            namespace: Some(namespace.into()),
            labels: Some(labels.into()),
            ..ObjectMeta::default()
        },
        data: Some(data),
        type_: Some("Opaque".into()),
        ..Secret::default()
    }
}

/// The uid of the Workspace at a place, by the API server's word.
pub async fn live_uid(ctx: &Ctx, place: &str) -> Result<Option<String>, Trouble> {
    let (namespace, name) = place.split_once('.').unwrap_or_default();
    let api: Api<Workspace> = Api::namespaced(ctx.client.clone(), namespace);
    let live = api.get_metadata_opt(name).await;
    let live = live.map_err(Error::api(format!("get Workspace {name}")))?;
    Ok(live.and_then(|live| live.metadata.uid))
}
