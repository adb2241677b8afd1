//! What the managed identity may do: each grant is an object that can be seen, taken away and given back
//! (docs/design/identity.md).
//!
//! Unlike everything else that is made for a workspace, a grant that somebody takes away is not put back: that would
//! make a revocation worth nothing. A resync puts it back.

mod decide;

use atelier_api::Workspace;
use atelier_api::v1alpha1::{Grant, GrantResource, GrantState, Resynced};
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

/// Sees to all grants. Says, too, whether any of their objects was written.
pub async fn settle(
    workspace: &Workspace,
    parent: &Parent,
    ctx: &Ctx,
    now: Timestamp,
) -> Result<(Grants, bool), Error> {
    let resync = workspace.is_to_resync();
    let recorded = workspace.grant(GrantResource::Workspace);
    let binding = build::identity_binding(parent);
    let desired = Desired::new(ChildKind::RoleBinding, &binding)?;
    let seen = ctx.children.get(&desired.key);
    let (there, seen) = match known(seen.as_ref(), &desired, recorded) {
        Some(there) => (there, seen),
        None => look(ctx, &desired.key, &binding).await?,
    };
    let (state, written) = match decide(recorded, there, resync) {
        Step::Give => {
            let applied = ctx.applier(MANAGER).apply(&desired).await?;
            (GrantState::Granted, applied.written)
        }
        // What is left of a grant gives somebody else something, or nobody anything.
        Step::Leave { remains } => {
            if let Some(seen) = seen.filter(|_| remains) {
                ctx.applier(MANAGER).delete(&desired.key, &seen).await?;
            }
            (GrantState::Revoked, remains)
        }
    };
    if written {
        ctx.access.forget(&parent.namespace);
    }
    let grant = Grant {
        resource: GrantResource::Workspace,
        role: build::IDENTITY_GRANT.into(),
        state,
    };
    let grants = Grants {
        list: vec![grant],
        resynced: resynced(workspace, resync, now),
    };
    Ok((grants, written))
}

/// What our view tells, where that is enough: nobody has touched it, or it is not there and need not be.
fn known(seen: Option<&Seen>, desired: &Desired, recorded: Option<GrantState>) -> Option<Live> {
    match seen {
        Some(seen) if seen.hash == desired.hash && !seen.deleting => Some(Live::Gives),
        None if recorded != Some(GrantState::Granted) => Some(Live::Absent),
        _ => None,
    }
}

/// A revocation is for good, so it does not rest on a view alone.
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
    Ok((live(binding.as_ref(), wanted), seen))
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
    let binding = build::identity_binding_name(&name);
    let key = ChildKey::new(ChildKind::RoleBinding, &namespace, &binding);
    let there = ctx.children.get(&key).is_some_and(|seen| !seen.deleting);
    let question = Question {
        account_namespace: namespace.clone(),
        account: identity_name(&name).into(),
        verb: "create",
        resource: "pods",
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
    };
    format!(
        "GrantMissing/{}: the managed identity {name} lacks its grant {} here, and without it {without}; \
         `kubectl atelier resync {name} -n {namespace}` or a higher spec.resyncKeys of the Workspace restores it",
        resource.as_str(),
        build::IDENTITY_GRANT,
    )
}
