//! What tests on a real cluster share: the cluster, namespaces, waiting with a deadline, the audit log, load.
//!
//! Tests wait for conditions and never for time. A panic is how a test fails, so this crate may panic.
#![allow(clippy::unwrap_used, clippy::panic)]

pub mod access;
pub mod apiproxy;
pub mod audit;
pub mod certificate;
pub mod cluster;
pub mod collector;
pub mod load;
pub mod manifest;
pub mod namespace;
pub mod operator;
pub mod storage_server;
pub mod tokens;
pub mod wait;
pub mod way;

pub use access::Subject;
pub use cluster::Cluster;
pub use namespace::TestNamespace;
pub use storage_server::StorageServer;
pub use wait::eventually;
pub use way::Way;
