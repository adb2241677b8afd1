//! `keys list`: what anybody may know of keys who may read the service.

use atelier_api::v1alpha1::{KeyStatus, KeysStatus};
use clap::Args;
use jiff::Timestamp;
use serde_json::Value;

use crate::age::human;
use crate::args::GlobalArgs;
use crate::client::{Cluster, SERVICES, typed};
use crate::failure::Failure;
use crate::names::Name;
use crate::output::{self, FormatArgs};
use crate::table::Table;

/// Arguments of `keys list`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    # The generation, age and fingerprint of both keys of digits\n  \
    kubectl atelier keys list digits")]
pub struct ListArgs {
    /// The web service.
    pub service: Name,
    /// Form of the output.
    #[command(flatten)]
    pub output: FormatArgs,
}

/// Does what the arguments say.
pub async fn run(args: ListArgs, global: &GlobalArgs) -> Result<(), Failure> {
    let cluster = Cluster::open(global).await?;
    let service = cluster.read(SERVICES, Some(&args.service)).await?;
    // Only this part is read: a service of a newer version may hold more.
    let keys = service.pointer("/status/keys").unwrap_or(&Value::Null);
    if keys.is_null() {
        output::aside(&format!("No keys yet: {} was not set up", args.service));
        return Ok(());
    }
    let known: KeysStatus = typed(keys)?;
    output::answer(args.output.format, keys, "primary\nsecondary", |wide| {
        Ok(people(&known, wide, Timestamp::now()))
    })
}

fn people(keys: &KeysStatus, wide: bool, now: Timestamp) -> String {
    let slots = [("primary", &keys.primary), ("secondary", &keys.secondary)];
    if wide {
        let mut table = Table::new(["name", "generation", "age", "fingerprint", "created"]);
        for (name, key) in slots {
            let [name, generation, age, fingerprint] = cells(name, key, now);
            let created = key.created_at.0.to_string();
            table.row([name, generation, age, fingerprint, created]);
        }
        return table.render();
    }
    let mut table = Table::new(["name", "generation", "age", "fingerprint"]);
    for (name, key) in slots {
        table.row(cells(name, key, now));
    }
    table.render()
}

fn cells(name: &str, key: &KeyStatus, now: Timestamp) -> [String; 4] {
    [
        name.into(),
        key.generation.to_string(),
        human(now.duration_since(key.created_at.0)),
        key.fingerprint.clone(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_keys_are_listed_with_their_ages() {
        let keys: KeysStatus = serde_json::from_value(serde_json::json!({
            "primary": {"generation": 12, "createdAt": "2026-01-01T00:00:00Z", "fingerprint": "0123abcd"},
            "secondary": {"generation": 1, "createdAt": "2026-01-04T03:55:00Z", "fingerprint": "89abcdef"},
        }))
        .unwrap();
        let now = "2026-01-04T04:00:00Z".parse().unwrap();
        assert_eq!(
            people(&keys, false, now),
            "NAME        GENERATION   AGE    FINGERPRINT\n\
             primary     12           3d4h   0123abcd\n\
             secondary   1            5m     89abcdef\n"
        );
        assert!(people(&keys, true, now).contains("   2026-01-01T00:00:00Z\n"));
    }
}
