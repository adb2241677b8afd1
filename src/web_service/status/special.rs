//! The conditions that only some services have.

use atelier_api::WebService;
use atelier_api::conditions::{EXPOSED, KEYS_ACCEPTED, REGION_MATCHES};

use super::{Known, Progress};
use crate::kit::conditions::Conditions;
use crate::web_service::region::crossing;

/// Adds them. While something is in the way of the service, what was said before stands.
pub fn special<'a>(
    conditions: Conditions<'a>,
    service: &WebService,
    progress: &Progress,
) -> Conditions<'a> {
    match progress {
        Progress::Made(known) => told(conditions, service, known),
        Progress::Blocked(_) => [KEYS_ACCEPTED, EXPOSED, REGION_MATCHES]
            .into_iter()
            .fold(conditions, Conditions::keep),
        Progress::Shut(_) => conditions,
    }
}

fn told<'a>(conditions: Conditions<'a>, service: &WebService, known: &Known) -> Conditions<'a> {
    let conditions = match &known.own_keys {
        Some(own) => conditions.set(KEYS_ACCEPTED, Some(!own.failed), own.reason, &own.message),
        None => conditions,
    };
    let conditions = match &known.exposure {
        Some(told) => conditions.set(EXPOSED, told.there, told.reason, &told.message),
        None => conditions,
    };
    match crossing(service, known.location.as_deref()) {
        Some((matches, reason, message)) => {
            conditions.set(REGION_MATCHES, Some(matches), reason, &message)
        }
        None => conditions,
    }
}
