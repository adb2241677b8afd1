//! The way in to a model: authenticates, limits, forwards and records every scoring request.
//!
//! The path of a request, and the module of each step:
//!
//! ```text
//! server ─► proxy ─► route ─► loopback ─► authn ─► limits ─► model ─► body ─► record
//!                      └──────── a Refusal ─► respond ────────────────────────┘
//! ```
//!
//! `internal` is the way in of the operator, for callers that the cluster's API server has let in. It joins the same
//! path at `authn`. `report` is the other direction: what the operator is told, beside all requests.
//!
//! `telemetry` is where records go beside stdout, `archive` where they are kept, and `data` what is kept of the bodies
//! themselves where a service asks for that: each by tasks of its own.
//!
//! What decides (`route`, `authn`, `headers`, `ids`, `respond`, the table part of `loopback`) is
//! pure; what acts is `proxy` and `run`.

pub mod admin;
pub mod archive;
pub mod args;
pub mod authn;
pub mod body;
pub mod connection;
pub mod cors;
pub mod data;
pub mod headers;
pub mod ids;
pub mod internal;
pub mod lifecycle;
pub mod limits;
pub mod logging;
pub mod loopback;
pub mod metrics;
pub mod model;
pub mod policy;
pub mod proxy;
pub mod record;
pub mod report;
pub mod respond;
pub mod route;
pub mod run;
pub mod server;
pub mod telemetry;
pub mod ticket;
pub mod tls;
pub mod tokens;
