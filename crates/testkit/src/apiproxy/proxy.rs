//! The proxy as a whole.

use std::path::Path;

use kube::config::Kubeconfig;

use super::rules::Rules;
use super::trail::Trail;

/// A proxy that runs until the last clone of it is dropped.
#[derive(Clone)]
pub struct Proxy {
    rules: Rules,
    trail: Trail,
}

impl Proxy {
    /// Starts a proxy in front of the API server that a kubeconfig leads to, whose credentials are not used.
    pub async fn start(_kubeconfig: &Path) -> Self {
        todo!("lands next")
    }

    /// A kubeconfig to the proxy, for whom a token is.
    pub fn kubeconfig(&self, _token: &str) -> Kubeconfig {
        todo!("lands next")
    }

    /// Writes such a kubeconfig, for the owner of the file alone to read.
    pub fn write_kubeconfig(&self, _token: &str, _path: &Path) {
        todo!("lands next")
    }

    /// The rules.
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// The trail.
    pub fn trail(&self) -> &Trail {
        &self.trail
    }

    /// What is called to kill the client. It may block. While it runs no request goes to the API server, and when it
    /// returns all connections from before it are reset.
    pub fn on_kill(&self, _kill: Box<dyn Fn() + Send + Sync>) {
        todo!("lands next")
    }

    /// Resets all open connections of clients. Writes that the API server has got already go on.
    pub fn break_connections(&self) {
        todo!("lands next")
    }
}
