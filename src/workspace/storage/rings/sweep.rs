//! Rings that go with their workspaces.

use std::collections::BTreeMap;

use atelier_api::conditions::reasons;
use k8s_openapi::ByteString;
use kube::ResourceExt as _;
use tracing::info;

use super::{DIGITS, RINGS, TRIES};
use crate::ctx::Ctx;
use crate::workspace::storage::stored::{GOES, Stored, live_uid};
use crate::workspace::storage::{Problem, Trouble};

/// Takes the rings away that were to go with their workspaces, and whose workspaces are gone.
pub async fn sweep(ctx: &Ctx) -> Result<(), Trouble> {
    let workspaces = ctx.stores.workspaces.state();
    let there: Vec<_> = workspaces.iter().filter_map(|w| w.uid()).collect();
    for digit in DIGITS.chars() {
        sweep_one(ctx, &format!("{RINGS}{digit}"), &there).await?;
    }
    Ok(())
}

async fn sweep_one(ctx: &Ctx, name: &str, there: &[String]) -> Result<(), Trouble> {
    for _ in 0..TRIES {
        let stored = Stored::read(ctx, name).await?;
        let entries = stored.entries();
        let mut there = there.to_vec();
        // A view may lag behind: keys are not taken away by what it lacks.
        for (place, uid) in gone(&entries, &there) {
            if live_uid(ctx, &place).await?.as_deref() == Some(uid.as_str()) {
                there.push(uid);
            }
        }
        let kept = without_gone(&entries, &there);
        if kept.len() == entries.len() {
            return Ok(());
        }
        if stored.put(ctx, kept).await? {
            info!(secret = name, "keys went with their workspaces");
            return Ok(());
        }
    }
    let why = format!("somebody else writes the Secret {name} all the time");
    Err(Problem::new(reasons::KEY_UNAVAILABLE, why).into())
}

/// What was to go with a workspace that is not there: its place, and the workspace's uid.
fn gone(entries: &BTreeMap<String, ByteString>, there: &[String]) -> Vec<(String, String)> {
    let marks = entries.iter().filter_map(|(name, uid)| {
        let uid = String::from_utf8_lossy(&uid.0).into_owned();
        Some((name.strip_suffix(GOES)?.to_owned(), uid))
    });
    marks.filter(|(_, uid)| !there.contains(uid)).collect()
}

fn without_gone(
    entries: &BTreeMap<String, ByteString>,
    there: &[String],
) -> BTreeMap<String, ByteString> {
    let stays = |name: &str| {
        let place = name.strip_suffix(GOES).unwrap_or(name);
        let mark = entries.get(&format!("{place}{GOES}"));
        mark.is_none_or(|uid| there.iter().any(|other| other.as_bytes() == uid.0))
    };
    let kept = entries.iter().filter(|(name, _)| stays(name));
    kept.map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_to_go_with_its_workspace_goes_with_it() {
        let names = ["a.x", "a.x.goes", "a.y", "a.z", "a.z.goes"];
        let uid = |name: &str| match name {
            "a.x.goes" => b"u1".to_vec(),
            "a.z.goes" => b"u2".to_vec(),
            _ => b"ring".to_vec(),
        };
        let entries = names.map(|name| (name.to_owned(), ByteString(uid(name))));
        let kept = without_gone(&entries.into(), &["u2".to_owned()]);
        let kept: Vec<_> = kept.keys().map(String::as_str).collect();
        assert_eq!(kept, ["a.y", "a.z", "a.z.goes"]);
    }
}
