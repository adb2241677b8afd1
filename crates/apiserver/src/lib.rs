//! An aggregated API server that serves only subresources, and an admission webhook beside it, on one TLS listener.
//!
//! What the actions do comes from outside: an [`Action`] is a description and a function. This crate finds out who asks
//! ([`Caller`]), asks the API server whether they may, and speaks as Kubernetes does: discovery, OpenAPI, tables, and
//! `Status` for all that is refused. `docs/design/actions.md` says why.

mod accept;
mod action;
mod admission;
mod body;
mod caller;
mod discovery;
mod escape;
mod front_proxy;
mod openapi;
mod path;
mod refusal;
mod reply;
mod review;
mod serve;
mod tls;

pub use action::{Action, ActionInfo, Actions, Call, Column, ObjectRef, Table, Verb};
pub use admission::{Admission, AdmissionError, OnFailure};
pub use body::{Body, BoxError, empty, full};
pub use caller::Caller;
pub use front_proxy::FrontProxy;
pub use openapi::schema_of;
pub use refusal::{Reason, Refusal};
pub use serve::{Limits, ServeError, Server};
