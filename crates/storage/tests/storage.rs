//! Against a real S3 server, the one of the image `storage`: built once, started on loopback with TLS.

#![allow(clippy::unwrap_used, clippy::panic)]

#[path = "storage/crash.rs"]
mod crash;
#[path = "storage/errors.rs"]
mod errors;
#[path = "storage/objects.rs"]
mod objects;
#[path = "storage/server.rs"]
mod server;
#[path = "storage/tickets.rs"]
mod tickets;
