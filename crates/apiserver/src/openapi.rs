//! The OpenAPI documents of our group.

mod document;

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH, LOCATION, VARY};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::{Value, json};

use crate::accept;
use crate::action::Actions;
use crate::body::{Body, empty, full};
use crate::discovery::not_acceptable;
use crate::escape::query_value;
use document::{document, info};

/// The schema of a type, for [`crate::Action::request_schema`] and [`crate::Action::response_schema`].
#[must_use]
pub fn schema_of<T: JsonSchema>() -> Value {
    let settings = SchemaSettings::openapi3().with(|s| {
        s.inline_subschemas = true;
        s.meta_schema = None;
    });
    let mut schema = settings.into_generator().into_root_schema_for::<T>();
    // The name of the component is the title.
    schema.remove("title");
    schema.to_value()
}

/// The documents. They never change while we run.
#[derive(Debug)]
pub(crate) struct OpenApi {
    index: Document,
    group: Document,
    swagger: Document,
}

#[derive(Debug)]
struct Document {
    bytes: Vec<u8>,
    hash: String,
}

impl OpenApi {
    pub(crate) fn new(actions: &Actions) -> Self {
        let group = Document::new(&document(actions));
        let path = format!("apis/{}/{}", Actions::GROUP, Actions::VERSION);
        let url = format!("/openapi/v3/{path}?hash={}", group.hash);
        Self {
            index: Document::new(&json!({"paths": {path: {"serverRelativeURL": url}}})),
            group,
            // kube-apiserver merges it with its own. Clients that need more than that we exist ask for version 3.
            swagger: Document::new(&json!({
                "swagger": "2.0", "info": info(), "paths": {}, "definitions": {},
            })),
        }
    }

    /// `/openapi/v3`.
    pub(crate) fn index(&self, headers: &HeaderMap) -> Response<Body> {
        self.index.answer(headers)
    }

    /// `/openapi/v2`.
    pub(crate) fn swagger(&self, headers: &HeaderMap) -> Response<Body> {
        self.swagger.answer(headers)
    }

    /// `/openapi/v3/apis/{group}/{version}`. A client that knows the hash may keep what it gets, so a hash that is not
    /// ours must not give it our document.
    pub(crate) fn group(&self, headers: &HeaderMap, query: Option<&str>) -> Response<Body> {
        let Some(hash) = query.and_then(|query| query_value(query, "hash")) else {
            return self.group.answer(headers);
        };
        let mut response = self.group.answer(headers);
        if hash == self.group.hash {
            response
                .headers_mut()
                .insert(CACHE_CONTROL, HeaderValue::from_static("public, immutable"));
        } else {
            let (group, version) = (Actions::GROUP, Actions::VERSION);
            let url = format!(
                "/openapi/v3/apis/{group}/{version}?hash={}",
                self.group.hash
            );
            response = Response::new(empty());
            *response.status_mut() = StatusCode::MOVED_PERMANENTLY;
            if let Ok(url) = HeaderValue::try_from(url) {
                response.headers_mut().insert(LOCATION, url);
            }
        }
        response
    }
}

impl Document {
    fn new(value: &Value) -> Self {
        let bytes = value.to_string().into_bytes();
        Self {
            hash: hash(&bytes),
            bytes,
        }
    }

    fn answer(&self, headers: &HeaderMap) -> Response<Body> {
        // kube-apiserver and kubectl ask for protobuf too, and take a 406 for what it is.
        if !accept::wanted(headers).iter().any(accept::Wanted::is_json) {
            return not_acceptable();
        }
        let etag = quoted(&self.hash);
        let known = headers.get(IF_NONE_MATCH) == Some(&etag);
        let mut response = Response::new(if known {
            empty()
        } else {
            full(self.bytes.clone())
        });
        if known {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
        }
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(ETAG, etag);
        headers.insert(VARY, HeaderValue::from_static("Accept"));
        response
    }
}

/// Tells documents apart; no secret and no proof.
pub(crate) fn hash(bytes: &[u8]) -> String {
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    format!("{:016X}", hasher.finish())
}

/// As an entity tag.
pub(crate) fn quoted(hash: &str) -> HeaderValue {
    HeaderValue::try_from(format!("{hash:?}")).unwrap_or(HeaderValue::from_static("\"\""))
}

#[cfg(test)]
mod tests {
    use atelier_api::actions::{KeyRegeneration, KeyType, RegeneratedKey};
    use http_body_util::BodyExt as _;

    use super::*;
    use crate::action::{Action, ActionInfo};
    use crate::refusal::Refusal;

    #[derive(JsonSchema)]
    #[allow(dead_code)]
    struct Described {
        key_type: KeyType,
    }

    fn openapi() -> OpenApi {
        let info = ActionInfo::new("webservices", "WebService", "regeneratekey");
        let action = Action::json(info, async |_, _: KeyRegeneration| {
            Err::<RegeneratedKey, _>(Refusal::conflict("no"))
        });
        OpenApi::new(&Actions::new().with(action.request_schema(schema_of::<Described>())))
    }

    async fn body(response: Response<Body>) -> Value {
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        serde_json::from_slice(&bytes).unwrap()
    }

    #[tokio::test]
    async fn the_index_leads_to_the_document_and_the_document_to_its_schemas() {
        let openapi = openapi();
        let none = HeaderMap::new();
        let index = body(openapi.index(&none)).await;
        let url = &index["paths"]["apis/actions.atelier.dev/v1alpha1"]["serverRelativeURL"];
        let (path, query) = url.as_str().unwrap().split_once('?').unwrap();
        assert_eq!(path, "/openapi/v3/apis/actions.atelier.dev/v1alpha1");
        let response = openapi.group(&none, Some(query));
        assert_eq!(response.headers()[CACHE_CONTROL], "public, immutable");
        let document = body(response).await;
        let path = "/apis/actions.atelier.dev/v1alpha1/namespaces/{namespace}/webservices/{name}/regeneratekey";
        let reference =
            document["paths"][path]["post"]["requestBody"]["content"]["application/json"]["schema"]
                ["$ref"]
                .as_str()
                .unwrap();
        let schema = document
            .pointer(reference.strip_prefix('#').unwrap())
            .unwrap();
        let values = &schema["properties"]["key_type"]["enum"];
        assert_eq!(values, &json!(["Primary", "Secondary"]));
        assert_eq!(
            schema["x-kubernetes-group-version-kind"][0]["kind"],
            "KeyRegeneration"
        );
    }

    #[test]
    fn what_is_known_is_not_sent_again_and_what_is_old_leads_to_the_new() {
        let openapi = openapi();
        let none = HeaderMap::new();
        let etag = openapi.swagger(&none).headers()[ETAG].clone();
        let known: HeaderMap = [(IF_NONE_MATCH, etag)].into_iter().collect();
        assert_eq!(openapi.swagger(&known).status(), 304);
        let moved = openapi.group(&none, Some("hash=OLD"));
        assert_eq!(moved.status(), 301);
        assert!(
            moved.headers()[LOCATION]
                .to_str()
                .unwrap()
                .contains("?hash=")
        );
    }

    #[test]
    fn protobuf_is_not_spoken() {
        let protobuf = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf";
        let headers: HeaderMap = [(http::header::ACCEPT, protobuf.parse().unwrap())]
            .into_iter()
            .collect();
        assert_eq!(openapi().swagger(&headers).status(), 406);
    }
}
