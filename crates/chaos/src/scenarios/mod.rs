//! The scenarios, one a file.

mod actions;
mod autoscale;
mod compute;
pub(crate) mod expose;
mod first;
mod keys;
mod own_keys;
mod own_storage;
mod roles;
mod service;
mod storage;
mod telemetry;
mod tls;
mod tokens;

use crate::Scenario;

/// All of them.
pub static ALL: [&dyn Scenario; 14] = [
    &roles::Roles,
    &compute::Compute,
    &service::Service,
    &storage::Storage,
    &keys::Keys,
    &first::First,
    &own_storage::OwnStorage,
    &actions::Actions,
    &tokens::Tokens,
    &tls::Tls,
    &own_keys::OwnKeys,
    &expose::Expose,
    &autoscale::Autoscale,
    &telemetry::Telemetry,
];

/// Those of a name; all without one.
pub fn named(name: Option<&str>) -> anyhow::Result<Vec<&'static dyn Scenario>> {
    let chosen: Vec<_> = ALL
        .into_iter()
        .filter(|one| name.is_none_or(|name| one.name() == name))
        .collect();
    let known: Vec<_> = ALL.iter().map(|one| one.name()).collect();
    anyhow::ensure!(
        !chosen.is_empty(),
        "no such scenario; there are: {}",
        known.join(", ")
    );
    Ok(chosen)
}
