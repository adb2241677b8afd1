//! Regional identities: for each location that has a workspace there is one ServiceAccount in the operator's namespace,
//! and placeholders of managed compute are made as it, so that the audit log tells them from everything else.

mod decide;
mod keeper;

use std::collections::HashMap;

use kube::{Client, Config};

use crate::kit::Error;
use crate::kit::access::user;
pub use keeper::run;

/// Name of the ServiceAccount of a location.
pub fn identity_name(location: &str) -> String {
    format!("aml-{location}")
}

/// Clients that act as the regional identities.
pub struct Regions(HashMap<String, Client>);

impl Regions {
    /// One client for each location. Fails as any client fails to be made: by a certificate that cannot be read.
    pub fn new(config: &Config, namespace: &str, locations: &[String]) -> kube::Result<Self> {
        let one = |location: &String| {
            let mut config = config.clone();
            let account = user(namespace, &identity_name(location));
            config.auth_info.impersonate = Some(account);
            Ok((location.clone(), Client::try_from(config)?))
        };
        Ok(Self(
            locations.iter().map(one).collect::<kube::Result<_>>()?,
        ))
    }

    /// The client of a location's identity.
    pub fn client(&self, location: &str) -> Result<&Client, Error> {
        let client = self.0.get(location);
        client.ok_or_else(|| Error::Stale(format!("location {location}")))
    }
}
