//! Against real servers, on loopback with TLS: the one of the image `storage`, and Azurite.

#![allow(clippy::unwrap_used, clippy::panic)]

#[path = "storage/azure.rs"]
mod azure;
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
