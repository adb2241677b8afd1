//! The status of a service: pure.

use atelier_api::conditions::{
    AVAILABLE, READY, RECONCILING, REGION_MATCHES, SCALING_ACTIVE, STALLED, TRANSPORT_ENCRYPTED,
    reasons,
};
use atelier_api::gateway_policy::KeySlot;
use atelier_api::v1alpha1::{
    AuthMode, KeyStatus, KeysStatus, ServiceState, TlsMode, TlsStatus, TokenKeyStatus,
};
use atelier_api::{WebService, WebServiceStatus};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt as _;

use super::build::{self, GATEWAY, MODEL};
use super::expose::Exposure;
use super::keeping::Keeping;
use super::keys::{PublicKeys, fingerprint};
use super::scale::Scaling;
use super::scale::tell;
use super::telemetry;
use super::tokens::decide::Noted;
use super::transport::{Standing, Transport};
use super::{effective_mode, own_keys};
use crate::kit::Error;
use crate::kit::children::DeploymentView;
use crate::kit::conditions::{Conditions, kept, whole_second};
use crate::kit::contest::Contested;
use crate::kit::meta::Parent;
use crate::kit::pod::{PodView, Terminated, is_config_failure, is_image_failure};
use crate::workspace::gate::Shut;

use special::special;

/// Exit code of a gateway whose model does not listen on loopback only.
const EXIT_MODEL_NOT_ON_LOOPBACK: i32 = 86;

/// How far the making of a service is.
#[derive(Debug)]
pub enum Progress {
    /// All children are there.
    Made(Box<Known>),
    /// Something is in the way.
    Blocked(Error),
    /// Its workspace is missing.
    Shut(Shut),
}

/// What may be known of the keys, where there are any.
#[derive(Debug, Default)]
pub struct Known {
    /// The two keys.
    pub keys: Option<PublicKeys>,
    /// What became of the keys of its team's own, where it names some.
    pub own_keys: Option<own_keys::Standing>,
    /// The keys that sign tokens.
    pub tokens: Vec<Noted>,
    /// How connections are encrypted. Nothing while that is not known.
    pub tls: Option<Standing>,
    /// Where the workspace is.
    pub location: Option<String>,
    /// How far the way from outside is, where there is to be one.
    pub exposure: Option<Exposure>,
    /// How the replicas follow the load, where they are to.
    pub scaling: Option<Scaling>,
    /// Where records are exported. Nothing where that is not asked for.
    pub telemetry: Option<telemetry::Standing>,
    /// How far its archive is.
    pub archive: Option<Keeping>,
    /// How far the collecting of inputs and predictions is.
    pub data: Option<Keeping>,
}

/// What there is of a service.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// Its Deployment.
    pub deployment: Option<DeploymentView>,
    /// Its pods.
    pub pods: Vec<PodView>,
}

struct Verdict {
    state: ServiceState,
    reason: &'static str,
    message: String,
}

fn verdict(state: ServiceState, reason: &'static str, message: impl Into<String>) -> Verdict {
    Verdict {
        state,
        reason,
        message: message.into(),
    }
}

/// The status that tells how the service is.
///
/// `transport` is what its spec comes to.
pub fn status(
    service: &WebService,
    transport: Transport,
    progress: &Progress,
    seen: &Seen,
    contested: Option<&Contested>,
    now: Timestamp,
) -> WebServiceStatus {
    let before = service.status.clone().unwrap_or_default();
    let generation = service.metadata.generation;
    let parent = Parent::of(service, "");
    let hostname = service.spec.tls.hostname.as_deref();
    let origin = parent
        .as_ref()
        .map(|parent| build::origin(parent, transport, hostname));
    let uri = |path: &str| Some(format!("{}{path}", origin.as_deref()?));
    let view = seen.deployment.clone().unwrap_or_default();
    let settled = before.observed_generation == generation
        && matches!(
            before.state,
            Some(ServiceState::Healthy | ServiceState::Unhealthy)
        );
    let Verdict {
        state,
        reason,
        message,
    } = judge(service, progress, seen, settled);
    let ready = match progress {
        Progress::Made(_) => Some(state == ServiceState::Healthy),
        _ => Some(false),
    };
    let (keys, token_keys) = match progress {
        Progress::Made(known) => (
            known.keys.as_ref().map(keys_status),
            known.tokens.iter().map(token_key_status).collect(),
        ),
        Progress::Blocked(_) => (before.keys.clone(), before.token_keys.clone()),
        Progress::Shut(_) => (None, vec![]),
    };
    let tls = match progress {
        Progress::Made(known) => known.tls.clone(),
        Progress::Blocked(_) | Progress::Shut(_) => None,
    };
    let encrypted = match &tls {
        Some(standing) => (
            Some(standing.mode != TlsMode::Disabled),
            standing.reason,
            standing.message.as_str(),
        ),
        None => kept(&before.conditions, TRANSPORT_ENCRYPTED).unwrap_or((
            None,
            reasons::PROGRESSING,
            "the certificate was not looked at yet",
        )),
    };
    let transitioning =
        state == ServiceState::Transitioning && matches!(progress, Progress::Made(_));
    let stalled = state == ServiceState::Failed || !matches!(progress, Progress::Made(_));
    let available = view.available > 0;
    let answering = format!(
        "{} of {} replicas answer",
        view.available,
        wanted_replicas(service, &view)
    );
    let (autoscale, scales) = match progress {
        Progress::Made(known) => tell::standing(service, known.scaling.as_ref()),
        Progress::Blocked(_) => (before.autoscale, None),
        Progress::Shut(_) => (None, None),
    };
    let conditions = Conditions::new(&before.conditions, generation, now)
        .set(READY, ready, reason, &message)
        .set(
            AVAILABLE,
            Some(available),
            if available { reasons::READY } else { reason },
            &answering,
        )
        .set(TRANSPORT_ENCRYPTED, encrypted.0, encrypted.1, encrypted.2)
        .told(SCALING_ACTIVE, scales.as_ref());
    let conditions = special(conditions, service, progress)
        .set_while(transitioning, RECONCILING, reason, &message)
        .set_while(stalled, STALLED, reason, &message)
        .contested(contested)
        .build();
    WebServiceStatus {
        observed_generation: generation,
        state: Some(state),
        scoring_uri: uri(&service.spec.score_path),
        swagger_uri: uri("/swagger.json"),
        tls: tls.as_ref().map(tls_status).or(before.tls),
        auth: Some(effective_mode(service)),
        keys,
        token_keys,
        replicas: view.replicas,
        ready_replicas: view.ready,
        updated_replicas: view.updated,
        autoscale,
        selector: parent.as_ref().map(selector),
        conditions,
    }
}

