//! Makes a plan's disturbance out of rules of the proxy that stands between the operator and the API server.

mod armed;
mod rules;

use std::path::PathBuf;
use std::sync::Arc;

use atelier_testkit::apiproxy::{Entry, Mark, Proxy};
use serde_json::Value;

use crate::plan::{Event, Plan};
use crate::schedule::Moments;
use crate::trail::{Request, effective_writes};
use crate::{Lab, Operator};
pub use armed::Armed;
use atelier_testkit::cluster::SYSTEM;

/// What the names of the Secrets begin with that hold the workspaces' keys.
pub const RINGS: &str = "atelier-storage-rings-";
/// The Secret with the key that wraps them.
pub const KEK: &str = "atelier-storage-key";
/// The Secret with the access key of the service's own storage.
pub const OWN_STORAGE: &str = "atelier-service-storage";
/// The ring of the service's own storage: an entry of one of the Secrets of rings.
pub const OWN_RING: &str = "service";
/// A location where only the workspace of one scenario is.
pub const FAR: &str = "far";
/// The ServiceAccount of that location.
pub const FAR_IDENTITY: &str = "aml-far";

/// Stands between the operator and the API server.
pub struct Disturber {
    proxy: Proxy,
    /// How the operator gets here.
    pub kubeconfig: PathBuf,
}

impl Disturber {
    /// Lets everything through.
    pub async fn start(lab: &Lab) -> anyhow::Result<Self> {
        let proxy = Proxy::start(&lab.cluster.kubeconfig).await;
        let kubeconfig = lab.folder.join("proxy.kubeconfig");
        proxy.write_kubeconfig(&lab.token, &kubeconfig);
        Ok(Self { proxy, kubeconfig })
    }

    /// Whom a plan kills, and starts again.
    pub fn aim_at(&self, operator: &Arc<Operator>) {
        let operator = operator.clone();
        self.proxy.on_kill(Box::new(move || {
            if let Err(error) = operator.restart() {
                eprintln!("the operator does not start again: {error:#}");
            }
        }));
    }

    /// This moment.
    pub fn now(&self) -> Mark {
        self.proxy.trail().mark()
    }

    /// What the operator has asked since a moment, in one namespace.
    pub fn trail(&self, namespace: &str, from: Mark) -> Vec<Request> {
        let entries = self
            .proxy
            .trail()
            .entries_since(from, |entry| is_of(entry, namespace));
        entries
            .iter()
            .map(|entry| Request {
                verb: entry.verb.to_string(),
                resource: match entry.subresource.as_str() {
                    "" => entry.resource.clone(),
                    sub => format!("{}/{sub}", entry.resource),
                },
                name: named(entry),
                uid: entry.preconditions.uid.clone(),
                version: entry.preconditions.resource_version.clone(),
                sent: entry.body.clone().unwrap_or(Value::Null),
                status: entry.upstream_status,
                refusal: refusal(entry),
                fault: entry.fault(),
                effective: entry.effective,
            })
            .collect()
    }

    /// Where a play in a namespace could have been disturbed.
    pub fn moments(&self, namespace: &str, from: Mark) -> Moments {
        let about = |resource: &str, ns: &str, name: &str| match resource {
            "namespaces" => name == namespace,
            _ => ns == namespace,
        };
        let frames = self.proxy.trail().frames_since(from, |frame| {
            frame.event.is_change() && about(&frame.resource, &frame.namespace, &frame.name)
        });
        let events = frames.iter().map(|frame| Event {
            resource: frame.resource.clone(),
            kind: format!("{:?}", frame.event).to_lowercase(),
        });
        Moments {
            events: events.collect(),
            writes: effective_writes(&self.trail(namespace, from)),
        }
    }

    /// Puts a plan into force, until what is returned is dropped.
    pub fn arm<'a>(
        &'a self,
        plan: &Plan,
        namespace: &str,
        operator: &Arc<Operator>,
    ) -> anyhow::Result<Armed<'a>> {
        self.proxy.trail().clear();
        Armed::new(self, plan, namespace, operator)
    }
}

/// Whether a request is about a play in a namespace: there, or about what stands in the operator's own namespace for
/// its workspace. That of others is not touched meanwhile.
pub fn is_of(entry: &Entry, namespace: &str) -> bool {
    entry.namespace == namespace
        || entry.namespace == SYSTEM && place_of(&entry.resource, &entry.name).is_some()
}

/// The operator's own namespace, if an object of this name is one that stands there for a workspace, or for a storage.
pub fn place_of(resource: &str, name: &str) -> Option<&'static str> {
    let is = match resource {
        "secrets" => is_kept(name),
        "serviceaccounts" => name == FAR_IDENTITY,
        _ => false,
    };
    is.then_some(SYSTEM)
}

/// Whether a Secret of the operator's own namespace, of this name, is kept for a storage.
pub fn is_kept(name: &str) -> bool {
    name.starts_with(RINGS) || [KEK, OWN_STORAGE].contains(&name)
}

/// Its name; which of the Secrets of keys it is depends on the namespace's name, so all have one.
fn named(entry: &Entry) -> String {
    match entry.namespace == SYSTEM && entry.name.starts_with(RINGS) {
        true => format!("{RINGS}*"),
        false => entry.name.clone(),
    }
}

fn refusal(entry: &Entry) -> Option<String> {
    let refused = entry.upstream_status.is_some_and(|status| status >= 400);
    let message = entry.response.as_ref()?.pointer("/message")?.as_str()?;
    refused.then(|| message.to_owned())
}
