//! Who has to be looked at again: watches fire names, controllers receive references.

use std::collections::HashMap;

use futures::channel::mpsc::{UnboundedReceiver, UnboundedSender, unbounded};
use futures::{Stream, StreamExt as _};
use kube::Resource;
use kube::runtime::reflector::ObjectRef;

type Named = (String, String);

/// The sending ends, one for each kind that has a controller.
///
/// Unbounded: an item is two short strings, and the controller's scheduler merges duplicates at once.
#[derive(Clone, Default)]
pub struct Triggers(HashMap<String, UnboundedSender<Named>>);

impl Triggers {
    /// Opens a kind. Its controller takes the stream.
    pub fn register<K>(&mut self) -> impl Stream<Item = ObjectRef<K>> + Send + 'static
    where
        K: Resource<DynamicType = ()> + 'static,
    {
        let (sender, receiver): (_, UnboundedReceiver<Named>) = unbounded();
        self.0.insert(K::kind(&()).into_owned(), sender);
        receiver.map(|(namespace, name)| ObjectRef::new(&name).within(&namespace))
    }

    /// Asks for one object to be looked at. A kind without a controller is ignored.
    pub fn fire(&self, kind: &str, namespace: &str, name: &str) {
        if let Some(sender) = self.0.get(kind) {
            // Fails only when the controller has ended, and then nobody is to be asked.
            let _ = sender.unbounded_send((namespace.to_owned(), name.to_owned()));
        }
    }

    /// Asks for the objects of a store that `select` accepts to be looked at.
    pub fn fire_all<K>(
        &self,
        store: &kube::runtime::reflector::Store<K>,
        select: impl Fn(&K) -> bool,
    ) where
        K: Resource<DynamicType = ()> + Clone + 'static,
    {
        for object in store.state_filter(|object| select(object)) {
            let meta = object.meta();
            if let (Some(namespace), Some(name)) = (&meta.namespace, &meta.name) {
                self.fire(&K::kind(&()), namespace, name);
            }
        }
    }
}

/// Not a kind: fired, with an empty name, when everything in a namespace has been listed, or our rights there changed.
pub const NAMESPACE_CHANGED: &str = "NamespaceChanged";

impl Triggers {
    /// Opens the stream of namespaces in which everything has to look again.
    pub fn register_namespaces(&mut self) -> impl Stream<Item = String> + Send + 'static {
        let (sender, receiver): (_, UnboundedReceiver<Named>) = unbounded();
        self.0.insert(NAMESPACE_CHANGED.into(), sender);
        receiver.map(|(namespace, _)| namespace)
    }
}
