//! The conditions that only some services have.

use atelier_api::WebService;
use atelier_api::conditions::{
    DATA_COLLECTING, EXPOSED, KEYS_ACCEPTED, REGION_MATCHES, SCALING_ACTIVE, TELEMETRY_ARCHIVING,
    TELEMETRY_EXPORTING,
};

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
        Progress::Blocked(_) => {
            let all = [
                SCALING_ACTIVE,
                KEYS_ACCEPTED,
                EXPOSED,
                TELEMETRY_EXPORTING,
                TELEMETRY_ARCHIVING,
                DATA_COLLECTING,
                REGION_MATCHES,
            ];
            all.into_iter().fold(conditions, Conditions::keep)
        }
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
    let conditions = match &known.telemetry {
        Some(told) => {
            let exporting = Some(told.exporting);
            conditions.set(TELEMETRY_EXPORTING, exporting, told.reason, &told.message)
        }
        None => conditions,
    };
    let conditions = match &known.archive {
        Some(told) => conditions.set(TELEMETRY_ARCHIVING, told.works, &told.reason, &told.message),
        None => conditions,
    };
    let conditions = match &known.data {
        Some(told) => conditions.set(DATA_COLLECTING, told.works, &told.reason, &told.message),
        None => conditions,
    };
    match crossing(service, known.location.as_deref()) {
        Some((matches, reason, message)) => {
            conditions.set(REGION_MATCHES, Some(matches), reason, &message)
        }
        None => conditions,
    }
}
