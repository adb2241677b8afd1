//! What the API server and kubectl learn of our group.

use http::header::{CONTENT_TYPE, ETAG, IF_NONE_MATCH, VARY};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use serde_json::{Map, Value, json};

use crate::accept;
use crate::action::Actions;
use crate::body::{Body, empty, full};
use crate::openapi::{hash, quoted};
use crate::refusal::{Reason, Refusal};
use crate::reply;

const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";

/// The documents of discovery. They never change while we run.
#[derive(Debug)]
pub(crate) struct Discovery {
    groups: Value,
    group: Value,
    resources: Value,
    aggregated: Vec<u8>,
    etag: HeaderValue,
}

impl Discovery {
    pub(crate) fn new(actions: &Actions) -> Self {
        let mut group = group();
        let groups = json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": [group]});
        group["kind"] = "APIGroup".into();
        group["apiVersion"] = "v1".into();
        let aggregated = aggregated(actions).to_string().into_bytes();
        Self {
            groups,
            group,
            resources: resources(actions),
            etag: quoted(&hash(&aggregated)),
            aggregated,
        }
    }

    /// `/apis`: all groups, or all at once, as the client wants it.
    pub(crate) fn groups(&self, headers: &HeaderMap) -> Response<Body> {
        for wanted in accept::wanted(headers) {
            if wanted.is_json_as("APIGroupDiscoveryList", "apidiscovery.k8s.io", "v2") {
                return self.all_at_once(headers);
            }
            if wanted.is_json() {
                return self.plain(&self.groups);
            }
        }
        not_acceptable()
    }

    /// `/apis/{group}`.
    pub(crate) fn group(&self) -> Response<Body> {
        self.plain(&self.group)
    }

    /// `/apis/{group}/{version}`.
    pub(crate) fn resources(&self) -> Response<Body> {
        self.plain(&self.resources)
    }

    fn plain(&self, value: &Value) -> Response<Body> {
        let mut response = reply::json(StatusCode::OK, value);
        response
            .headers_mut()
            .insert(VARY, HeaderValue::from_static("Accept"));
        response
    }

    fn all_at_once(&self, headers: &HeaderMap) -> Response<Body> {
        let known = headers.get(IF_NONE_MATCH) == Some(&self.etag);
        let mut response = Response::new(if known {
            empty()
        } else {
            full(self.aggregated.clone())
        });
        if known {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
        }
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(AGGREGATED));
        headers.insert(ETAG, self.etag.clone());
        headers.insert(VARY, HeaderValue::from_static("Accept"));
        response
    }
}

/// 406: we speak JSON only.
pub(crate) fn not_acceptable() -> Response<Body> {
    reply::refuse(&Refusal::new(
        Reason::NotAcceptable,
        "only the following media types are accepted: application/json",
    ))
}

fn group() -> Value {
    let version = json!({
        "groupVersion": format!("{}/{}", Actions::GROUP, Actions::VERSION),
        "version": Actions::VERSION,
    });
    json!({"name": Actions::GROUP, "versions": [version], "preferredVersion": version})
}

fn resources(actions: &Actions) -> Value {
    let resources: Vec<_> = actions
        .iter()
        .map(|action| {
            json!({
                "name": action.info.full_name(), "singularName": "", "namespaced": true, "kind": action.kind(),
                "verbs": action.info.verb_names(),
            })
        })
        .collect();
    json!({
        "kind": "APIResourceList", "apiVersion": "v1",
        "groupVersion": format!("{}/{}", Actions::GROUP, Actions::VERSION), "resources": resources,
    })
}

fn aggregated(actions: &Actions) -> Value {
    let kind =
        |kind: &str| json!({"group": Actions::GROUP, "version": Actions::VERSION, "kind": kind});
    let mut parents: Map<String, Value> = Map::new();
    for action in actions.iter() {
        // The resource itself is not here: an empty kind says so, and no verbs, so that nobody lists or deletes it.
        let parent = parents.entry(action.info.resource).or_insert_with(|| {
            json!({
                "resource": action.info.resource, "scope": "Namespaced", "singularResource": "", "verbs": [],
                "responseKind": {"group": "", "version": "", "kind": ""}, "subresources": [],
            })
        });
        if let Some(list) = parent["subresources"].as_array_mut() {
            list.push(json!({
                "subresource": action.info.subresource, "responseKind": kind(action.kind()),
                "verbs": action.info.verb_names(),
            }));
        }
    }
    let resources: Vec<_> = parents.into_values().collect();
    json!({
        "kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "metadata": {},
        "items": [{
            "metadata": {"name": Actions::GROUP, "creationTimestamp": null},
            "versions": [{"version": Actions::VERSION, "freshness": "Current", "resources": resources}],
        }],
    })
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;

    use super::*;
    use crate::action::{Action, ActionInfo};

    fn discovery() -> Discovery {
        let raw = |info| Action::raw(info, async |_, _| Ok(Response::new(empty())));
        Discovery::new(
            &Actions::new()
                .with(raw(ActionInfo::new("runs", "Run", "log").shows()))
                .with(raw(ActionInfo::new("runs", "Run", "cancel"))),
        )
    }

    fn asking(accept: &str) -> HeaderMap {
        [(http::header::ACCEPT, accept.parse().unwrap())]
            .into_iter()
            .collect()
    }

    async fn body(response: Response<Body>) -> Value {
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        serde_json::from_slice(&bytes).unwrap()
    }

    #[tokio::test]
    async fn the_aggregator_learns_all_at_once_and_only_once() {
        let accept =
            "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json";
        let response = discovery().groups(&asking(accept));
        assert_eq!(response.headers()[CONTENT_TYPE], AGGREGATED);
        let etag = response.headers()[ETAG].clone();
        let list = body(response).await;
        let runs = &list["items"][0]["versions"][0]["resources"][0];
        assert_eq!(runs["resource"], "runs");
        assert_eq!(runs["verbs"], json!([]));
        assert_eq!(runs["subresources"][1]["subresource"], "log");

        let mut again = asking(accept);
        again.insert(IF_NONE_MATCH, etag);
        assert_eq!(discovery().groups(&again).status(), 304);
    }

    #[tokio::test]
    async fn older_clients_learn_step_by_step() {
        let groups = body(discovery().groups(&asking("application/json"))).await;
        assert_eq!(groups["groups"][0]["name"], "actions.atelier.dev");
        assert_eq!(body(discovery().group()).await["kind"], "APIGroup");
        let resources = body(discovery().resources()).await;
        assert_eq!(
            resources["resources"][0],
            json!({"name": "runs/cancel", "singularName": "", "namespaced": true, "kind": "Run", "verbs": ["create"]})
        );
        let protobuf = "application/vnd.kubernetes.protobuf";
        assert_eq!(discovery().groups(&asking(protobuf)).status(), 406);
    }
}
