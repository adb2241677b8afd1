//! Actions: what one is, and the table of all.

mod info;
mod strict;
mod table;
mod typed;

use std::collections::BTreeMap;
use std::sync::Arc;

use atelier_api::actions::{GROUP, VERSION};
use futures::future::BoxFuture;
use http::{Request, Response};
use serde_json::Value;

use crate::body::Body;
use crate::caller::Caller;
use crate::escape::query_value;
use crate::refusal::Refusal;

pub use info::{ActionInfo, Verb};
pub use table::{Column, Table};

/// The object an action is about. Both names have the shape that Kubernetes asks of them; whether there is such an
/// object, the action has to find out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectRef {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

/// One request for an action. Whoever it is from may do it: the API server has said so twice.
#[derive(Clone, Debug)]
pub struct Call {
    /// Who asks.
    pub caller: Caller,
    /// About what.
    pub object: ObjectRef,
    /// How.
    pub verb: Verb,
    /// What follows the action in the path, with its first slash and as it arrived: empty, or the path of what is
    /// proxied. On its way the API server has made a slash of each `%2F`. It may hold `..`.
    pub rest: String,
    /// The query, without its question mark.
    pub query: Option<String>,
    /// Under which id the API server writes the request into its audit log.
    pub audit_id: Option<String>,
}

impl Call {
    /// The first value of a name in the query.
    #[must_use]
    pub fn query_value(&self, name: &str) -> Option<String> {
        query_value(self.query.as_deref()?, name)
    }
}

pub(crate) type Handler = Arc<
    dyn Fn(Call, Request<Body>) -> BoxFuture<'static, Result<Response<Body>, Refusal>>
        + Send
        + Sync,
>;

/// A kind of body, for the documents that describe the API.
#[derive(Clone, Debug)]
pub(crate) struct Model {
    pub(crate) kind: &'static str,
    pub(crate) schema: Option<Value>,
}

/// One action: its description, and what it does.
#[derive(Clone)]
pub struct Action {
    pub(crate) info: ActionInfo,
    pub(crate) request: Option<Model>,
    pub(crate) response: Option<Model>,
    pub(crate) handler: Handler,
}

impl std::fmt::Debug for Action {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Action").field(&self.info).finish()
    }
}

impl Action {
    /// An action that reads the request and writes the answer by itself, whatever they are made of, both as streams.
    /// Without a limit on the body: whoever reads it all should set one.
    pub fn raw<F, Fut>(info: ActionInfo, run: F) -> Self
    where
        F: Fn(Call, Request<Body>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Response<Body>, Refusal>> + Send + 'static,
    {
        Self {
            info,
            request: None,
            response: None,
            handler: Arc::new(move |call, request| Box::pin(run(call, request))),
        }
    }

    /// Describes the request body, in OpenAPI 3.0: see [`crate::schema_of`].
    #[must_use]
    pub fn request_schema(mut self, schema: Value) -> Self {
        if let Some(model) = &mut self.request {
            model.schema = Some(schema);
        }
        self
    }

    /// Describes the answer, in OpenAPI 3.0: see [`crate::schema_of`].
    #[must_use]
    pub fn response_schema(mut self, schema: Value) -> Self {
        if let Some(model) = &mut self.response {
            model.schema = Some(schema);
        }
        self
    }

    /// The kind that discovery names: what is sent, else what is answered, else what it is about.
    pub(crate) fn kind(&self) -> &'static str {
        let model = self.request.as_ref().or(self.response.as_ref());
        model.map_or(self.info.parent, |model| model.kind)
    }
}

/// All actions of the group.
#[derive(Clone, Debug, Default)]
pub struct Actions(BTreeMap<(&'static str, &'static str), Action>);

impl Actions {
    /// The group they are in.
    pub const GROUP: &'static str = GROUP;
    /// Its version.
    pub const VERSION: &'static str = VERSION;

    /// None yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an action, or replaces the one of the same name.
    #[must_use]
    pub fn with(mut self, action: Action) -> Self {
        let key = (action.info.resource, action.info.subresource);
        self.0.insert(key, action);
        self
    }

    pub(crate) fn find(&self, resource: &str, subresource: &str) -> Option<&Action> {
        self.iter()
            .find(|a| a.info.resource == resource && a.info.subresource == subresource)
    }

    /// In the order of their names.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Action> {
        self.0.values()
    }
}
