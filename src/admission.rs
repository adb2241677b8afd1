//! What must be written down about who asks: `createdBy` of a run (docs/design/admission.md).
//!
//! Everything else is judged by the schema and by policies of the API server itself.

use atelier_apiserver::{Admission, AdmissionError, OnFailure};
use kube::core::DynamicObject;
use kube::core::admission::{AdmissionRequest, AdmissionResponse, Operation};
use serde_json::json;

/// Name of the webhook: it answers at `/admit/created-by`.
pub const CREATED_BY: &str = "created-by";
const FIELD: &str = "/spec/createdBy";

/// All webhooks.
pub fn all() -> Admission {
    Admission::new().with(CREATED_BY, OnFailure::Deny, async |request| {
        created_by(&request)
    })
}

/// What is to be done about the field.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Verdict {
    Keep,
    Write(String),
    Refuse(String),
}

fn created_by(
    request: &AdmissionRequest<DynamicObject>,
) -> Result<AdmissionResponse, AdmissionError> {
    let response = AdmissionResponse::from(request);
    let field = |object: &Option<DynamicObject>| {
        let object = object.as_ref()?;
        Some(object.data.pointer(FIELD)?.as_str()?.to_owned())
    };
    let (new, old) = (field(&request.object), field(&request.old_object));
    let user = request.user_info.username.as_deref().unwrap_or_default();
    match judge(&request.operation, user, new.as_deref(), old.as_deref()) {
        Verdict::Keep => Ok(response),
        Verdict::Refuse(why) => Ok(response.deny(why)),
        Verdict::Write(user) => patched(response, &user),
    }
}

fn patched(response: AdmissionResponse, user: &str) -> Result<AdmissionResponse, AdmissionError> {
    let patch = json!([{"op": "add", "path": FIELD, "value": user}]);
    let failed = |error: String| AdmissionError(format!("the change cannot be written: {error}"));
    let patch =
        serde_json::from_value::<json_patch::Patch>(patch).map_err(|e| failed(e.to_string()))?;
    response
        .with_patch(patch)
        .map_err(|e| failed(e.to_string()))
}

/// Whoever creates a run is its creator. Later the field stays: a manifest that leaves it out means no change, and one
/// that names another is refused.
fn judge(operation: &Operation, user: &str, new: Option<&str>, old: Option<&str>) -> Verdict {
    match (operation, new, old) {
        (Operation::Create, None, _) => Verdict::Write(user.to_owned()),
        (Operation::Create, Some(named), _) if named != user => Verdict::Refuse(format!(
            "spec.createdBy: {named:?} is not who creates the run ({user:?}); leave it out"
        )),
        (Operation::Update, None, Some(creator)) => Verdict::Write(creator.to_owned()),
        (Operation::Update, Some(named), Some(creator)) if named != creator => {
            Verdict::Refuse(format!(
                "spec.createdBy: the run was created by {creator:?}, which cannot be changed to {named:?}; leave it out"
            ))
        }
        (Operation::Update, Some(_), None) => Verdict::Refuse(
            "spec.createdBy: who created the run was not noted, and cannot be said later".into(),
        ),
        _ => Verdict::Keep,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn request(operation: &str, new: Value, old: Value) -> AdmissionRequest<DynamicObject> {
        let run = |spec: Value| match spec {
            Value::Null => Value::Null,
            spec => {
                json!({"apiVersion": "atelier.dev/v1alpha1", "kind": "Run", "metadata": {"name": "r"}, "spec": spec})
            }
        };
        let kind = json!({"group": "atelier.dev", "version": "v1alpha1", "kind": "Run"});
        let resource = json!({"group": "atelier.dev", "version": "v1alpha1", "resource": "runs"});
        let review = json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {
            "uid": "u", "kind": kind, "resource": resource, "name": "r", "namespace": "n",
            "operation": operation, "userInfo": {"username": "jane"}, "object": run(new), "oldObject": run(old),
            "dryRun": false, "options": null}});
        let review: kube::core::admission::AdmissionReview<DynamicObject> =
            serde_json::from_value(review).expect("a review");
        review.try_into().expect("a request")
    }

    #[test]
    fn whoever_creates_a_run_is_written_down() {
        let request = request("CREATE", json!({"image": "i"}), Value::Null);
        let response = created_by(&request).expect("a decision");
        let patch: Value = serde_json::from_slice(&response.patch.expect("a patch")).expect("JSON");
        assert_eq!(
            patch,
            json!([{"op": "add", "path": "/spec/createdBy", "value": "jane"}])
        );
    }

    #[test]
    fn nobody_creates_a_run_in_anothers_name() {
        let forged = request("CREATE", json!({"createdBy": "john"}), Value::Null);
        let response = created_by(&forged).expect("a decision");
        assert!(!response.allowed && response.result.message.contains("jane"));
        let own = request("CREATE", json!({"createdBy": "jane"}), Value::Null);
        let response = created_by(&own).expect("a decision");
        assert!(response.allowed && response.patch.is_none());
    }

    #[test]
    fn a_creator_stays() {
        let update = |new, old| judge(&Operation::Update, "jane", new, old);
        assert_eq!(update(None, Some("john")), Verdict::Write("john".into()));
        assert_eq!(update(Some("john"), Some("john")), Verdict::Keep);
        assert_eq!(update(None, None), Verdict::Keep);
        assert!(matches!(
            update(Some("jane"), Some("john")),
            Verdict::Refuse(_)
        ));
        assert!(matches!(update(Some("jane"), None), Verdict::Refuse(_)));
    }
}
