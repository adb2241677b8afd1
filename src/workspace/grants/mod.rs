//! What the managed identity may do: each grant is an object that can be seen, taken away and given back
//! (docs/design/identity.md).
//!
//! Unlike everything else that is made for a workspace, a grant that somebody takes away is not put back: that would
//! make a revocation worth nothing. A resync puts it back.

mod decide;

use atelier_api::Workspace;
use atelier_api::v1alpha1::{Grant, GrantResource, GrantState, Resynced, StorageType};
use jiff::Timestamp;
use k8s_openapi::api::rbac::v1::RoleBinding;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt as _;

use super::{MANAGER, build, identity_name};
use crate::ctx::Ctx;
use crate::kit::Error;
use crate::kit::access::Question;
use crate::kit::child::{ChildKey, ChildKind, Desired};
use crate::kit::children::Seen;
use crate::kit::conditions::whole_second;
use crate::kit::meta::Parent;
use decide::{Live, Step, decide, live};

/// What the grants are after a look.
#[derive(Clone, Debug, PartialEq)]
pub struct Grants {
    /// All of them.
    pub list: Vec<Grant>,
    /// The last resync.
    pub resynced: Option<Resynced>,
}

impl Grants {
    /// One of them. What there is none of was never given.
    pub fn state(&self, resource: GrantResource) -> GrantState {
        let grant = self.list.iter().find(|grant| grant.resource == resource);
        grant.map_or(GrantState::Revoked, |grant| grant.state)
    }
}

/// What grants a workspace's identity has: none on what the workspace does not have.
fn wanted(workspace: &Workspace) -> impl Iterator<Item = GrantResource> {
    let stores = workspace.spec.storage.type_ != StorageType::None;
    let storage = stores.then_some(GrantResource::Storage);
    [GrantResource::Workspace].into_iter().chain(storage)
}

/// Sees to all grants. Says, too, whether any of their objects was written.
pub async fn settle(
    workspace: &Workspace,
    parent: &Parent,
    ctx: &Ctx,
    now: Timestamp,
) -> Result<(Grants, bool), Error> {
    let (mut list, mut any_written) = (vec![], false);
    for resource in wanted(workspace) {
        let (state, written) = settle_one(resource, workspace, parent, ctx).await?;
        list.push(Grant {
            resource,
            role: build::role(resource).into(),
            state,
        });
        any_written |= written;
    }
    if any_written {
        ctx.access.forget(&parent.namespace);
    }
    let resynced = resynced(workspace, workspace.is_to_resync(), now);
    Ok((Grants { list, resynced }, any_written))
}

async fn settle_one(
    resource: GrantResource,
    workspace: &Workspace,
    parent: &Parent,
    ctx: &Ctx,
) -> Result<(GrantState, bool), Error> {
    let resync = workspace.is_to_resync();
    let recorded = workspace.grant(resource);
    let binding = build::identity_binding(parent, resource);
    let desired = Desired::new(ChildKind::RoleBinding, &binding)?;
    let seen = ctx.children.get(&desired.key);
    // A resync is asked for once: it does not rest on a view that may lag.
    let known = known(seen.as_ref(), &desired, recorded).filter(|_| !resync);
    let (there, seen) = match known {
        Some(there) => (there, seen),
        None => look(ctx, &desired.key, &binding).await?,
    };
    match decide(recorded, there, resync) {
        Step::Give => {
            let applied = ctx.applier(MANAGER).apply(&desired).await?;
            Ok((GrantState::Granted, applied.written))
        }
        // What is left of a grant gives somebody else something, or nobody anything.
        Step::Leave { remains } => {
            if let Some(seen) = seen.filter(|_| remains) {
                ctx.applier(MANAGER).delete(&desired.key, &seen).await?;
            }
            Ok((GrantState::Revoked, remains))
        }
    }
}

/// What our view tells, where that is enough: nobody has touched it, or it is not there and need not be.
fn known(seen: Option<&Seen>, desired: &Desired, recorded: Option<GrantState>) -> Option<Live> {
    match seen {
        Some(seen) if seen.hash == desired.hash && !seen.deleting => Some(Live::Gives),
        None if recorded != Some(GrantState::Granted) => Some(Live::Absent),
        _ => None,
    }
}

/// A revocation is for good, so it does not rest on a view alone. The view learns what is so.
async fn look(
    ctx: &Ctx,
    key: &ChildKey,
    wanted: &RoleBinding,
) -> Result<(Live, Option<Seen>), Error> {
    let api = key.kind.api(&ctx.client, &key.namespace);
    let found = api.get_opt(&key.name).await;
    let found = found.map_err(Error::api(format!("get {key}")))?;
    let binding = found.as_ref().map(serde_json::to_value).transpose()?;
    let binding = binding.map(serde_json::from_value).transpose()?;
    let seen = found.and_then(|object| Seen::of(key.kind, &object));
    let there = live(binding.as_ref(), wanted);
    match (&seen, ctx.children.get(key)) {
        (Some(seen), _) if there != Live::Absent => {
            ctx.children.observe(key, seen.clone());
        }
        (_, Some(past)) => {
            ctx.children.forget(key, past.version);
        }
        _ => {}
    }
    Ok((there, seen))
}

fn resynced(workspace: &Workspace, done: bool, now: Timestamp) -> Option<Resynced> {
    let status = workspace.status.as_ref();
    if !done {
        return status.and_then(|status| status.resynced.clone());
    }
    let request = status.and_then(|status| status.resync_requested.as_ref());
    Some(Resynced {
        counter: workspace.spec.resync_keys,
        request: request.map_or(0, |request| request.number),
        at: Time(whole_second(now)),
    })
}

/// Why the managed identity may not do what a grant says, if that is so: the API server is asked before the grant is
/// used, whatever is recorded.
pub async fn missing(
    ctx: &Ctx,
    workspace: &Workspace,
    resource: GrantResource,
) -> Result<Option<String>, Error> {
    let (name, namespace) = (
        workspace.name_any(),
        workspace.namespace().unwrap_or_default(),
    );
    let binding = build::identity_binding_name(&name, resource);
    let key = ChildKey::new(ChildKind::RoleBinding, &namespace, &binding);
    let there = ctx.children.get(&key).is_some_and(|seen| !seen.deleting);
    // What the ClusterRoles of identity/managed.yaml in the chart say.
    let (verb, group, kind, part) = match resource {
        GrantResource::Workspace => ("create", "", "pods", ""),
        GrantResource::Storage => ("use", atelier_api::GROUP, "workspaces", "storage"),
    };
    let question = Question {
        account_namespace: namespace.clone(),
        account: identity_name(&name).into(),
        verb,
        group,
        resource: kind,
        subresource: part,
        namespace,
    };
    if there && ctx.access.soon_allowed(&ctx.client, &question).await? {
        return Ok(None);
    }
    Ok(Some(sentence(workspace, resource)))
}

/// What is missing, what does not happen without it, and what brings it back.
pub fn sentence(workspace: &Workspace, resource: GrantResource) -> String {
    let (name, namespace) = (
        workspace.name_any(),
        workspace.namespace().unwrap_or_default(),
    );
    let without = match resource {
        GrantResource::Workspace => "no run starts",
        GrantResource::Storage => "nothing is written to the workspace's storage, or read from it",
    };
    format!(
        "GrantMissing/{}: the managed identity {name} lacks its grant {} here, and without it {without}; \
         `kubectl atelier resync {name} -n {namespace}` or a higher spec.resyncKeys of the Workspace restores it",
        resource.as_str(),
        build::role(resource),
    )
}
