//! Kubernetes Events: on transitions only, through one recorder.

use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use kube::{Client, Resource};

use super::conditions::shortened;

/// Publishes events. A failure to publish never fails a reconcile.
#[derive(Clone)]
pub struct Events(Recorder);

impl Events {
    /// One recorder for the whole process: it merges repetitions.
    pub fn new(client: Client, instance: String) -> Self {
        Self(Recorder::new(
            client,
            Reporter {
                controller: "atelier".into(),
                instance: Some(instance),
            },
        ))
    }

    /// Something that people want to know.
    pub async fn normal<K: Resource<DynamicType = ()>>(
        &self,
        about: &K,
        action: &str,
        reason: &str,
        note: &str,
    ) {
        self.publish(about, EventType::Normal, action, reason, note)
            .await;
    }

    /// Something that people should look at.
    pub async fn warning<K: Resource<DynamicType = ()>>(
        &self,
        about: &K,
        action: &str,
        reason: &str,
        note: &str,
    ) {
        self.publish(about, EventType::Warning, action, reason, note)
            .await;
    }

    async fn publish<K: Resource<DynamicType = ()>>(
        &self,
        about: &K,
        type_: EventType,
        action: &str,
        reason: &str,
        note: &str,
    ) {
        let event = Event {
            type_,
            reason: reason.into(),
            note: Some(shortened(note)),
            action: action.into(),
            secondary: None,
        };
        if let Err(error) = self.0.publish(&event, &about.object_ref(&())).await {
            tracing::debug!(%error, reason, "event not published");
        }
    }
}
