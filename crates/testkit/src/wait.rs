//! Waiting for a condition, with a deadline.

use std::time::{Duration, Instant};

const POLL: Duration = Duration::from_millis(50);

/// Waits until `check` succeeds, and returns what it gives. Panics after `limit` with the sentence that was waited for
/// and the last reason why it was not so.
pub async fn eventually<T>(
    limit: Duration,
    sentence: &str,
    mut check: impl AsyncFnMut() -> Result<T, String>,
) -> T {
    let begun = Instant::now();
    loop {
        match check().await {
            Ok(value) => return value,
            Err(reason) if begun.elapsed() > limit => {
                panic!("not within {limit:?}: {sentence}; last: {reason}")
            }
            Err(_) => tokio::time::sleep(POLL).await,
        }
    }
}

/// `Ok` if something holds, else the reason.
pub fn check(holds: bool, reason: impl std::fmt::Debug) -> Result<(), String> {
    if holds {
        Ok(())
    } else {
        Err(format!("{reason:?}"))
    }
}
