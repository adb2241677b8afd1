//! May they? Asked of the API server once more, for every request.

use std::time::Duration;

use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec, SubjectAccessReviewStatus,
};
use kube::api::PostParams;
use kube::{Api, Client};
use tracing::warn;

use crate::action::{ActionInfo, Actions, ObjectRef, Verb};
use crate::caller::Caller;
use crate::refusal::{Reason, Refusal};

/// How long the API server may take.
const LIMIT: Duration = Duration::from_secs(10);
const RETRY: Duration = Duration::from_secs(1);

/// Asks whether a caller may do something. Nothing is kept: a right that was taken back a moment ago is gone.
pub(crate) async fn review(
    client: &Client,
    caller: &Caller,
    verb: Verb,
    info: &ActionInfo,
    object: &ObjectRef,
) -> Result<(), Refusal> {
    let review = SubjectAccessReview {
        spec: question(caller, verb, info, object),
        ..SubjectAccessReview::default()
    };
    let api: Api<SubjectAccessReview> = Api::all(client.clone());
    let params = PostParams::default();
    match tokio::time::timeout(LIMIT, api.create(&params, &review)).await {
        Ok(Ok(answer)) => match answer.status {
            Some(status) if status.allowed && status.denied != Some(true) => Ok(()),
            status => Err(forbidden(
                caller,
                verb,
                info,
                object,
                &status.unwrap_or_default(),
            )),
        },
        Ok(Err(kube::Error::Api(status))) if !(status.code == 429 || status.code >= 500) => {
            // Our own right to ask is missing, or the question is wrong: trying again will not help.
            warn!(code = status.code, message = %status.message, "the API server refused a review");
            Err(Refusal::internal(
                "whether you may could not be asked; the administrator finds the reason in the operator's log",
            ))
        }
        Ok(Err(error)) => {
            warn!(%error, "the API server did not answer a review");
            Err(Refusal::unavailable(
                "whether you may could not be asked",
                RETRY,
            ))
        }
        Err(_) => Err(Refusal::unavailable(
            format!("whether you may was not answered within {LIMIT:?}"),
            RETRY,
        )),
    }
}

fn question(
    caller: &Caller,
    verb: Verb,
    info: &ActionInfo,
    object: &ObjectRef,
) -> SubjectAccessReviewSpec {
    SubjectAccessReviewSpec {
        user: Some(caller.user.clone()),
        uid: caller.uid.clone(),
        groups: Some(caller.groups.clone()).filter(|groups| !groups.is_empty()),
        extra: Some(caller.extra.clone()).filter(|extra| !extra.is_empty()),
        resource_attributes: Some(ResourceAttributes {
            verb: Some(verb.as_str().to_owned()),
            group: Some(Actions::GROUP.to_owned()),
            version: Some(Actions::VERSION.to_owned()),
            resource: Some(info.resource.to_owned()),
            subresource: Some(info.subresource.to_owned()),
            namespace: Some(object.namespace.clone()),
            name: Some(object.name.clone()),
            ..ResourceAttributes::default()
        }),
        ..SubjectAccessReviewSpec::default()
    }
}

/// In the words of the API server.
fn forbidden(
    caller: &Caller,
    verb: Verb,
    info: &ActionInfo,
    object: &ObjectRef,
    status: &SubjectAccessReviewStatus,
) -> Refusal {
    let mut message = format!(
        "{}.{group} {:?} is forbidden: User {:?} cannot {} resource {:?} in API group {group:?} in the namespace {:?}",
        info.resource,
        object.name,
        caller.user,
        verb.as_str(),
        info.full_name(),
        object.namespace,
        group = Actions::GROUP,
    );
    if let Some(reason) = status.reason.as_deref().filter(|reason| !reason.is_empty()) {
        message = format!("{message}: {reason}");
    }
    Refusal::new(Reason::Forbidden, message).about(object, info.resource, Actions::GROUP)
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use http::{Request, Response};
    use http_body_util::BodyExt as _;
    use kube::client::Body;
    use serde_json::{Value, json};

    use super::*;

    /// A client whose API server gives always the same answer, and what it was asked.
    fn client(code: u16, answer: Value) -> (Client, Arc<Mutex<Value>>) {
        let asked = Arc::new(Mutex::new(Value::Null));
        let seen = asked.clone();
        let service = tower::service_fn(move |request: Request<Body>| {
            let (answer, seen) = (answer.clone(), seen.clone());
            async move {
                let body = request.into_body().collect().await?.to_bytes();
                *seen.lock().unwrap() = serde_json::from_slice(&body).unwrap();
                let body = Body::from(serde_json::to_vec(&answer).unwrap());
                let response = Response::builder().status(code).body(body).unwrap();
                Ok::<_, tower::BoxError>(response)
            }
        });
        (Client::new(service, "default"), asked)
    }

    fn answer(status: Value) -> Value {
        json!({"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": {}, "status": status})
    }

    async fn ask(client: &Client) -> Result<(), Refusal> {
        let caller = Caller {
            user: "jane".into(),
            uid: Some("7".into()),
            groups: vec!["team".into()],
            extra: [("scopes".to_owned(), vec!["all".to_owned()])].into(),
        };
        let info = ActionInfo::new("webservices", "WebService", "listkeys");
        let object = ObjectRef {
            namespace: "vision".into(),
            name: "digits".into(),
        };
        review(client, &caller, Verb::Create, &info, &object).await
    }

    #[tokio::test]
    async fn everything_that_is_known_of_the_caller_is_asked() {
        let (client, asked) = client(201, answer(json!({"allowed": true})));
        assert!(ask(&client).await.is_ok());
        assert_eq!(
            asked.lock().unwrap()["spec"],
            json!({
                "user": "jane", "uid": "7", "groups": ["team"], "extra": {"scopes": ["all"]},
                "resourceAttributes": {
                    "verb": "create", "group": "actions.atelier.dev", "version": "v1alpha1",
                    "resource": "webservices", "subresource": "listkeys", "namespace": "vision", "name": "digits",
                },
            })
        );
    }

    #[tokio::test]
    async fn a_no_is_said_in_the_api_servers_words() {
        let status = json!({"allowed": false, "reason": "not today"});
        let refusal = ask(&client(201, answer(status)).0).await.unwrap_err();
        assert_eq!(refusal.code(), 403);
        assert_eq!(
            refusal.to_string(),
            "webservices.actions.atelier.dev \"digits\" is forbidden: User \"jane\" cannot create resource \
             \"webservices/listkeys\" in API group \"actions.atelier.dev\" in the namespace \"vision\": not today"
        );
    }

    #[tokio::test]
    async fn whatever_is_not_a_yes_is_a_no() {
        let denied = answer(json!({"allowed": true, "denied": true}));
        assert_eq!(ask(&client(201, denied).0).await.unwrap_err().code(), 403);
        let silent = json!({"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": {}});
        assert_eq!(ask(&client(201, silent).0).await.unwrap_err().code(), 403);
        let failure =
            |code| json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code});
        assert_eq!(
            ask(&client(403, failure(403)).0).await.unwrap_err().code(),
            500
        );
        let refusal = ask(&client(503, failure(503)).0).await.unwrap_err();
        assert_eq!((refusal.code(), refusal.retry_seconds()), (503, Some(1)));
        let nonsense = ask(&client(201, json!("what?")).0).await.unwrap_err();
        assert_eq!(nonsense.code(), 503);
    }
}
