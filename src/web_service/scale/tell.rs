//! What the status and events say of the scaling: pure.

use atelier_api::conditions::{SCALING_ACTIVE, reasons};
use atelier_api::v1alpha1::AutoscaleStatus;
use atelier_api::{WebService, WebServiceStatus};

use super::decide::Standing;
use super::{Follows, Scaling};
use crate::kit::conditions::Told;

/// The status and the condition. The message holds nothing that changes while all goes well.
pub fn standing(
    service: &WebService,
    scaling: Option<&Scaling>,
) -> (Option<AutoscaleStatus>, Option<Told<'static>>) {
    let (Some(scale), Some(scaling)) = (service.spec.autoscale, scaling) else {
        return (None, None);
    };
    let told = |status, reason, message| Told {
        status,
        reason,
        message,
    };
    let follows = match scaling {
        Scaling::NoAuthority => {
            let message = "this installation signs no certificates by which replicas and operator would know each \
                           other, so the replicas stay as many as they are: turn on the chart's actions.enabled, with \
                           certificates of the operator's own, or set spec.replicas instead of spec.autoscale";
            let told = told(Some(false), reasons::NO_AUTHORITY, message.to_owned());
            let before = service.status.as_ref().and_then(|status| status.autoscale);
            return (before, Some(told));
        }
        Scaling::Follows(follows) => follows,
    };
    let (min, max, target) = (scale.min, scale.max, scale.target_utilization);
    let condition = match follows.standing() {
        Standing::Following => told(
            Some(true),
            reasons::FOLLOWING_LOAD,
            format!(
                "between {min} and {max} replicas, as many as keep the utilisation below {target} %"
            ),
        ),
        Standing::AtMaximum => told(
            Some(true),
            reasons::AT_MAXIMUM,
            format!(
                "{max} replicas do not keep the utilisation below {target} %: raise spec.autoscale.max, or let a \
                 replica work on more requests at a time"
            ),
        ),
        Standing::Silent => told(Some(false), reasons::REPLICA_SILENT, silent(follows)),
        Standing::NoneAnswers => told(
            None,
            reasons::NO_REPLICA_READY,
            "no replica answers, so nothing is known of the load".to_owned(),
        ),
    };
    (Some(follows.status()), Some(condition))
}

fn silent(follows: &Follows) -> String {
    let name = follows.silent.first().map_or("a replica", String::as_str);
    let others = match follows.silent.len() {
        0 | 1 => String::new(),
        all => format!(" and {} more", all - 1),
    };
    format!(
        "{name}{others} does not tell how much it has to do, so no replica is taken away; its log says why: \
         kubectl logs {name} -c gateway"
    )
}

/// The events that tell of a change: whether it is a warning, reason, and sentence.
pub fn transitions(
    before: Option<&WebServiceStatus>,
    after: &WebServiceStatus,
) -> Vec<(bool, &'static str, String)> {
    let desired = |status: &WebServiceStatus| status.autoscale.map(|scale| scale.desired_replicas);
    let mut events = vec![];
    if let (Some(from), Some(to)) = (before.and_then(desired), desired(after))
        && from != to
    {
        let percent = after.autoscale.and_then(|scale| scale.utilization);
        let percent = percent.map_or(String::new(), |percent| format!(" at {percent} %"));
        let reason = if to > from { "ScaledUp" } else { "ScaledDown" };
        events.push((
            false,
            reason,
            format!("from {from} to {to} replicas{percent}"),
        ));
    }
    let reason = |status: &WebServiceStatus| {
        let told = status.conditions.iter();
        let mut told = told.filter(|told| told.type_ == SCALING_ACTIVE);
        told.next()
            .map(|told| (told.reason.clone(), told.message.clone()))
    };
    if let Some((now, message)) = reason(after)
        && before.and_then(reason).is_none_or(|(then, _)| then != now)
    {
        for warns in [
            reasons::AT_MAXIMUM,
            reasons::REPLICA_SILENT,
            reasons::NO_AUTHORITY,
        ] {
            if now == warns {
                let reason = if warns == reasons::NO_AUTHORITY {
                    "NotScaling"
                } else {
                    warns
                };
                events.push((true, reason, message.clone()));
            }
        }
    }
    events
}
