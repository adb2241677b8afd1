//! The machine that tries to knock the operator over.
//!
//! It runs the operator's executable as a process of its own, against a real API server without kubelets, lets a user
//! do what users do, and disturbs: kills between writes, lost answers, views that lag or have gaps. Whatever happens,
//! the end must be the end of an undisturbed play. It knows nothing of the operator's code.
#![allow(clippy::unwrap_used, clippy::panic)]

pub mod args;
pub mod caller;
pub mod canary;
pub mod chart;
pub mod control_plane;
pub mod disturber;
pub mod dump;
pub mod golden;
pub mod kept;
pub mod lab;
pub mod leaders;
pub mod operator;
pub mod oracle;
pub mod plan;
pub mod random;
pub mod replay;
pub mod report;
pub mod rights;
pub mod runner;
pub mod scale;
pub mod scenario;
pub mod scenarios;
pub mod schedule;
pub mod session;
pub mod stomp;
pub mod trail;
pub mod transitions;
pub mod user;

pub use caller::Caller;
pub use lab::Lab;
pub use operator::Operator;
pub use scenario::{Scenario, Stage};
