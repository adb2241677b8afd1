//! Actions that read and answer JSON.

use std::sync::Arc;

use atelier_api::actions::Kinded;
use bytes::Bytes;
use http::header::{CONTENT_TYPE, VARY};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::table::{self, Table};
use super::{Action, ActionInfo, Call, Model, Verb, strict};
use crate::body::{Body, read};
use crate::refusal::{Reason, Refusal};
use crate::reply;

impl Action {
    /// An action with a body of one kind and an answer of another.
    pub fn json<Q, R, F, Fut>(info: ActionInfo, run: F) -> Self
    where
        Q: Kinded + DeserializeOwned + Serialize + Send + 'static,
        R: Kinded + Serialize + 'static,
        F: Fn(Call, Q) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<R, Refusal>> + Send + 'static,
    {
        Self::read_by(info, strict::read::<Q>, run, None).takes(Q::KIND)
    }

    /// An action whose body may be left out.
    pub fn optional<Q, R, F, Fut>(info: ActionInfo, run: F) -> Self
    where
        Q: Kinded + DeserializeOwned + Serialize + Send + 'static,
        R: Kinded + Serialize + 'static,
        F: Fn(Call, Option<Q>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<R, Refusal>> + Send + 'static,
    {
        let read = |bytes: &[u8]| {
            let empty = bytes.trim_ascii().is_empty();
            (!empty).then(|| strict::read::<Q>(bytes)).transpose()
        };
        Self::read_by(info, read, run, None).takes(Q::KIND)
    }

    /// An action without a body.
    pub fn bare<R, F, Fut>(info: ActionInfo, run: F) -> Self
    where
        R: Kinded + Serialize + 'static,
        F: Fn(Call) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<R, Refusal>> + Send + 'static,
    {
        Self::read_by(info, strict::nothing, move |call, ()| run(call), None)
    }

    /// An action without a body whose answer kubectl can show as a table.
    pub fn table<R, F, Fut>(info: ActionInfo, table: Table<R>, run: F) -> Self
    where
        R: Kinded + Serialize + 'static,
        F: Fn(Call) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<R, Refusal>> + Send + 'static,
    {
        Self::read_by(
            info,
            strict::nothing,
            move |call, ()| run(call),
            Some(table),
        )
    }

    fn read_by<Q, R, F, Fut>(
        info: ActionInfo,
        parse: fn(&[u8]) -> Result<Q, Refusal>,
        run: F,
        table: Option<Table<R>>,
    ) -> Self
    where
        Q: Send + 'static,
        R: Kinded + Serialize + 'static,
        F: Fn(Call, Q) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<R, Refusal>> + Send + 'static,
    {
        let (run, table, limit) = (Arc::new(run), table.map(Arc::new), info.body_limit);
        let mut action = Self::raw(info, move |call, request| {
            let (run, table) = (run.clone(), table.clone());
            async move {
                let (parts, body) = request.into_parts();
                let bytes = bytes(&call, &parts.headers, body, limit).await?;
                let verb = call.verb;
                let answer = run(call, parse(&bytes)?).await?;
                Ok(write(&answer, verb, &parts.headers, table.as_deref()))
            }
        });
        action.response = Some(Model {
            kind: R::KIND,
            schema: None,
        });
        action
    }

    fn takes(mut self, kind: &'static str) -> Self {
        self.request = Some(Model { kind, schema: None });
        self
    }
}

/// The body of a request. That of a GET has no meaning, and is not read.
async fn bytes(
    call: &Call,
    headers: &HeaderMap,
    body: Body,
    limit: usize,
) -> Result<Bytes, Refusal> {
    if call.verb == Verb::Get {
        return Ok(Bytes::new());
    }
    let bytes = read(body, limit).await?;
    let media = headers
        .get(CONTENT_TYPE)
        .map_or(&b"application/json"[..], HeaderValue::as_bytes);
    let media = media.split(|byte| *byte == b';').next().unwrap_or_default();
    if bytes.is_empty() || media.trim_ascii().eq_ignore_ascii_case(b"application/json") {
        Ok(bytes)
    } else {
        Err(Refusal::new(
            Reason::UnsupportedMediaType,
            "the body of the request must be application/json",
        ))
    }
}

fn write<R: Serialize>(
    answer: &R,
    verb: Verb,
    headers: &HeaderMap,
    table: Option<&Table<R>>,
) -> Response<Body> {
    let status = match verb {
        Verb::Create => StatusCode::CREATED,
        _ => StatusCode::OK,
    };
    let Some(table) = table.filter(|_| table::is_wanted(headers)) else {
        return reply::json(status, answer);
    };
    let plain = serde_json::to_value(answer).unwrap_or(Value::Null);
    let mut response = reply::json(status, &table.render(answer, &plain));
    response
        .headers_mut()
        .insert(VARY, HeaderValue::from_static("Accept"));
    response
}

#[cfg(test)]
mod tests {
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
        let send =
            async |kind, body| match run(&action, Verb::Create, &[("content-type", kind)], body)
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
}
