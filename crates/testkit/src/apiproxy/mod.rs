//! A proxy in front of a real API server that disturbs what goes through it, and keeps a trail of it.
//!
//! A client gets a kubeconfig to the proxy with its own token, which the proxy passes on: to the API server the client
//! is who it is. Rules say which requests and watch events are disturbed, and how; without any, all goes through.
//! kube's watcher lists in pages and then watches from the list's version, which is what `ReplayOldList` relies on; a
//! list by way of a watch (`sendInitialEvents`) is a watch to the proxy.

mod answers;
mod effect;
mod entry;
mod forward;
mod frames;
mod gate;
mod handle;
mod killer;
mod lists;
mod proxy;
mod request;
mod rule;
mod rules;
mod server;
mod tls;
mod trail;
mod upstream;
mod watch;

pub use entry::{Entry, Fate, FrameEntry, Preconditions};
pub use frames::EventType;
pub use gate::Gate;
pub use lists::ListSnapshot;
pub use proxy::Proxy;
pub use request::{Call, Verb};
pub use rule::{Action, Matcher, Phase, Rule};
pub use rules::{RuleId, Rules};
pub use trail::{Mark, Trail};
