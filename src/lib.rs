//! The operator: turns the custom resources of `atelier.dev` into Kubernetes objects, and keeps them so.
//!
//! One folder a kind, always with the same files: `mod` (the reconcile), `validate` (pure: may it be?), `build`
//! (pure: what it consists of), `status` (pure: how it is). [`kit`] is what they share and knows none of them;
//! [`relay`] knows who has to look when something else changed.

pub mod actions;
pub mod admin;
pub mod admission;
pub mod archive;
pub mod args;
pub mod cleanup;
pub mod compute_target;
pub mod crd;
pub mod ctx;
pub mod intake;
pub mod kit;
pub mod leader;
pub mod logging;
pub mod operator;
pub mod region;
pub mod relay;
pub mod role_assignment;
pub mod run;
pub mod service_storage;
mod serving;
pub mod web_service;
pub mod workspace;
