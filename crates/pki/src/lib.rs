//! The certificate authority of an installation: made, rotated with overlap, and handed to those who serve by it.
//!
//! Two halves that share nothing but Secrets. The leading replica runs [`run`], which keeps the authority, the
//! certificates and every `caBundle` as they should be. Every replica, and every other process, reads by
//! [`Reloading`]. Where something else keeps the Secrets, only the second half is used. See
//! `docs/design/certificates.md`.

mod authority;
mod backoff;
mod config;
mod error;
mod leaf;
mod life;
pub mod plan;
mod reloading;
mod run;
mod store;
mod target;
mod tls;
mod verify;
mod watch;

pub use config::{Config, Leaf, Periods, Purpose};
pub use error::{Error, PeriodsError};
pub use life::Life;
pub use reloading::Reloading;
pub use run::run;
pub use target::{Target, TargetKind};
pub use tls::{client_config, server_config};
