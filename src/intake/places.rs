//! How many connections there may be, and whose.
//!
//! Whoever has not shown yet who they are is one of few, and of fewer still from one address, so that nobody takes the
//! places of all. Whoever has may have as many as a gateway needs.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

/// Connections of those who have not shown who they are.
const STRANGERS: usize = 1024;
/// The same from one address. Where a node stands for its pods, all of its gateways may come at once.
const FROM_ONE: usize = 128;
/// Connections of one pod.
const OF_ONE: usize = 3;

#[derive(Default)]
struct Inner {
    strangers: usize,
    from: HashMap<IpAddr, usize>,
    of: HashMap<String, usize>,
}

/// The places there are.
#[derive(Clone, Default)]
pub struct Places(Arc<Mutex<Inner>>);

/// Whose place it is.
enum Holder {
    Stranger(IpAddr),
    Pod(String),
}

/// A place, given back when dropped.
pub struct Place {
    places: Places,
    holder: Holder,
}

impl Places {
    fn with<T>(&self, act: impl FnOnce(&mut Inner) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// A place for somebody who comes from there, if there is one.
    pub fn stranger(&self, address: IpAddr) -> Option<Place> {
        let taken = self.with(|inner| {
            let from = inner.from.get(&address).copied().unwrap_or_default();
            let free = inner.strangers < STRANGERS && from < FROM_ONE;
            if free {
                inner.strangers += 1;
                inner.from.insert(address, from + 1);
            }
            free
        });
        taken.then(|| self.place(Holder::Stranger(address)))
    }

    /// A place for a pod that has shown that it is one.
    pub fn pod(&self, uid: &str) -> Option<Place> {
        let taken = self.with(|inner| {
            let of = inner.of.get(uid).copied().unwrap_or_default();
            let free = of < OF_ONE;
            if free {
                inner.of.insert(uid.to_owned(), of + 1);
            }
            free
        });
        taken.then(|| self.place(Holder::Pod(uid.to_owned())))
    }

    fn place(&self, holder: Holder) -> Place {
        Place {
            places: self.clone(),
            holder,
        }
    }
}

impl Place {
    /// Whether it is this pod's.
    pub fn is_of(&self, uid: &str) -> bool {
        matches!(&self.holder, Holder::Pod(own) if own == uid)
    }

    /// Whether its holder has not shown who they are.
    pub fn is_strangers(&self) -> bool {
        matches!(self.holder, Holder::Stranger(_))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        fn less<K: std::hash::Hash + Eq>(counts: &mut HashMap<K, usize>, key: &K) {
            if let Some(count) = counts.get_mut(key) {
                *count -= 1;
                if *count == 0 {
                    counts.remove(key);
                }
            }
        }
        self.places.with(|inner| match &self.holder {
            Holder::Stranger(address) => {
                inner.strangers -= 1;
                less(&mut inner.from, address);
            }
            Holder::Pod(uid) => less(&mut inner.of, uid),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_takes_the_places_of_all_and_places_are_given_back() {
        let places = Places::default();
        let (one, other) = (IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2]));
        let held: Vec<_> = (0..FROM_ONE).map(|_| places.stranger(one)).collect();
        assert!(held.iter().all(Option::is_some));
        assert!(places.stranger(one).is_none() && places.stranger(other).is_some());
        drop(held);
        assert!(places.stranger(one).is_some());
        let held: Vec<_> = (0..OF_ONE).map(|_| places.pod("u")).collect();
        assert!(held.iter().all(Option::is_some));
        assert!(places.pod("u").is_none() && places.pod("v").is_some());
        drop(held);
        assert!(places.with(|inner| inner.of.is_empty() && inner.from.is_empty()));
    }
}
