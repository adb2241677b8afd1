//! What undisturbed plays lead to, kept in the repository: an operator that forgets something everywhere would
//! otherwise be compared with itself.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::Context as _;
use serde_json::Value;

use crate::dump::{Dump, difference};

type Marks = BTreeMap<String, BTreeMap<String, Value>>;

fn path(scenario: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("golden")
        .join(scenario)
        .with_extension("json")
}

/// Compares how things stood at each rest with what is kept; or, with `bless`, keeps it.
pub fn compare(scenario: &str, marks: &BTreeMap<String, Dump>, bless: bool) -> anyhow::Result<()> {
    let path = path(scenario);
    if bless {
        let marks: BTreeMap<_, _> = marks
            .iter()
            .map(|(mark, dump)| (mark, &dump.objects))
            .collect();
        let mut text = serde_json::to_string_pretty(&marks)?;
        text.push('\n');
        return std::fs::write(&path, text).with_context(|| path.display().to_string());
    }
    let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    let kept: Marks = serde_json::from_str(&text).with_context(|| path.display().to_string())?;
    let mut wrong = vec![];
    for (mark, objects) in kept {
        let kept = Dump {
            objects,
            versions: BTreeMap::new(),
            keys: BTreeMap::new(),
        };
        match marks.get(&mark) {
            Some(stands) => wrong.extend(
                difference(&kept, stands)
                    .into_iter()
                    .map(|line| format!("at \"{mark}\" {line}")),
            ),
            None => wrong.push(format!("\"{mark}\" was never reached")),
        }
    }
    anyhow::ensure!(
        wrong.is_empty(),
        "{scenario}, undisturbed, does not end as {} says (keep the new end with --bless, if it is meant):\n  {}",
        path.display(),
        wrong.join("\n  ")
    );
    Ok(())
}
