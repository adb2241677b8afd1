//! The actions that are tried.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use atelier_api::actions::{
    KeyRegeneration, KeyType, Kinded as _, RegeneratedKey, RunCancellation, RunExplanation,
};
use atelier_api::v1alpha1::RunState;
use atelier_apiserver::{
    Action, ActionInfo, Actions, Admission, Body, Call, Column, OnFailure, Refusal, Table, Verb,
    schema_of,
};
use http::{Request, Response};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::core::admission::AdmissionResponse;
use serde_json::json;

use crate::log::follow;

/// How often actions were reached, and how many logs are being followed.
#[derive(Clone, Default)]
pub struct Counts {
    pub reached: Arc<AtomicUsize>,
    pub following: Arc<AtomicUsize>,
}

fn metadata(call: &Call) -> ObjectMeta {
    ObjectMeta {
        name: Some(call.object.name.clone()),
        namespace: Some(call.object.namespace.clone()),
        ..ObjectMeta::default()
    }
}

pub fn actions(counts: &Counts) -> Actions {
    let (why, cancel, log) = (counts.clone(), counts.clone(), counts.clone());
    let columns = vec![Column {
        name: "Reason",
        kind: "string",
        description: "The nearest cause first",
        priority: 0,
    }];
    let table = Table::new(columns, |why: &RunExplanation| {
        why.reasons.iter().map(|r| vec![json!(r)]).collect()
    });
    Actions::new()
        .with(Action::table(
            ActionInfo::new("runs", "Run", "why")
                .shows()
                .summary("Why a run is not running."),
            table,
            move |call| {
                why.reached.fetch_add(1, Ordering::SeqCst);
                async move {
                    let caller = &call.caller;
                    Ok(RunExplanation {
                        types: RunExplanation::types(),
                        metadata: metadata(&call),
                        state: RunState::Queued,
                        queue: None,
                        reasons: vec![
                            caller.user.clone(),
                            caller.groups.join(" "),
                            format!("{:?}", caller.extra),
                        ],
                    })
                }
            },
        ))
        .with(Action::bare(
            ActionInfo::new("runs", "Run", "cancel").summary("Cancels a run."),
            move |call| {
                cancel.reached.fetch_add(1, Ordering::SeqCst);
                async move {
                    Ok(RunCancellation {
                        types: RunCancellation::types(),
                        metadata: metadata(&call),
                        state: RunState::Running,
                        accepted: true,
                    })
                }
            },
        ))
        .with(
            Action::json(
                ActionInfo::new("webservices", "WebService", "regeneratekey"),
                async |call: Call, body: KeyRegeneration| {
                    Ok(RegeneratedKey {
                        types: RegeneratedKey::types(),
                        metadata: metadata(&call),
                        key_type: body.key_type,
                        fingerprint: "00000000".into(),
                        created_at: Timestamp::UNIX_EPOCH,
                    })
                },
            )
            .request_schema(json!({
                "type": "object", "required": ["keyType"], "properties": {"keyType": schema_of::<KeyType>()},
            })),
        )
        .with(Action::raw(
            ActionInfo::new("runs", "Run", "log").shows().long_running(),
            move |call, _| {
                let log = log.clone();
                // Three lines, or as many as somebody reads.
                let lines = call.query_value("follow").is_none().then_some(3);
                async move { Ok(follow(&log.following, lines)) }
            },
        ))
        .with(Action::raw(
            ActionInfo::new("workspaces", "Workspace", "proxy")
                .verbs(Verb::ALL)
                .with_rest()
                .long_running(),
            echo,
        ))
}

async fn echo(call: Call, request: Request<Body>) -> Result<Response<Body>, Refusal> {
    Response::builder()
        .status(207)
        .header("x-verb", call.verb.as_str())
        .header("x-rest", call.rest)
        .header("content-type", "application/x-ours")
        .body(request.into_body())
        .map_err(|e| Refusal::internal(e.to_string()))
}

pub fn admission() -> Admission {
    Admission::new().with("configmaps", OnFailure::Deny, async |request| {
        let user = request.user_info.username.clone().unwrap_or_default();
        let answer = AdmissionResponse::from(&request);
        Ok(match request.name.as_str() {
            "bad" => answer.deny(format!("{user} may not make a bad one")),
            "broken" => panic!("oh"),
            _ => answer,
        })
    })
}
