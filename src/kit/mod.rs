//! What every controller shares. Nothing here knows a kind of ours: the API types are generic parameters, the
//! kinds of children a closed list.
//!
//! The way of a change: a watch ([`watch`], [`primary`]) tells [`children`] or a store, fires [`triggers`]; the
//! [`driver`] runs the reconcile of one object at a time; the reconcile builds [`child::Desired`] objects and hands
//! them to [`apply`]; its [`status`] is written when it differs.

pub mod access;
pub mod apply;
pub mod backoff;
pub mod brought;
pub mod certificate;
pub mod child;
pub mod children;
pub mod conditions;
pub mod content;
pub mod contest;
pub mod driver;
pub mod error;
pub mod events;
pub mod meta;
pub mod metrics;
pub mod pod;
pub mod pods;
pub mod primary;
pub mod random;
pub mod rights;
pub mod secrets;
pub mod status;
pub mod triggers;
pub mod watch;

pub use error::Error;
