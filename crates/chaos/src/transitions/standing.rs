//! Whether an object has come to rest, and how it is.

use std::time::{Duration, Instant};

use kube::api::DynamicObject;
use kube::{Api, ResourceExt as _};
use serde_json::Value;

/// How long an object may be under way without anything happening to it, before that counts as how it is.
const STUCK: Duration = Duration::from_secs(4);
/// How long an object that is as it should be may not change.
const QUIET: Duration = Duration::from_millis(250);
/// When to give up.
const PATIENCE: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(50);

/// How an object is, once it has come to rest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// As its `spec` says.
    Good,
    /// Not as its `spec` says, and its status says why.
    Bad(String),
    /// Its status says nothing of this `spec`, or nothing that helps.
    Silent(String),
}

impl Standing {
    /// The same, said of another object.
    pub fn of(self, kind: &str, name: &str) -> Self {
        match self {
            Self::Good => Self::Good,
            Self::Bad(why) => Self::Bad(format!("{kind} {name}: {why}")),
            Self::Silent(why) => Self::Silent(format!("{kind} {name}: {why}")),
        }
    }
}

/// Waits until an object has come to rest.
pub async fn standing(api: &Api<DynamicObject>, name: &str) -> anyhow::Result<Standing> {
    let begun = Instant::now();
    let mut last = (String::new(), Instant::now());
    loop {
        let object = api.get(name).await?;
        let version = object.resource_version().unwrap_or_default();
        if version != last.0 {
            last = (version, Instant::now());
        }
        let quiet = last.1.elapsed();
        let now = judge(&object);
        match now {
            Some(stands) if quiet > QUIET => return Ok(stands),
            // What was of an object of the same name before has to be collected first, and the collector may take its time.
            None if quiet > STUCK && is_current(&object) => return Ok(stuck(&object)),
            None if begun.elapsed() > PATIENCE && !is_current(&object) => {
                return Ok(stuck(&object));
            }
            now if begun.elapsed() > PATIENCE => {
                return Ok(Standing::Silent(format!(
                    "it does not come to rest: {now:?}"
                )));
            }
            _ => tokio::time::sleep(POLL).await,
        }
    }
}

fn condition<'a>(object: &'a DynamicObject, type_: &str) -> Option<&'a Value> {
    let conditions = object.data["status"]["conditions"].as_array()?;
    conditions.iter().find(|one| one["type"] == type_)
}

fn said(condition: &Value) -> String {
    let part = |name: &str| condition[name].as_str().unwrap_or_default().to_owned();
    format!("{}: {}", part("reason"), part("message"))
}

fn is_current(object: &DynamicObject) -> bool {
    object.data["status"]["observedGeneration"].as_i64() == object.metadata.generation
}

/// How an object is; nothing, while it is under way.
fn judge(object: &DynamicObject) -> Option<Standing> {
    if !is_current(object) {
        return None;
    }
    let ready = condition(object, "Ready")?;
    let status = &object.data["status"];
    let holds = ready["status"] == "True";
    let bad = || Some(Standing::Bad(said(ready)));
    match object.types.as_ref().map(|types| types.kind.as_str()) {
        Some("ComputeTarget") if holds => match ready["reason"].as_str() {
            Some("Steady") => Some(Standing::Good),
            Some("NodesUnusable") => bad(),
            _ => None,
        },
        Some("Run") if holds => run(status),
        Some("WebService") if !holds => match status["state"].as_str() {
            Some("Failed" | "Unschedulable" | "Unhealthy") => bad(),
            _ => None,
        },
        _ if holds => Some(Standing::Good),
        _ => condition(object, "Stalled")
            .and_then(|_| bad())
            .or_else(|| {
                // A run says that it is not accepted by `Ready` alone.
                (status["state"] == "NotStarted").then(bad).flatten()
            }),
    }
}

fn run(status: &Value) -> Option<Standing> {
    let message = status["message"].as_str().unwrap_or_default();
    let bad = || Some(Standing::Bad(message.to_owned()));
    match status["state"].as_str()? {
        "Running" | "Completed" | "Canceled" => Some(Standing::Good),
        "Failed" => bad(),
        // What kubelets say of an image stands behind a colon.
        "Preparing" if message.contains(": ") => bad(),
        "Queued" if message.contains("cannot be made") => bad(),
        // Nobody can have a node where none may be.
        "Queued" if message.contains("paused") => Some(Standing::Good),
        _ => None,
    }
}

/// Nothing happens any more, though the object seems to be under way.
fn stuck(object: &DynamicObject) -> Standing {
    if !is_current(object) {
        let seen = &object.data["status"]["observedGeneration"];
        return Standing::Silent(format!(
            "generation {:?} is not looked at, only {seen}",
            object.metadata.generation.unwrap_or_default()
        ));
    }
    let message = object.data["status"]["message"].as_str();
    match (condition(object, "Ready"), message) {
        // That is no reason: nobody has looked.
        (_, Some(message)) if message.contains("has not looked") => {
            Standing::Silent(message.to_owned())
        }
        (Some(ready), None) => Standing::Bad(format!("stays: {}", said(ready))),
        (Some(_), Some(message)) => Standing::Bad(format!("stays: {message}")),
        (None, _) => Standing::Silent("no Ready condition".into()),
    }
}
