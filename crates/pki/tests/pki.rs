//! The authority of an installation on a real cluster, with the rights that an operator has and no others.
//!
//! Needs a cluster of either profile, named by the environment as for all tests on a cluster.
#![allow(clippy::unwrap_used, clippy::panic)]

#[path = "pki/bench.rs"]
mod bench;
#[path = "pki/faults.rs"]
mod faults;
#[path = "pki/repairs.rs"]
mod repairs;
#[path = "pki/rights.rs"]
mod rights;
#[path = "pki/rotation.rs"]
mod rotation;
#[path = "pki/servers.rs"]
mod servers;
