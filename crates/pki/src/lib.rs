//! The certificate authority of an installation: made, rotated with overlap, and handed to those who serve by it.
//!
//! Two halves that share nothing but Secrets. The leading replica runs [`run`], which keeps the authority, the
//! certificates and every `caBundle` as they should be. Every replica, and every other process, reads by
//! [`Reloading`]. Where something else keeps the Secrets, only the second half is used. Certificates in other
//! namespaces, as many as there are, are kept by whoever keeps the rest there: what they need is an [`Issuer`]. See
//! `docs/design/certificates.md`.

mod authority;
mod backoff;
mod config;
mod error;
mod inspect;
mod issuer;
mod leaf;
mod life;
mod note;
pub mod plan;
mod reloading;
mod run;
mod store;
mod target;
mod tls;
mod verify;
mod watch;

pub use config::{Config, Elsewhere, Leaf, Periods, Purpose};
pub use error::{Error, PeriodsError};
pub use inspect::Inspected;
pub use issuer::Issuer;
pub use life::Life;
pub use note::{NOTE, Note};
pub use reloading::Reloading;
pub use run::run;
pub use target::{Target, TargetKind};
pub use tls::{client_config, server_config};
pub use verify::roots;
pub use watch::named as watch_named;
