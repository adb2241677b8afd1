//! Whether a service is where its workspace is: pure.

use atelier_api::WebService;
use atelier_api::conditions::reasons;

/// Whether the location that a service asks for is the workspace's, why, and the same as a sentence. Nothing where it
/// asks for none, or where the workspace's is not known.
pub fn crossing(
    service: &WebService,
    workspace: Option<&str>,
) -> Option<(bool, &'static str, String)> {
    let (location, workspace) = (service.spec.location.as_deref()?, workspace?);
    Some(match location == workspace {
        true => (
            true,
            reasons::SAME_LOCATION,
            format!("the service and its workspace are both in {location}"),
        ),
        false => (
            false,
            reasons::OTHER_LOCATION,
            format!(
                "the service runs in {location} and its workspace is in {workspace}: whoever asks for a token crosses \
                 from one to the other, and so does what the service stores"
            ),
        ),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_a_service_that_asks_for_a_location_is_told_whether_it_is_the_workspaces() {
        let service = |location: Option<&str>| -> WebService {
            let spec = json!({"image": "i", "location": location});
            let service = json!({"apiVersion": "atelier.dev/v1alpha1", "kind": "WebService",
                "metadata": {"name": "svc"}, "spec": spec});
            serde_json::from_value(service).expect("a service")
        };
        let judged = |asked, workspace| {
            crossing(&service(asked), workspace).map(|(matches, reason, _)| (matches, reason))
        };
        assert_eq!(judged(None, Some("north")), None);
        assert_eq!(judged(Some("north"), None), None);
        let same = Some((true, reasons::SAME_LOCATION));
        assert_eq!(judged(Some("north"), Some("north")), same);
        let other = Some((false, reasons::OTHER_LOCATION));
        assert_eq!(judged(Some("north"), Some("south")), other);
    }
}
