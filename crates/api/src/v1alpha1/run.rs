//! Run: one execution of a command on a compute target.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::EnvVar;

/// One execution of a command on a compute target. It waits in the target's queue, first come, first served.
#[derive(CustomResource, Serialize, Deserialize, Clone, Debug, PartialEq, KubeSchema)]
#[kube(
    group = "atelier.dev",
    version = "v1alpha1",
    kind = "Run",
    namespaced,
    status = "RunStatus",
    shortname = "atrun",
    category = "atelier",
    derive = "PartialEq",
    printcolumn(name = "Experiment", type_ = "string", json_path = ".spec.experiment"),
    printcolumn(name = "Target", type_ = "string", json_path = ".spec.computeTarget"),
    printcolumn(name = "State", type_ = "string", json_path = ".status.state"),
    printcolumn(name = "Position", type_ = "integer", json_path = ".status.position"),
    printcolumn(name = "Duration", type_ = "integer", json_path = ".status.durationSeconds"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(name = "Node", type_ = "string", json_path = ".status.node", priority = 1),
    printcolumn(name = "Created-by", type_ = "string", json_path = ".spec.createdBy", priority = 1),
    printcolumn(name = "Exit", type_ = "integer", json_path = ".status.exitCode", priority = 1),
    validation = Rule::new("self.metadata.name.size() <= 50 && self.metadata.name.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')")
        .message("a run's name has at most 50 characters and holds only a-z, 0-9 and -")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("self.experiment == oldSelf.experiment && self.computeTarget == oldSelf.computeTarget && self.image == oldSelf.image && self.command == oldSelf.command && self.gracePeriodSeconds == oldSelf.gracePeriodSeconds").message("a run cannot be changed, only canceled (cancel: true); make another run"))]
#[x_kube(validation = Rule::new("has(self.args) == has(oldSelf.args) && (!has(self.args) || self.args == oldSelf.args)").message("a run cannot be changed, only canceled (cancel: true); make another run"))]
#[x_kube(validation = Rule::new("has(self.env) == has(oldSelf.env) && (!has(self.env) || self.env == oldSelf.env)").message("a run cannot be changed, only canceled (cancel: true); make another run"))]
#[x_kube(validation = Rule::new("has(self.maxDurationSeconds) == has(oldSelf.maxDurationSeconds) && (!has(self.maxDurationSeconds) || self.maxDurationSeconds == oldSelf.maxDurationSeconds)").message("a run cannot be changed, only canceled (cancel: true); make another run"))]
#[x_kube(validation = Rule::new("has(self.createdBy) == has(oldSelf.createdBy) && (!has(self.createdBy) || self.createdBy == oldSelf.createdBy)").message("createdBy cannot be changed; leave it out"))]
#[x_kube(validation = Rule::new("!oldSelf.cancel || self.cancel").message("a cancellation cannot be taken back; make another run"))]
pub struct RunSpec {
    /// What the run belongs to. Passed to the command as `ATELIER_EXPERIMENT`.
    #[schemars(
        length(min = 1, max = 63),
        regex(pattern = r"^[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$")
    )]
    pub experiment: String,
    /// Name of the ComputeTarget, in this namespace. It may come later than the run.
    #[schemars(length(min = 1, max = 40))]
    pub compute_target: String,
    /// Image to run. Its user must not be root.
    #[schemars(length(min = 1, max = 512))]
    pub image: String,
    /// Program and arguments. `$(NAME)` is replaced by an environment variable's value.
    #[schemars(length(min = 1, max = 64), inner(length(max = 4096)))]
    pub command: Vec<String>,
    /// More arguments.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128), inner(length(max = 4096)))]
    pub args: Option<Vec<String>>,
    /// Environment variables for the command.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub env: Option<Vec<EnvVar>>,
    /// Seconds after which the command is ended and the run has failed; absent: no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 31_536_000))]
    pub max_duration_seconds: Option<i64>,
    /// Seconds the command gets to end after it was asked to.
    #[serde(default = "grace_seconds")]
    #[schemars(range(min = 0, max = 3600))]
    pub grace_period_seconds: i64,
    /// Set to true to end the run. It cannot be taken back.
    #[serde(default)]
    pub cancel: bool,
    /// Who created the run: the user whom the API server authenticated. Filled in at creation; it cannot be another, and
    /// may be left out of manifests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub created_by: Option<String>,
}

fn grace_seconds() -> i64 {
    30
}

/// What is known of a run.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RunStatus {
    /// The generation of the spec that this status describes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Where the run is in its life.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<RunState>,
    /// Place in the queue, from 1, for the first 20; refreshed every 10 seconds at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position: Option<i32>,
    /// A sentence: what the run waits for, or how it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub message: Option<String>,
    /// When the command of the last attempt began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_time: Option<Time>,
    /// When the run ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end_time: Option<Time>,
    /// Seconds from `startTime` to `endTime`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_seconds: Option<i64>,
    /// The command's exit code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    /// How often a pod was made for the run. A run whose pod was lost is restarted.
    #[serde(default)]
    pub attempts: i32,
    /// The pod of the last attempt: `kubectl logs` shows its output.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub pod: Option<String>,
    /// The machine of the last attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub node: Option<String>,
    /// Who asked for the run's end by the action `cancel`, which leaves the spec alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cancel_requested: Option<CancelRequest>,
    /// Why the run failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<RunError>,
    /// `Ready` from acceptance on; `Succeeded` carries the outcome.
    #[serde(default)]
    #[schemars(schema_with = "crate::schema::conditions")]
    pub conditions: Vec<Condition>,
}

impl Run {
    /// Whether somebody asked for its end, in the spec or by the action `cancel`.
    pub fn is_to_end(&self) -> bool {
        let status = self.status.as_ref();
        self.spec.cancel || status.is_some_and(|status| status.cancel_requested.is_some())
    }
}

/// Who asked for the end of a run, and when.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CancelRequest {
    /// The user's name.
    #[schemars(length(max = 1024))]
    pub by: String,
    /// When the request came.
    pub at: Time,
}

/// Where a run is in its life.
///
/// `NotStarted`: not in a queue yet; the message says why. `Queued`: waits for a node. `Provisioning`: its node is
/// being made. `Preparing`: its image is being fetched. `Running`: its command runs. `CancelRequested`: its command
/// was asked to end. `Completed`, `Failed` and `Canceled` are final.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
#[allow(missing_docs)]
pub enum RunState {
    NotStarted,
    Queued,
    Provisioning,
    Preparing,
    Running,
    CancelRequested,
    Completed,
    Failed,
    Canceled,
}

impl RunState {
    /// Whether nothing follows this state.
    pub fn is_terminal(self) -> bool {
        matches!(self, Self::Completed | Self::Failed | Self::Canceled)
    }
}

/// Why a run failed.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RunError {
    /// A stable code: `NonZeroExit`, `OutOfMemory`, `Signaled`, `MaxDurationExceeded`, `StartFailed`.
    #[schemars(length(max = 64))]
    pub code: String,
    /// What happened.
    #[schemars(length(max = 1024))]
    pub message: String,
}
