//! The proxy in front of a real API server: every action, and what the trail says of it.
//!
//! Needs a cluster of either profile, named by the environment as for all tests on a cluster.
#![allow(clippy::unwrap_used, clippy::panic)]

#[path = "apiproxy/bench.rs"]
mod bench;
#[path = "apiproxy/kills.rs"]
mod kills;
#[path = "apiproxy/load.rs"]
mod load;
#[path = "apiproxy/requests.rs"]
mod requests;
#[path = "apiproxy/trail.rs"]
mod trail;
#[path = "apiproxy/watches.rs"]
mod watches;