fn tls_status(standing: &Standing) -> TlsStatus {
    TlsStatus {
        mode: standing.mode,
        expires_at: standing.expires.map(|at| Time(whole_second(at))),
        ca_bundle: standing.bundle.clone(),
    }
}

fn selector(parent: &Parent) -> String {
    let pairs: Vec<_> = parent
        .selector()
        .iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    pairs.join(",")
}

fn keys_status(public: &PublicKeys) -> KeysStatus {
    let one = |slot: &KeySlot, generation, created: Timestamp| KeyStatus {
        generation,
        created_at: Time(whole_second(created)),
        fingerprint: fingerprint(&slot.sha256),
    };
    KeysStatus {
        primary: one(
            &public.slots.primary,
            public.generations.primary,
            public.primary_created,
        ),
        secondary: one(
            &public.slots.secondary,
            public.generations.secondary,
            public.secondary_created,
        ),
    }
}

fn token_key_status(key: &Noted) -> TokenKeyStatus {
    TokenKeyStatus {
        id: key.id.clone(),
        signs_from: Time(whole_second(key.signs_from)),
        accepted_until: key.accepted_until.map(|until| Time(whole_second(until))),
    }
}

/// How many replicas there are to be, as far as is known.
fn wanted_replicas(service: &WebService, view: &DeploymentView) -> i32 {
    match service.spec.autoscale {
        Some(_) => view.wanted,
        None => service.spec.replicas,
    }
}

/// `settled` says that the version asked for has answered before: what is missing now was lost, not awaited.
fn judge(service: &WebService, progress: &Progress, seen: &Seen, settled: bool) -> Verdict {
    match progress {
        Progress::Shut(shut) => {
            return verdict(ServiceState::Failed, shut.reason, shut.message.clone());
        }
        Progress::Blocked(error) => {
            return verdict(ServiceState::Failed, error.reason(), error.to_string());
        }
        Progress::Made(known) => {
            if let Some(standing) = known.tls.as_ref().filter(|standing| standing.failed) {
                let message = standing.message.clone();
                return verdict(ServiceState::Failed, standing.reason, message);
            }
            if let Some(standing) = known.own_keys.as_ref().filter(|own| own.failed) {
                let message = standing.message.clone();
                return verdict(ServiceState::Failed, standing.reason, message);
            }
        }
    }
    // Another number of replicas is another generation of the Deployment, and no other version of the service: one that
    // follows its load does not stop being ready for a moment each time.
    let scaled = settled && service.spec.autoscale.is_some();
    let Some(view) = seen
        .deployment
        .as_ref()
        .filter(|view| scaled || view.observed_generation >= view.generation)
    else {
        return verdict(
            ServiceState::Transitioning,
            reasons::ROLLING_OUT,
            "the replicas are being made",
        );
    };
    if let Some(found) = seen
        .pods
        .iter()
        .filter(|pod| !pod.ready)
        .find_map(|pod| trouble(pod, service))
    {
        return found;
    }
    if let Some(why) = &view.refused {
        return verdict(
            ServiceState::Failed,
            reasons::CHILD_REFUSED,
            format!("the API server takes no pod of this version: {why}"),
        );
    }
    let wanted = wanted_replicas(service, view);
    // More on their way, or fewer, are no rollout: those that there are to be at least answer, all of this version.
    let follows = service.spec.autoscale.is_some_and(|scale| {
        view.updated == view.replicas && view.available >= scale.min.min(wanted)
    });
    let complete =
        follows || view.updated == wanted && view.replicas == wanted && view.available == wanted;
    match complete {
        true if wanted == 0 => verdict(
            ServiceState::Healthy,
            reasons::SCALED_TO_ZERO,
            "scaled to 0 replicas; nothing answers",
        ),
        true => verdict(
            ServiceState::Healthy,
            reasons::HEALTHY,
            format!("{} of {wanted} replicas answer", view.available.min(wanted)),
        ),
        false if settled && view.updated == wanted && view.replicas == wanted => verdict(
            ServiceState::Unhealthy,
            reasons::NOT_ANSWERING,
            format!(
                "{} of {wanted} replicas answer; look at: kubectl logs -l {}={} -c {MODEL}",
                view.available,
                atelier_api::labels::INSTANCE,
                service.name_any()
            ),
        ),
        false => verdict(
            ServiceState::Transitioning,
            reasons::ROLLING_OUT,
            format!(
                "{} of {wanted} replicas are of this version, {} answer",
                view.updated, view.available
            ),
        ),
    }
}

