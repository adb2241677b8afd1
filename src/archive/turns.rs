//! How many parts are taken at once, and whose: each is in memory until the storage has it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use atelier_api::archive::Kind;

/// Parts at once: with the longest, and what sealing one takes, some 32 MiB.
const ALL: usize = 16;
/// The same of one kind of one namespace: its storage may be slow, and others' are not; and much data is not to be in
/// the way of its records.
const OF_ONE: usize = 2;

type Taken = Arc<Mutex<HashMap<(Kind, String), usize>>>;

/// The turns there are.
#[derive(Default)]
pub struct Turns(Taken);

/// A turn, given back when dropped.
pub struct Turn {
    taken: Taken,
    whose: (Kind, String),
}

impl Turns {
    /// A turn for somebody of this namespace, if there is one.
    pub fn take(&self, kind: Kind, namespace: &str) -> Option<Turn> {
        let whose = (kind, namespace.to_owned());
        let mut taken = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let all: usize = taken.values().sum();
        let of = taken.get(&whose).copied().unwrap_or_default();
        if all >= ALL || of >= OF_ONE {
            return None;
        }
        taken.insert(whose.clone(), of + 1);
        Some(Turn {
            taken: self.0.clone(),
            whose,
        })
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(of) = taken.get_mut(&self.whose) {
            *of -= 1;
            if *of == 0 {
                taken.remove(&self.whose);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_namespace_takes_the_turns_of_all_and_turns_are_given_back() {
        let turns = Turns::default();
        let take = |namespace: &str| turns.take(Kind::Data, namespace);
        let held: Vec<_> = (0..OF_ONE).map(|_| take("a")).collect();
        assert!(held.iter().all(Option::is_some));
        assert!(take("a").is_none());
        // Its records have their own.
        assert!(turns.take(Kind::Records, "a").is_some());
        let others: Vec<_> = (0..ALL).map(|n| take(&format!("n{n}"))).collect();
        let got = others.iter().filter(|turn| turn.is_some()).count();
        assert_eq!(got, ALL - OF_ONE);
        drop(held);
        assert!(take("a").is_some());
        drop(others);
        assert!(turns.0.lock().expect("whole").is_empty());
    }
}
