//! Kubernetes Events: on transitions only, through one recorder.

use std::sync::Arc;

use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use kube::{Client, Resource};

use super::children::Children;
use super::conditions::shortened;

/// Publishes events. A failure to publish never fails a reconcile.
#[derive(Clone)]
pub struct Events {
    recorder: Recorder,
    children: Arc<Children>,
}

impl Events {
    /// One recorder for the whole process: it merges repetitions.
    pub fn new(client: Client, instance: String, children: Arc<Children>) -> Self {
        let reporter = Reporter {
            controller: "atelier".into(),
            instance: Some(instance),
        };
        Self {
            recorder: Recorder::new(client, reporter),
            children,
        }
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
        // Where we see nothing we have no rights either. The status tells the same.
        let namespace = about.meta().namespace.as_deref().unwrap_or_default();
        if !self.children.is_complete(namespace) {
            return;
        }
        let event = Event {
            type_,
            reason: reason.into(),
            note: Some(shortened(note)),
            action: action.into(),
            secondary: None,
        };
        if let Err(error) = self.recorder.publish(&event, &about.object_ref(&())).await {
            tracing::debug!(%error, reason, "event not published");
        }
    }
}
