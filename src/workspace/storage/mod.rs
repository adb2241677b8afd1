//! Where a workspace keeps its objects: a server of its own, or a store that its team brings; and whether that works
//! (docs/design/storage.md).
//!
//! That it works is found out by doing it: a small object is encrypted, written, read and deleted. This takes a while,
//! so it happens beside the reconcile, which tells what the last one found.

mod build;
pub mod connect;
pub mod embedded;
mod open;
pub mod probes;
pub mod rings;
pub mod stored;

use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use atelier_api::Workspace;
use atelier_api::conditions::{STORAGE_READY, reasons};
use atelier_api::v1alpha1::{GrantResource, GrantState, SecretRef, StorageStatus, StorageType};
use atelier_storage::format::Owner;
use atelier_storage::keys::{KeySource, Keys};
use atelier_storage::{Connection, Error as StorageError, Store};
use futures::StreamExt as _;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::{RARELY, grants};
use crate::ctx::Ctx;
use crate::kit::Error;
use crate::kit::conditions::of_type;
use crate::kit::meta::Parent;
pub use build::certificate_secret_name;
use embedded::Server;
pub use open::Open;
pub use probes::Probes;

/// How long a probe may take.
pub const LONGEST: Duration = Duration::from_secs(15);
/// How often keys are looked for that were to go with their workspace; sooner when a workspace goes.
const SWEEP: Duration = Duration::from_secs(3600);

/// What is so of a storage.
#[derive(Clone, Debug, PartialEq)]
pub struct State {
    /// Whether it can be used.
    pub ready: bool,
    /// A stable reason.
    pub reason: String,
    /// What is so, and what to do about it.
    pub message: String,
    /// Where it is, and what encrypts it.
    pub status: Option<StorageStatus>,
}

/// What a probe found to work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    /// Which key wraps the workspace's keys.
    pub wrapped_by: String,
    /// The newest of the workspace's keys.
    pub generation: u32,
    /// The Secret of the key that wraps them.
    pub key_ref: Option<SecretRef>,
}

/// Why it does not work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// A stable reason.
    pub reason: &'static str,
    /// What is wrong, and what to do.
    pub message: String,
}

impl Problem {
    /// For this reason, in these words.
    pub fn new(reason: &'static str, message: String) -> Self {
        Self { reason, message }
    }
}

