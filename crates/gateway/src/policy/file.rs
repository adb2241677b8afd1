//! The policy, and where records go, from the mounted Secret: for a start while no API server answers.

use std::{fs, io, path::Path, time::Duration};

use atelier_api::gateway_policy::POLICY_KEY;
use atelier_api::gateway_telemetry::{HEADERS_KEY, TELEMETRY_KEY};
use jiff::Timestamp;
use tokio::time::{MissedTickBehavior, interval};

use super::{Source, Store};
use crate::telemetry::{Entries, Secret, Telemetry};

/// How often the file is looked at. The kubelet changes it at most once a minute, but a small
/// file in memory costs nothing, and without a watch this is how fast a key is revoked.
const EVERY: Duration = Duration::from_millis(500);

/// Follows the files below `dir` until the watch has delivered a policy, or else forever.
pub async fn follow(dir: &Path, store: &Store, telemetry: &Telemetry) {
    let path = dir.join(POLICY_KEY);
    let mut seen = None;
    let mut told = None;
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while !store.is_watched() {
        ticks.tick().await;
        // Absent where nothing is exported, and told of nowhere: the policy is what a gateway needs.
        let entries = Entries {
            document: fs::read(dir.join(TELEMETRY_KEY)).ok(),
            headers: fs::read(dir.join(HEADERS_KEY)).ok().map(Secret),
        };
        if told.as_ref() != Some(&entries) {
            telemetry.offer(Source::File, &entries);
            told = Some(entries);
        }
        let read = read(&path);
        if seen.as_ref() == Some(&read) {
            continue;
        }
        match &read {
            Ok(document) => store.offer(Source::File, document, Timestamp::now()),
            Err(error) => {
                let effect = store.effect();
                tracing::warn!(%error, path = %path.display(), effect, "the mounted policy cannot be read");
            }
        }
        seen = Some(read);
    }
}

/// Reads the file. A kind of error compares, an error does not.
fn read(path: &Path) -> Result<Vec<u8>, io::ErrorKind> {
    fs::read(path).map_err(|error| error.kind())
}
