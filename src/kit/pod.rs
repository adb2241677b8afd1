//! What of a pod the controllers look at, in a few bytes.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ContainerStatus, Pod};

/// What of a pod the controllers look at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PodView {
    /// Whether a machine was found.
    pub node: Option<String>,
    /// `Pending`, `Running`, `Succeeded`, `Failed`, `Unknown`.
    pub phase: String,
    /// Reason of the phase, for example `Evicted` or `DeadlineExceeded`.
    pub reason: Option<String>,
    /// Why it is on no machine yet.
    pub unschedulable: Option<String>,
    /// Taken away by the cluster (preempted, evicted, node lost) rather than ended by itself.
    pub disrupted: bool,
    /// Whether the pod passes its readiness checks.
    pub ready: bool,
    /// When deletion was asked for.
    pub deletion_requested: Option<Timestamp>,
    /// When the pod was made.
    pub created: Option<Timestamp>,
    /// The containers, native sidecars included.
    pub containers: Vec<ContainerView>,
    /// Our labels that the controllers decide by.
    pub slot: Option<u32>,
    /// Attempt of a run.
    pub attempt: Option<i32>,
    /// The compute target whose slot the pod holds.
    pub compute_target: Option<String>,
    /// Since when the slot of a placeholder has been idle.
    pub idle_since: Option<Timestamp>,
    /// `app.kubernetes.io/component`.
    pub component: Option<String>,
    /// `app.kubernetes.io/instance`.
    pub instance: Option<String>,
}

/// What of a container the controllers look at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ContainerView {
    /// Its name.
    pub name: String,
    /// Why it does not run yet: reason and message.
    pub waiting: Option<(String, String)>,
    /// Since when it runs.
    pub running_since: Option<Timestamp>,
    /// How it ended.
    pub terminated: Option<Terminated>,
    /// How it ended the time before.
    pub last_terminated: Option<Terminated>,
    /// How often it was started again.
    pub restarts: i32,
    /// Whether it passes its readiness check.
    pub ready: bool,
}

/// How a container ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Terminated {
    /// Exit code; 128 + n when a signal n ended it.
    pub exit_code: i32,
    /// For example `Completed`, `Error`, `OOMKilled`, `StartError`.
    pub reason: String,
    /// The container's own last words, or the runtime's.
    pub message: String,
    /// When it began.
    pub started: Option<Timestamp>,
    /// When it ended.
    pub finished: Option<Timestamp>,
}

impl PodView {
    /// Reads a pod.
    pub fn of(pod: &Pod) -> Self {
        let labels = pod.metadata.labels.as_ref();
        let label = |key: &str| labels.and_then(|l| l.get(key)).cloned();
        let annotations = pod.metadata.annotations.as_ref();
        let status = pod.status.as_ref();
        let condition = |type_: &str| {
            let all = status
                .and_then(|s| s.conditions.as_ref())
                .into_iter()
                .flatten();
            all.into_iter().find(|c| c.type_ == type_)
        };
        let containers = status.map(|s| {
            let init = s.init_container_statuses.iter().flatten();
            init.chain(s.container_statuses.iter().flatten())
                .map(container)
                .collect()
        });
        let deletion = pod.metadata.deletion_timestamp.as_ref();
        let grace = deletion_grace(pod);
        Self {
            node: pod.spec.as_ref().and_then(|s| s.node_name.clone()),
            phase: status
                .and_then(|s| s.phase.clone())
                .unwrap_or_else(|| "Pending".into()),
            reason: status.and_then(|s| s.reason.clone()),
            unschedulable: condition("PodScheduled")
                .filter(|c| c.status == "False" && c.reason.as_deref() == Some("Unschedulable"))
                .map(|c| c.message.clone().unwrap_or_default()),
            disrupted: condition("DisruptionTarget").is_some_and(|c| c.status == "True"),
            ready: condition("Ready").is_some_and(|c| c.status == "True"),
            deletion_requested: deletion.map(|t| t.0 - jiff::SignedDuration::from_secs(grace)),
            created: pod.metadata.creation_timestamp.as_ref().map(|t| t.0),
            containers: containers.unwrap_or_default(),
            slot: label(atelier_api::labels::SLOT).and_then(|v| v.parse().ok()),
            attempt: label(atelier_api::labels::ATTEMPT).and_then(|v| v.parse().ok()),
            compute_target: label(atelier_api::labels::COMPUTE_TARGET),
            idle_since: annotations
                .and_then(|a| a.get(atelier_api::labels::IDLE_SINCE))
                .and_then(|v| v.parse().ok()),
            component: label(atelier_api::labels::COMPONENT),
            instance: label(atelier_api::labels::INSTANCE),
        }
    }

