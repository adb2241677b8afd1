//! The actions, through the real API server and the plugin for kubectl: who may, what they do, what they leave alone.
//!
//! Each test has a namespace of its own, with a Reader `rita` and a Contributor `conny`. The chart has `actions.enabled`.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

#[path = "actions/answers.rs"]
mod answers;
#[path = "actions/archive.rs"]
mod archive;
#[path = "actions/autoscale.rs"]
mod autoscale;
#[path = "actions/credentials.rs"]
mod credentials;
#[path = "actions/data.rs"]
mod data;
#[path = "actions/endurance.rs"]
mod endurance;
#[path = "actions/expose.rs"]
mod expose;
#[path = "actions/files.rs"]
mod files;
#[path = "actions/identity.rs"]
mod identity;
#[path = "actions/keys.rs"]
mod keys;
#[path = "actions/outage.rs"]
mod outage;
#[path = "actions/own_keys.rs"]
mod own_keys;
#[path = "actions/region.rs"]
mod region;
#[path = "actions/resync.rs"]
mod resync;
#[path = "actions/rotation.rs"]
mod rotation;
#[path = "actions/runs.rs"]
mod runs;
#[path = "actions/score.rs"]
mod score;
#[path = "actions/service_storage.rs"]
mod service_storage;
#[path = "actions/storage.rs"]
mod storage;
#[path = "actions/team.rs"]
mod team;
#[path = "actions/telemetry.rs"]
mod telemetry;
#[path = "actions/tls.rs"]
mod tls;
#[path = "actions/tokens.rs"]
mod tokens;
