use atelier_api::actions::{KeyRegeneration, KeyType, RunCancellation, RunExplanation};
use atelier_api::v1alpha1::RunState;
use http::Request;
use http_body_util::BodyExt as _;
use serde_json::json;

use super::*;
use crate::action::{Column, ObjectRef};
use crate::body::full;

fn call(verb: Verb) -> Call {
    Call {
        caller: crate::Caller::default(),
        object: ObjectRef {
            namespace: "vision".into(),
            name: "first".into(),
        },
        verb,
        rest: String::new(),
        query: None,
        audit_id: None,
    }
}

async fn run(
    action: &Action,
    verb: Verb,
    headers: &[(&str, &str)],
    body: &'static str,
) -> Result<(u16, Value), Refusal> {
    let mut request = Request::new(full(body));
    for (name, value) in headers {
        let name = http::HeaderName::try_from(*name).unwrap();
        request.headers_mut().insert(name, value.parse().unwrap());
    }
    let response = (action.handler)(call(verb), request).await?;
    let code = response.status().as_u16();
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    Ok((code, serde_json::from_slice(&bytes).unwrap()))
}

fn explanation() -> RunExplanation {
    RunExplanation {
        types: RunExplanation::types(),
        metadata: Default::default(),
        state: RunState::Queued,
        queue: None,
        reasons: vec!["no node".into(), "quota".into()],
    }
}

fn why() -> Action {
    let columns = vec![Column {
        name: "Reason",
        kind: "string",
        description: "",
        priority: 0,
    }];
    let table = Table::new(columns, |why: &RunExplanation| {
        why.reasons.iter().map(|r| vec![json!(r)]).collect()
    });
    let info = ActionInfo::new("runs", "Run", "why").shows();
    Action::table(info, table, async |_| Ok(explanation()))
}

#[tokio::test]
async fn kubectl_get_has_a_table_and_others_have_the_object() {
    let accept = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json";
    let (code, table) = run(&why(), Verb::Get, &[("accept", accept)], "")
        .await
        .unwrap();
    assert_eq!((code, &table["kind"]), (200, &json!("Table")));
    assert_eq!(table["rows"][1]["cells"], json!(["quota"]));
    let (_, plain) = run(&why(), Verb::Get, &[], "").await.unwrap();
    assert_eq!(plain["kind"], "RunExplanation");
}

#[tokio::test]
async fn an_action_that_creates_answers_201() {
    let info = ActionInfo::new("runs", "Run", "cancel");
    let action = Action::bare(info, async |call: Call| {
        Ok(RunCancellation {
            types: RunCancellation::types(),
            metadata: Default::default(),
            state: RunState::Queued,
            accepted: call.object.name == "first",
        })
    });
    let (code, body) = run(&action, Verb::Create, &[], "{}").await.unwrap();
    assert_eq!((code, &body["accepted"]), (201, &json!(true)));
    assert_eq!(body["kind"], "RunCancellation");
}

#[tokio::test]
async fn a_body_may_be_optional_but_not_of_another_type() {
    let info = ActionInfo::new("webservices", "WebService", "regeneratekey").body_limit(64);
    let action = Action::optional(info, async |_, body: Option<KeyRegeneration>| match body {
        None => Ok(explanation()),
        Some(body) if body.key_type == KeyType::Primary => Err(Refusal::conflict("primary")),
        Some(_) => Err(Refusal::conflict("secondary")),
    });
    assert_eq!(action.kind(), "KeyRegeneration");
    let send = async |kind, body| match run(&action, Verb::Create, &[("content-type", kind)], body)
        .await
    {
        Ok((code, _)) => code,
        Err(refusal) => refusal.code(),
    };
    let json = "application/json; charset=utf-8";
    assert_eq!(send(json, "").await, 201);
    assert_eq!(send(json, r#"{"keyType": "Primary"}"#).await, 409);
    assert_eq!(send("application/yaml", "keyType: Primary").await, 415);
    let long = r#"{"keyType": "Primary", "apiVersion": "actions.atelier.dev/v1alpha1"}"#;
    assert_eq!(send(json, long).await, 413);
}
