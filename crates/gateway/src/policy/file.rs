//! The policy from the mounted Secret: for a start while no API server answers.

use std::{fs, io, path::Path, time::Duration};

use atelier_api::gateway_policy::POLICY_KEY;
use jiff::Timestamp;
use tokio::time::{MissedTickBehavior, interval};

use super::{Source, Store};

/// How often the file is looked at. The kubelet changes it at most once a minute, but a small
/// file in memory costs nothing, and without a watch this is how fast a key is revoked.
const EVERY: Duration = Duration::from_millis(500);

/// Follows the file below `dir` until the watch has delivered a policy, or else forever.
pub async fn follow(dir: &Path, store: &Store) {
    let path = dir.join(POLICY_KEY);
    let mut seen = None;
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while !store.is_watched() {
        ticks.tick().await;
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
