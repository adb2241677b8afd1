//! Whether two namespaces stand alike.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::exceptions::{self, SLOTS};
use crate::dump::{Dump, difference, dump};
use crate::user::User;

/// How long two namespaces that have settled get to become alike.
const SETTLED: Duration = Duration::from_secs(10);
/// How long one gets to become what it was.
const RECOVERS: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(100);
/// How long they have to stay so.
const STAYS: Duration = Duration::from_millis(250);

/// What came of a comparison.
#[derive(Debug, Default)]
pub struct Compared {
    /// What differs and may not.
    pub wrong: Vec<String>,
    /// Exceptions that were needed, and how often.
    pub excused: BTreeMap<&'static str, usize>,
}

/// What differs between two dumps.
pub fn compare(walked: &Dump, fresh: &Dump) -> Compared {
    let mut compared = Compared::default();
    let (walked, renumbered) = exceptions::renumbered(walked);
    if renumbered {
        compared.excused.insert(SLOTS, 1);
    }
    for line in difference(&walked, &exceptions::renumbered(fresh).0) {
        match exceptions::find(&line) {
            Some(exception) => *compared.excused.entry(exception.name).or_default() += 1,
            None => compared.wrong.push(line),
        }
    }
    compared
}

/// Waits until a namespace stands as `golden` did, and stays so.
pub async fn becomes(user: &User, golden: &Dump) -> anyhow::Result<Compared> {
    until_alike(RECOVERS, async || Ok((dump(user).await?, golden.clone()))).await
}

/// Waits until two namespaces stand alike, and stay so.
pub async fn alike(walked: &User, fresh: &User) -> anyhow::Result<Compared> {
    until_alike(SETTLED, async || {
        let (walked, fresh) = futures::future::join(dump(walked), dump(fresh)).await;
        Ok((walked?, fresh?))
    })
    .await
}

async fn until_alike(
    patience: Duration,
    look: impl AsyncFn() -> anyhow::Result<(Dump, Dump)>,
) -> anyhow::Result<Compared> {
    let begun = Instant::now();
    loop {
        let (walked, fresh) = look().await?;
        let took = begun.elapsed();
        let compared = compare(&walked, &fresh);
        if compared.wrong.is_empty() {
            tokio::time::sleep(STAYS).await;
            let (again, _) = look().await?;
            if again.versions == walked.versions {
                return Ok(compared);
            }
        }
        if took > patience {
            let mut wrong = compared.wrong;
            if wrong.is_empty() {
                wrong.push("it does not come to rest".into());
            }
            return Ok(Compared { wrong, ..compared });
        }
        tokio::time::sleep(POLL).await;
    }
}
