//! The real gateway between real clients and real, often misbehaving, models, on the loopback of
//! a network namespace of its own. Needs the right to make one: root, or `unshare --map-root-user`.

#[path = "gateway/archive.rs"]
mod archive;
#[path = "gateway/collecting.rs"]
mod collecting;
#[path = "gateway/contract.rs"]
mod contract;
#[path = "gateway/cors.rs"]
mod cors;
#[path = "gateway/data.rs"]
mod data;
#[path = "gateway/exposure.rs"]
mod exposure;
#[path = "gateway/faults.rs"]
mod faults;
#[path = "gateway/framing.rs"]
mod framing;
#[path = "gateway/harness.rs"]
mod harness;
#[path = "gateway/http.rs"]
mod http_client;
#[path = "gateway/inside.rs"]
mod inside;
#[path = "gateway/intake.rs"]
mod intake;
#[path = "gateway/internal.rs"]
mod internal;
#[path = "gateway/kept.rs"]
mod kept;
#[path = "gateway/limits.rs"]
mod limits;
#[path = "gateway/models.rs"]
mod models;
#[path = "gateway/outside.rs"]
mod outside;
#[path = "gateway/pki.rs"]
mod pki;
#[path = "gateway/policy.rs"]
mod policy;
#[path = "gateway/records.rs"]
mod records;
#[path = "gateway/report.rs"]
mod report;
#[path = "gateway/shutdown.rs"]
mod shutdown;
#[path = "gateway/smuggling/mod.rs"]
#[allow(clippy::panic)] // How a test fails.
mod smuggling;
#[path = "gateway/streaming.rs"]
mod streaming;
#[path = "gateway/telemetry.rs"]
mod telemetry;
#[path = "gateway/tls.rs"]
mod tls;
#[path = "gateway/tls_client.rs"]
mod tls_client;
#[path = "gateway/tokens.rs"]
mod tokens;
