//! Objects of a workspace: stored wherever object stores are, encrypted before they leave.
//!
//! Three layers, each usable without the next:
//!
//! - [`format`]: an object as bytes. Sealing and opening, streamed, with nothing but arithmetic.
//! - [`keys`]: the workspace's keys, the ring that holds them, and how the ring is wrapped.
//! - [`Store`]: both, on an object store that a [`Connection`] names.
//!
//! What is written how, and why, is in `docs/design/storage.md`.

mod connect;
mod entropy;
mod error;
mod explain;
pub mod format;
pub mod keys;
mod store;

pub use connect::{ConfigError, Connection, Credential, Limits, Place, Trust};
pub use entropy::{Entropy, NoEntropy, SystemEntropy};
pub use error::Error;
pub use store::{Content, Download, Entry, ProbeError, ProbeStep, Store, Upload};
