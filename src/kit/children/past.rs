//! What children were: needed for a while after they have vanished.

use std::collections::HashMap;

use crate::kit::child::ChildKey;

/// Vanished children that are remembered. One needs to be for a few seconds; runs come and go for years.
const REMEMBERED: usize = 4096;

/// What children were.
#[derive(Default)]
pub struct Past {
    /// The uid a child last had, kept after it vanished from the watch: a child whose labels were taken away vanishes
    /// too, and is still ours.
    uids: HashMap<ChildKey, String>,
    /// The version at which a child was last seen to be gone: the answer to our own write may come after word that
    /// somebody has deleted what we wrote, and must not bring it back to mind.
    gone: HashMap<ChildKey, u64>,
}

impl Past {
    /// The uid a child has, or had before it vanished.
    pub fn uid(&self, key: &ChildKey) -> Option<&str> {
        self.uids.get(key).map(String::as_str)
    }

    /// Notes the uid of a child of ours.
    pub fn is_ours(&mut self, key: &ChildKey, uid: &str) {
        if self.uids.get(key).is_none_or(|known| known != uid) {
            self.uids.insert(key.clone(), uid.into());
        }
    }

    /// Whether a child was seen to be gone later than at `version`.
    pub fn is_gone_since(&self, key: &ChildKey, version: u64) -> bool {
        self.gone.get(key).is_some_and(|gone| *gone > version)
    }

    /// Notes that a child vanished at `version`. What vanished long ago and is not there again, by `is_known`, is
    /// forgotten.
    pub fn vanished(&mut self, key: &ChildKey, version: u64, is_known: impl Fn(&ChildKey) -> bool) {
        if version == u64::MAX {
            return;
        }
        let gone = self.gone.entry(key.clone()).or_default();
        *gone = version.max(*gone);
        if self.gone.len() <= REMEMBERED {
            return;
        }
        let mut versions: Vec<_> = self.gone.values().copied().collect();
        let (_, middle, _) = versions.select_nth_unstable(REMEMBERED / 2);
        let since = *middle;
        let old = self.gone.extract_if(|_, version| *version <= since);
        for (key, _) in old.filter(|(key, _)| !is_known(key)) {
            self.uids.remove(&key);
        }
    }

    /// Forgets a namespace.
    pub fn forget_namespace(&mut self, namespace: &str) {
        self.uids.retain(|key, _| key.namespace != namespace);
        self.gone.retain(|key, _| key.namespace != namespace);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kit::child::ChildKind;

    #[test]
    fn of_all_that_ever_vanished_only_the_latest_is_remembered() {
        let key = |n: u64| ChildKey::new(ChildKind::Pod, "n", &n.to_string());
        let mut past = Past::default();
        past.is_ours(&key(0), "lives");
        for n in 1..20_000 {
            past.is_ours(&key(n), "u");
            past.vanished(&key(n), n, |_| false);
            assert!(past.gone.len() <= REMEMBERED && past.uids.len() <= REMEMBERED + 1);
        }
        assert_eq!(past.uid(&key(19_999)), Some("u"));
        assert!(past.is_gone_since(&key(19_999), 19_998));
        assert_eq!(past.uid(&key(1)), None);
        assert_eq!(past.uid(&key(0)), Some("lives"));
    }
}