/// Why nothing was found to work.
#[derive(Debug, thiserror::Error)]
pub enum Trouble {
    /// It does not.
    #[error("{}", .0.message)]
    Problem(Problem),
    /// It could not be tried: the API server did not answer, or we do not lead. What was known stands.
    #[error(transparent)]
    Untried(#[from] Error),
}

impl From<Problem> for Trouble {
    fn from(problem: Problem) -> Self {
        Self::Problem(problem)
    }
}

/// Makes what a workspace's storage consists of, and says how it is. `None` if it wants none. Says, too, when to look
/// again. What is in the way of it is in nobody else's.
pub async fn settle(
    workspace: &Workspace,
    parent: &Parent,
    ctx: &Arc<Ctx>,
    grant: GrantState,
) -> Result<(Option<State>, Option<Duration>), Error> {
    match look(workspace, parent, ctx, grant).await {
        Err(error) if error.needs_help() => {
            let state = not_ready(workspace, error.reason(), error.to_string());
            Ok((Some(state), Some(RARELY)))
        }
        other => other,
    }
}

async fn look(
    workspace: &Workspace,
    parent: &Parent,
    ctx: &Arc<Ctx>,
    grant: GrantState,
) -> Result<(Option<State>, Option<Duration>), Error> {
    let storage = &workspace.spec.storage;
    let mut renewal = None;
    let server = match storage.type_ {
        StorageType::None => return Ok((None, None)),
        StorageType::Embedded => {
            let (server, next) = embedded::make(workspace, parent, ctx).await?;
            renewal = next;
            server
        }
        StorageType::S3 | StorageType::AzureBlob | StorageType::Gcs => Server::Runs,
    };
    let not_yet = |reason, message| Some(not_ready(workspace, reason, message));
    if grant == GrantState::Revoked {
        let sentence = grants::sentence(workspace, GrantResource::Storage);
        return Ok((not_yet(reasons::GRANT_MISSING, sentence), renewal));
    }
    match server {
        Server::Runs => {}
        Server::Starts(why) => {
            let why = format!("the workspace's storage server does not answer yet: {why}");
            return Ok((not_yet(reasons::STORAGE_STARTING, why), renewal));
        }
        Server::NoAuthority => {
            let why = "the workspace's storage server needs a certificate, and nobody here signs one: an administrator \
                       sets the chart's value actions.enabled, or the team brings a store of its own";
            return Ok((not_yet(reasons::NO_AUTHORITY, why.into()), renewal));
        }
    }
    let status = workspace.status.as_ref();
    let resynced = status.and_then(|s| s.resynced.as_ref());
    let resynced = resynced.map(|r| (r.counter, r.request));
    let spec = &workspace.spec;
    let subject = probes::subject((storage, &spec.encryption, spec.deletion_policy, resynced));
    let look = ctx.probes.look(parent.uid(), subject, Instant::now());
    if look.begin {
        begin(workspace, parent, ctx);
    }
    let state = match look.outcome {
        Some(Ok(proof)) => ready(workspace, proof),
        Some(Err(problem)) => not_ready(workspace, problem.reason, problem.message),
        // After a start, or while something else is tried: what was so is so until it is known better.
        None => State::recorded(workspace)
            .filter(|state| state.ready && is_of(state, workspace))
            .unwrap_or_else(|| {
                let why = "the storage has not been tried yet".to_owned();
                not_ready(workspace, reasons::STORAGE_STARTING, why)
            }),
    };
    let next = look.next.into_iter().chain(renewal).min();
    Ok((Some(state), next))
}

impl State {
    /// What the status says of it.
    pub fn recorded(workspace: &Workspace) -> Option<Self> {
        let status = workspace.status.as_ref()?;
        let condition = of_type(&status.conditions, STORAGE_READY)?;
        Some(Self {
            ready: condition.status == "True",
            reason: condition.reason.clone(),
            message: condition.message.clone(),
            status: status.storage.clone(),
        })
    }
}

/// What others go by: whether the storage works, as the status says, and why it does not.
pub fn told(workspace: &Workspace) -> Option<String> {
    let state = State::recorded(workspace)?;
    Some(format!(
        "{} {} {}",
        state.ready, state.reason, state.message
    ))
}

/// Whether what is recorded is of the place and the key that the spec names now.
fn is_of(state: &State, workspace: &Workspace) -> bool {
    let recorded = state.status.as_ref();
    let place = recorded.map(|status| (status.endpoint.clone(), status.bucket.clone()));
    let key = recorded.and_then(|status| status.key_ref.as_ref());
    place == connect::shown(workspace) && key == workspace.spec.encryption.key_ref.as_ref()
}

fn ready(workspace: &Workspace, proof: Proof) -> State {
    let shown = connect::shown(workspace);
    State {
        ready: true,
        reason: reasons::PROBED.into(),
        message: "an encrypted object was written, read and deleted".into(),
        status: shown.map(|(endpoint, bucket)| StorageStatus {
            endpoint,
            bucket,
            key_ref: proof.key_ref,
            wrapped_by: Some(proof.wrapped_by),
            generation: Some(proof.generation.into()),
        }),
    }
}

/// What is recorded of the keys stays: it tells keys that were lost from keys that never were.
fn not_ready(workspace: &Workspace, reason: &'static str, message: String) -> State {
    let status = workspace.status.as_ref();
    let recorded = status.and_then(|s| s.storage.clone());
    let shown = connect::shown(workspace);
    State {
        ready: false,
        reason: reason.into(),
        message,
        status: shown.map(|(endpoint, bucket)| StorageStatus {
            endpoint,
            bucket,
            key_ref: recorded.as_ref().and_then(|r| r.key_ref.clone()),
            wrapped_by: recorded.as_ref().and_then(|r| r.wrapped_by.clone()),
            generation: recorded.and_then(|r| r.generation),
        }),
    }
}

/// Probes beside everything else, and has the workspace looked at when it is known how that went.
fn begin(workspace: &Workspace, parent: &Parent, ctx: &Arc<Ctx>) {
    let (workspace, parent) = (workspace.clone(), parent.clone());
    let probing = ctx.clone();
    ctx.probes.spawn(async move {
        let ctx = probing;
        let permits = ctx.probes.permits.clone();
        let _permit = permits.acquire_owned().await;
        let limit = LONGEST * 2;
        let found = tokio::time::timeout(limit, probe(&workspace, &ctx)).await;
        let found = found.unwrap_or(Err(Trouble::Untried(Error::TimedOut(limit))));
        if let Err(why) = &found {
            let (namespace, name) = (&parent.namespace, &parent.name);
            debug!(namespace, name, %why, "storage does not work");
        }
        let outcome = match found {
            Ok(proof) => Some(Ok(proof)),
            Err(Trouble::Problem(problem)) => Some(Err(problem)),
            Err(Trouble::Untried(_)) => None,
        };
        ctx.probes.ended(parent.uid(), outcome, Instant::now());
        ctx.triggers
            .fire("Workspace", &parent.namespace, &parent.name);
    });
}

async fn probe(workspace: &Workspace, ctx: &Ctx) -> Result<Proof, Trouble> {
    let missing = grants::missing(ctx, workspace, GrantResource::Storage).await?;
    if let Some(sentence) = missing {
        return Err(Problem::new(reasons::GRANT_MISSING, sentence).into());
    }
    let connection = connect::connection(workspace, ctx).await?;
    let (ring, proof) = rings::ring(workspace, ctx).await?;
    let store = opened(
        &connection,
        rings::owner(workspace),
        Arc::new(ring),
        LONGEST,
    )?;
    tried(&store).await?;
    Ok(proof)
}

/// The store at the end of a connection, by keys that are read anew after `keep`. Talks to nobody yet.
pub fn opened(
    connection: &Connection,
    owner: Owner,
    keys: Arc<dyn KeySource>,
    keep: Duration,
) -> Result<Store, Problem> {
    let store = Store::new(connection, owner, Arc::new(Keys::new(keys, keep)));
    store.map_err(|error| failed(&error, &error.to_string()))
}

/// Encrypts, writes, reads and deletes a small object.
pub async fn tried(store: &Store) -> Result<(), Problem> {
    let probed = store.probe(LONGEST).await;
    probed.map_err(|error| failed(&error.reason, &error.to_string()))
}

/// What an error of a store is a problem of.
pub fn failed(error: &StorageError, sentence: &str) -> Problem {
    let reason = match error {
        StorageError::Unreachable { .. } | StorageError::Untrusted { .. } => {
            reasons::STORAGE_UNREACHABLE
        }
        StorageError::WrongCredential { .. } | StorageError::Forbidden { .. } => {
            reasons::CREDENTIAL_REFUSED
        }
        StorageError::Key { .. } | StorageError::Damaged { .. } => reasons::KEY_UNAVAILABLE,
        StorageError::Config(_) | StorageError::NoBucket { .. } | StorageError::Name(..) => {
            reasons::STORAGE_MISCONFIGURED
        }
        _ => reasons::STORAGE_UNREACHABLE,
    };
    Problem::new(reason, sentence.to_owned())
}

/// Takes keys away that were to go with their workspaces, until `stop`.
pub async fn sweep(ctx: Arc<Ctx>, stop: CancellationToken) {
    let mut wait = SWEEP;
    let mut leads = pin!(ctx.claim.became_leader());
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            // A workspace may have gone while nobody looked.
            Some(()) = leads.next() => {}
            () = ctx.workspace_gone.notified() => {}
            () = tokio::time::sleep(wait) => {}
        }
        wait = SWEEP;
        if ctx.claim.check().is_ok()
            && let Err(why) = rings::sweep(&ctx).await
        {
            warn!(%why, "keys of workspaces that are gone; trying again");
            wait = LONGEST;
        }
    }
}
