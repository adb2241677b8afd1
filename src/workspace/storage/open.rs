//! The storages of workspaces for those who keep something in them: opened when they are needed, and for a bounded time.
//!
//! Any replica may; none writes anything but objects. Whoever takes the grant away is heeded by the next object, whoever
//! takes the credential or the key away within [`KEEP`].

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use atelier_api::Workspace;
use atelier_api::conditions::reasons;
use atelier_api::v1alpha1::{GrantResource, StorageType};
use atelier_storage::keys::{KeyError, KeyRing, KeySource};
use atelier_storage::{Error as StorageError, Limits, Store};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use kube::ResourceExt as _;

use super::probes::{Subject, subject};
use super::{Problem, Trouble, connect, failed, grants, opened, rings};
use crate::ctx::Ctx;

/// How long a credential and keys are used before they are read anew.
const KEEP: Duration = Duration::from_secs(60);

/// Unlike a probe, whoever keeps something is ready to wait: but not for longer than those who wait for them.
const LIMITS: Limits = Limits {
    connect: Duration::from_secs(5),
    idle: Duration::from_secs(10),
    retries: 1,
    give_up: Duration::from_secs(15),
};

struct Held {
    subject: Subject,
    since: Instant,
    store: Store,
}

/// Storages that are open.
#[derive(Default)]
pub struct Open(Mutex<HashMap<String, Held>>);

impl Open {
    /// The storage of a workspace, if its managed identity may use it.
    pub async fn store(
        &self,
        workspace: &Arc<Workspace>,
        ctx: &Arc<Ctx>,
        now: Instant,
    ) -> Result<Store, Trouble> {
        if workspace.spec.storage.type_ == StorageType::None {
            let why = "the workspace has no storage: spec.storage.type is None".to_owned();
            return Err(Problem::new(reasons::STORAGE_MISCONFIGURED, why).into());
        }
        let missing = grants::missing(ctx, workspace, GrantResource::Storage).await?;
        if let Some(sentence) = missing {
            return Err(Problem::new(reasons::GRANT_MISSING, sentence).into());
        }
        let uid = workspace.uid().unwrap_or_default();
        let status = workspace.status.as_ref();
        let resynced = status.and_then(|s| s.resynced.as_ref().map(|r| (r.counter, r.request)));
        let spec = &workspace.spec;
        let subject = subject((&spec.storage, &spec.encryption, resynced));
        if let Some(store) = self.held(&uid, subject, now) {
            return Ok(store);
        }
        let mut connection = connect::connection(workspace, ctx).await?;
        connection.limits = LIMITS;
        let ring = Ring {
            workspace: workspace.clone(),
            ctx: ctx.clone(),
        };
        let store = opened(&connection, rings::owner(workspace), Arc::new(ring), KEEP)?;
        let held = Held {
            subject,
            since: now,
            store: store.clone(),
        };
        self.lock().insert(uid, held);
        Ok(store)
    }

    /// What came of using one: a credential or a key that is not accepted is read anew the next time.
    pub fn explain(&self, workspace: &Workspace, error: &StorageError) -> Problem {
        self.lock().remove(&workspace.uid().unwrap_or_default());
        failed(error, &error.to_string())
    }

    fn held(&self, uid: &str, subject: Subject, now: Instant) -> Option<Store> {
        let mut all = self.lock();
        // Nobody's credential is kept for longer than it is used.
        all.retain(|_, held| now.saturating_duration_since(held.since) < KEEP);
        let held = all.get(uid).filter(|held| held.subject == subject)?;
        Some(held.store.clone())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, Held>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The ring of a workspace, read whenever it is asked for.
struct Ring {
    workspace: Arc<Workspace>,
    ctx: Arc<Ctx>,
}

impl KeySource for Ring {
    fn fetch(&self) -> BoxFuture<'_, Result<KeyRing, KeyError>> {
        async {
            let ring =
                tokio::time::timeout(super::LONGEST, rings::kept(&self.workspace, &self.ctx));
            let ring = ring
                .await
                .map_err(|_| "the API server does not answer".to_owned());
            let ring = ring.and_then(|ring| ring.map_err(|trouble| trouble.to_string()));
            ring.map_err(KeyError::Unavailable)
        }
        .boxed()
    }
}
