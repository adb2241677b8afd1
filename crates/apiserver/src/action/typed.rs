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
mod tests;
