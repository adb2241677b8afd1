//! Room in memory for all that is collected and not yet written, in bytes.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

/// Room that is shared.
#[derive(Debug)]
pub struct Budget {
    most: usize,
    held: AtomicUsize,
}

impl Budget {
    /// So much.
    #[must_use]
    pub fn new(most: usize) -> Arc<Self> {
        let held = AtomicUsize::new(0);
        Arc::new(Self { most, held })
    }

    /// What is taken at the moment.
    #[must_use]
    pub fn held(&self) -> usize {
        self.held.load(Ordering::Relaxed)
    }
}

/// A share of it, given back when dropped.
#[derive(Debug)]
pub struct Hold {
    budget: Arc<Budget>,
    bytes: usize,
}

impl Hold {
    /// None yet.
    #[must_use]
    pub fn new(budget: &Arc<Budget>) -> Self {
        Self {
            budget: Arc::clone(budget),
            bytes: 0,
        }
    }

    /// Takes more, if there is as much.
    pub fn grow(&mut self, bytes: usize) -> bool {
        let most = self.budget.most;
        let fits = |held: usize| held.checked_add(bytes).filter(|held| *held <= most);
        let held = &self.budget.held;
        let grown = held.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits);
        self.bytes += grown.map_or(0, |_| bytes);
        grown.is_ok()
    }

    /// Gives all of it back.
    pub fn release(&mut self) {
        let bytes = std::mem::take(&mut self.bytes);
        self.budget.held.fetch_sub(bytes, Ordering::Relaxed);
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.release();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_takes_more_than_there_is_and_all_of_it_comes_back() {
        let budget = Budget::new(100);
        let (mut one, mut other) = (Hold::new(&budget), Hold::new(&budget));
        assert!(one.grow(60) && other.grow(40) && !one.grow(1));
        assert!(!other.grow(usize::MAX));
        assert_eq!(budget.held(), 100);
        one.release();
        assert!(other.grow(60));
        drop((one, other));
        assert_eq!(budget.held(), 0);
    }
}
