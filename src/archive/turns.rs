//! How many parts are taken at once, and whose: each is in memory until the storage has it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Parts at once: with the longest, and what sealing one takes, some 32 MiB.
const ALL: usize = 16;
/// The same of one namespace: its storage may be slow, and others' are not.
const OF_ONE: usize = 2;

type Taken = Arc<Mutex<HashMap<String, usize>>>;

/// The turns there are.
#[derive(Default)]
pub struct Turns(Taken);

/// A turn, given back when dropped.
pub struct Turn {
    taken: Taken,
    namespace: String,
}

impl Turns {
    /// A turn for somebody of this namespace, if there is one.
    pub fn take(&self, namespace: &str) -> Option<Turn> {
        let mut taken = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let all: usize = taken.values().sum();
        let of = taken.get(namespace).copied().unwrap_or_default();
        if all >= ALL || of >= OF_ONE {
            return None;
        }
        taken.insert(namespace.to_owned(), of + 1);
        Some(Turn {
            taken: self.0.clone(),
            namespace: namespace.to_owned(),
        })
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(of) = taken.get_mut(&self.namespace) {
            *of -= 1;
            if *of == 0 {
                taken.remove(&self.namespace);
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
        let held: Vec<_> = (0..OF_ONE).map(|_| turns.take("a")).collect();
        assert!(held.iter().all(Option::is_some));
        assert!(turns.take("a").is_none());
        let others: Vec<_> = (0..ALL).map(|n| turns.take(&format!("n{n}"))).collect();
        let got = others.iter().filter(|turn| turn.is_some()).count();
        assert_eq!(got, ALL - OF_ONE);
        drop(held);
        assert!(turns.take("a").is_some());
        drop(others);
        assert!(turns.0.lock().expect("whole").is_empty());
    }
}
