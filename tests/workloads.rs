//! Runs, compute targets and web services, on a real cluster.
//!
//! Each test has a namespace of its own. Those in `crashes` kill the operator; they wait for the others, and the others
//! for them. `tests/setup` brings up the cluster; `make test` runs it all.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

#[path = "workloads/compute.rs"]
mod compute;
#[path = "workloads/crashes.rs"]
mod crashes;
#[path = "workloads/runs.rs"]
mod runs;
#[path = "workloads/scoring.rs"]
mod scoring;
#[path = "workloads/service.rs"]
mod service;
#[path = "workloads/steady.rs"]
mod steady;
