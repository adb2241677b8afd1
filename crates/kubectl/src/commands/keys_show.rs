//! `keys show`: the keys themselves.

use atelier_api::actions::ServiceKeys;
use clap::Args;
use serde_json::Value;

use super::keys::Slot;
use crate::args::GlobalArgs;
use crate::client::{Cluster, SERVICES, typed};
use crate::failure::Failure;
use crate::names::Name;
use crate::output::{self, PlainFormatArgs};
use crate::table::{Table, plain};

/// Arguments of `keys show`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    # Both keys of digits\n  \
    kubectl atelier keys show digits\n\n  \
    # The primary key alone, for a script\n  \
    key=$(kubectl atelier keys show digits primary)")]
pub struct ShowArgs {
    /// The web service.
    pub service: Name,
    /// primary or secondary: this key is printed alone, for scripts.
    #[arg(value_enum, ignore_case = true, hide_possible_values = true)]
    pub key: Option<Slot>,
    /// Form of the output.
    #[command(flatten)]
    pub output: PlainFormatArgs,
}

/// Does what the arguments say.
pub async fn run(args: ShowArgs, global: &GlobalArgs) -> Result<(), Failure> {
    let cluster = Cluster::open(global).await?;
    let mut answer = cluster
        .act(SERVICES, &args.service, "listkeys", None::<&()>)
        .await?;
    let keys: ServiceKeys = typed(&answer)?;
    if let Some(slot) = args.key {
        leave_out_the_other(&mut answer, slot);
    }
    output::answer(args.output.format.into(), &answer, "", |_| {
        Ok(people(&keys, args.key))
    })
}

/// Whoever asked for one key does not want the other in a log.
fn leave_out_the_other(answer: &mut Value, slot: Slot) {
    let other = match slot {
        Slot::Primary => "secondaryKey",
        Slot::Secondary => "primaryKey",
    };
    if let Some(fields) = answer.as_object_mut() {
        fields.remove(other);
    }
}

fn people(keys: &ServiceKeys, slot: Option<Slot>) -> String {
    match slot {
        Some(Slot::Primary) => format!("{}\n", plain(&keys.primary_key)),
        Some(Slot::Secondary) => format!("{}\n", plain(&keys.secondary_key)),
        None => {
            let mut table = Table::new(["name", "key"]);
            table.row(["primary".into(), keys.primary_key.clone()]);
            table.row(["secondary".into(), keys.secondary_key.clone()]);
            table.render()
        }
    }
}
