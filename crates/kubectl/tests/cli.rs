//! The command line's manners: what it asks, what it prints, how it ends. The cluster is a listener on loopback.
#![allow(clippy::unwrap_used)]

#[path = "cli/actions.rs"]
mod actions;
#[path = "cli/cluster.rs"]
mod cluster;
#[path = "cli/credentials.rs"]
mod credentials;
#[path = "cli/data.rs"]
mod data;
#[path = "cli/errors.rs"]
mod errors;
#[path = "cli/global.rs"]
mod global;
#[path = "cli/help.rs"]
mod help;
#[path = "cli/keys.rs"]
mod keys;
#[path = "cli/kit.rs"]
mod kit;
#[path = "cli/logs.rs"]
mod logs;
#[path = "cli/requests.rs"]
mod requests;
#[path = "cli/score.rs"]
mod score;