    /// Whether all containers have ended for good.
    pub fn is_finished(&self) -> bool {
        matches!(self.phase.as_str(), "Succeeded" | "Failed")
    }

    /// The container of this name.
    pub fn container(&self, name: &str) -> Option<&ContainerView> {
        self.containers.iter().find(|c| c.name == name)
    }

    /// Why the pod cannot start, if it cannot: reason and message.
    pub fn cannot_start(&self) -> Option<(&str, &str)> {
        let waiting = self.containers.iter().filter_map(|c| c.waiting.as_ref());
        waiting
            .filter(|(reason, _)| is_image_failure(reason) || is_config_failure(reason))
            .map(|(reason, message)| (reason.as_str(), message.as_str()))
            .next()
    }
}

/// The kubelet gives a pod this long at least, whatever its grace period.
const KUBELET_FLOOR_SECONDS: i64 = 2;

/// Seconds between the wish to delete a pod and its deletion timestamp. When the kubelet removes a pod that has ended
/// it sets the grace period to 0 and the timestamp to now: the wish was earlier by what the pod had asked for.
fn deletion_grace(pod: &Pod) -> i64 {
    let own = pod
        .spec
        .as_ref()
        .and_then(|s| s.termination_grace_period_seconds)
        .unwrap_or_default();
    match pod.metadata.deletion_grace_period_seconds {
        None | Some(0) => own.max(KUBELET_FLOOR_SECONDS),
        Some(seconds) => seconds,
    }
}

/// Reasons of the kubelet that mean an image cannot be had.
pub fn is_image_failure(reason: &str) -> bool {
    matches!(
        reason,
        "ErrImagePull"
            | "ImagePullBackOff"
            | "InvalidImageName"
            | "ErrImageNeverPull"
            | "ImageInspectError"
            | "RegistryUnavailable"
    )
}

/// Reasons of the kubelet that mean a container cannot be made from its image.
pub fn is_config_failure(reason: &str) -> bool {
    matches!(
        reason,
        "CreateContainerConfigError"
            | "CreateContainerError"
            | "RunContainerError"
            | "PreCreateHookError"
    )
}

fn container(status: &ContainerStatus) -> ContainerView {
    let state = status.state.as_ref();
    let ended = |state: Option<&k8s_openapi::api::core::v1::ContainerState>| {
        state
            .and_then(|s| s.terminated.as_ref())
            .map(|t| Terminated {
                exit_code: t.exit_code,
                reason: t.reason.clone().unwrap_or_default(),
                message: t.message.clone().unwrap_or_default(),
                started: t.started_at.as_ref().map(|t| t.0),
                finished: t.finished_at.as_ref().map(|t| t.0),
            })
    };
    ContainerView {
        name: status.name.clone(),
        waiting: state.and_then(|s| s.waiting.as_ref()).map(|w| {
            (
                w.reason.clone().unwrap_or_default(),
                w.message.clone().unwrap_or_default(),
            )
        }),
        running_since: state
            .and_then(|s| s.running.as_ref())
            .and_then(|r| r.started_at.as_ref())
            .map(|t| t.0),
        terminated: ended(state),
        last_terminated: ended(status.last_state.as_ref()),
        restarts: status.restart_count,
        ready: status.ready,
    }
}
