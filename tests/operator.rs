//! The operator on a real cluster: workspaces, roles, drift, rights, and what the API refuses.
//!
//! Each test has a namespace of its own. `tests/setup` brings up the cluster; `make test` runs it all.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic, clippy::expect_used)]

#[path = "operator/access.rs"]
mod access;
#[path = "operator/any.rs"]
mod any;
#[path = "operator/conflict.rs"]
mod conflict;
#[path = "operator/contest.rs"]
mod contest;
#[path = "operator/crds.rs"]
mod crds;
#[path = "operator/drift.rs"]
mod drift;
#[path = "operator/ending.rs"]
mod ending;
#[path = "operator/identity.rs"]
mod identity;
#[path = "operator/input.rs"]
mod input;
#[path = "operator/kubectl.rs"]
mod kubectl;
#[path = "operator/leadership.rs"]
mod leadership;
#[path = "operator/rights.rs"]
mod rights;
#[path = "operator/trail.rs"]
mod trail;
#[path = "operator/workspace.rs"]
mod workspace;