/// What keeps a pod from answering, if it will not pass by itself.
fn trouble(pod: &PodView, service: &WebService) -> Option<Verdict> {
    let gateway = pod.container(GATEWAY);
    let exposed = gateway.and_then(|c| {
        [c.terminated.as_ref(), c.last_terminated.as_ref()]
            .into_iter()
            .flatten()
            .find(exposed)
    });
    if let Some(end) = exposed {
        return Some(verdict(
            ServiceState::Unhealthy,
            reasons::MODEL_NOT_ON_LOOPBACK,
            end.message.trim(),
        ));
    }
    for container in &pod.containers {
        match &container.waiting {
            Some((reason, message)) if is_image_failure(reason) => {
                let image = if container.name == MODEL {
                    service.spec.image.as_str()
                } else {
                    "the gateway's image"
                };
                let text = format!("{image} cannot be pulled ({reason}): {message}");
                return Some(verdict(
                    ServiceState::Failed,
                    reasons::IMAGE_PULL_FAILED,
                    text,
                ));
            }
            Some((reason, message)) if is_config_failure(reason) => {
                let text = format!(
                    "the {} container cannot be started ({reason}): {message}",
                    container.name
                );
                return Some(verdict(ServiceState::Failed, reasons::CRASH_LOOP, text));
            }
            Some((reason, _)) if reason == "CrashLoopBackOff" => {
                let end = container.last_terminated.as_ref();
                let code = end
                    .map(|end| format!(", last with exit code {} ({})", end.exit_code, end.reason));
                let text = format!(
                    "the {} container ends again and again{}",
                    container.name,
                    code.unwrap_or_default()
                );
                return Some(verdict(ServiceState::Unhealthy, reasons::CRASH_LOOP, text));
            }
            _ => {}
        }
    }
    let why = pod.unschedulable.as_ref()?;
    Some(verdict(
        ServiceState::Unschedulable,
        reasons::UNSCHEDULABLE,
        format!("a replica fits on no node: {why}"),
    ))
}

fn exposed(end: &&Terminated) -> bool {
    end.exit_code == EXIT_MODEL_NOT_ON_LOOPBACK
}

/// The events that tell of a change: whether it is a warning, reason, and sentence.
pub fn transitions(
    before: Option<&WebServiceStatus>,
    after: &WebServiceStatus,
) -> Vec<(bool, &'static str, String)> {
    let mut events = vec![];
    if after.auth == Some(AuthMode::None) && before.and_then(|b| b.auth) != Some(AuthMode::None) {
        events.push((
            true,
            "AuthNone",
            "neither key nor token is asked for: anybody who reaches the service may call it"
                .to_owned(),
        ));
    }
    let mode = |status: &WebServiceStatus| status.tls.as_ref().map(|tls| tls.mode);
    let in_the_clear = Some(TlsMode::Disabled);
    if mode(after) == in_the_clear && before.and_then(mode) != in_the_clear {
        let told = after.conditions.iter();
        let told = told.filter(|told| told.type_ == TRANSPORT_ENCRYPTED);
        let told = told.map(|told| told.message.clone()).next();
        events.push((true, "TransportNotEncrypted", told.unwrap_or_default()));
    }
    let crosses = |status: &WebServiceStatus| {
        let mut told = status.conditions.iter();
        let told = told.find(|told| told.type_ == REGION_MATCHES && told.status == "False");
        told.map(|told| told.message.clone())
    };
    if let Some(message) = crosses(after)
        && before.and_then(crosses).is_none()
    {
        events.push((true, "RegionsDiffer", message));
    }
    events.extend(tell::transitions(before, after));
    let state = before.and_then(|b| b.state);
    let message = || {
        after
            .conditions
            .iter()
            .find(|c| c.type_ == READY)
            .map(|c| c.message.clone())
            .unwrap_or_default()
    };
    if state != after.state {
        match after.state {
            Some(ServiceState::Healthy) => events.push((false, "ServiceHealthy", message())),
            Some(ServiceState::Failed | ServiceState::Unhealthy) => {
                events.push((true, "ServiceNotHealthy", message()))
            }
            _ => {}
        }
    }
    events
}

mod special;
#[cfg(test)]
mod tests;
