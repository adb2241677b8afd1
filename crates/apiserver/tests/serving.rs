//! The server on a real socket, with a made-up API server behind it.
#![allow(clippy::unwrap_used, clippy::panic)]

#[path = "serving/actions.rs"]
mod actions;
#[path = "serving/api.rs"]
mod api;
#[path = "serving/ending.rs"]
mod ending;
#[path = "serving/fixture.rs"]
mod fixture;
#[path = "serving/identity.rs"]
mod identity;
#[path = "common/log.rs"]
mod log;
#[path = "serving/pki.rs"]
mod pki;
#[path = "serving/requests.rs"]
mod requests;
#[path = "serving/streams.rs"]
mod streams;
#[path = "serving/webhooks.rs"]
mod webhooks;
