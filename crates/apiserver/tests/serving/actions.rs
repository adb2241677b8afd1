//! Actions and webhooks that tests need.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use atelier_api::actions::{KeyRegeneration, Kinded as _, RunCancellation};
use atelier_api::v1alpha1::RunState;
use atelier_apiserver::{
    Action, ActionInfo, Actions, Admission, Body, Call, OnFailure, Refusal, Verb,
};
use http::{Request, Response};
use kube::core::admission::AdmissionResponse;
use serde_json::json;
use tokio::sync::Semaphore;

use crate::log::follow;

/// What tests see of the actions, and how they hold them up.
#[derive(Clone)]
pub struct Hooks {
    /// Requests for `runs/cancel` that have begun.
    pub begun: Arc<Semaphore>,
    /// Lets one of them end.
    pub release: Arc<Semaphore>,
    /// Logs that are being followed.
    pub following: Arc<AtomicUsize>,
}

impl Default for Hooks {
    fn default() -> Self {
        Self {
            begun: Arc::new(Semaphore::new(0)),
            release: Arc::new(Semaphore::new(0)),
            following: Arc::default(),
        }
    }
}

pub fn actions(hooks: &Hooks) -> Actions {
    let (cancel, log) = (hooks.clone(), hooks.clone());
    Actions::new()
        .with(Action::bare(
            ActionInfo::new("runs", "Run", "cancel"),
            move |call| cancelled(cancel.clone(), call),
        ))
        .with(Action::raw(
            ActionInfo::new("runs", "Run", "log").shows().long_running(),
            move |_, _| {
                let log = log.clone();
                async move { Ok(follow(&log.following, None)) }
            },
        ))
        .with(Action::raw(
            ActionInfo::new("workspaces", "Workspace", "proxy")
                .verbs(Verb::ALL)
                .with_rest()
                .long_running(),
            echo,
        ))
        .with(Action::json(
            ActionInfo::new("webservices", "WebService", "regeneratekey"),
            async |_, body: KeyRegeneration| {
                Err::<RunCancellation, _>(Refusal::conflict(format!("{:?}", body.key_type)))
            },
        ))
        .with(Action::raw(
            ActionInfo::new("webservices", "WebService", "break"),
            async |call: Call, _| -> Result<Response<Body>, _> {
                match call.object.name.as_str() {
                    "panic" => panic!("oh"),
                    _ => std::future::pending::<Result<_, Refusal>>().await,
                }
            },
        ))
}

async fn cancelled(hooks: Hooks, call: Call) -> Result<RunCancellation, Refusal> {
    if call.object.name == "held" {
        hooks.begun.add_permits(1);
        hooks.release.acquire().await.unwrap().forget();
    }
    Ok(RunCancellation {
        types: RunCancellation::types(),
        metadata: Default::default(),
        state: RunState::Running,
        accepted: true,
    })
}

/// Tells in headers what it was asked, and sends the body back as it comes.
async fn echo(call: Call, request: Request<Body>) -> Result<Response<Body>, Refusal> {
    let caller = &call.caller;
    let seen = json!({
        "user": caller.user, "uid": caller.uid, "groups": caller.groups, "extra": caller.extra,
        "namespace": call.object.namespace, "name": call.object.name, "rest": call.rest, "query": call.query,
        "verb": call.verb.as_str(), "auditId": call.audit_id,
    });
    Response::builder()
        .status(207)
        .header("x-seen", seen.to_string())
        .header("content-type", "application/x-ours")
        .body(request.into_body())
        .map_err(|e| Refusal::internal(e.to_string()))
}

pub fn admission() -> Admission {
    Admission::new().with("runs", OnFailure::Deny, async |request| {
        let name = request.name.clone();
        let answer = AdmissionResponse::from(&request);
        Ok(if name == "bad" {
            answer.deny("it is bad")
        } else {
            answer
        })
    })
}
