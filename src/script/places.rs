//! How much a run does beside each other.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// How many things a run does beside each other at most, in all that is parallel in it.
pub(super) const BESIDE: usize = 16;

/// The places for what goes on beside each other in a run.
#[derive(Debug, Default)]
pub(super) struct Places(Mutex<usize>);

/// Places that are taken; they are free again when this is dropped.
#[derive(Debug)]
pub(super) struct Taken<'a> {
    of: &'a Places,
    pub(super) count: usize,
}

impl Places {
    /// Takes as many places as are free, and no more than are wanted. Does not wait: whoever waits
    /// for a place may hold the one that is waited for.
    pub(super) fn take(&self, wanted: usize) -> Taken<'_> {
        let mut taken = self.taken();
        let count = wanted.min(BESIDE - *taken);
        *taken += count;
        Taken { of: self, count }
    }

    fn taken(&self) -> MutexGuard<'_, usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        *self.of.taken() -= self.count;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_places_are_taken_than_there_are_and_each_is_given_back() {
        let places = Places::default();
        let one = places.take(10);
        let other = places.take(10);
        assert_eq!((one.count, other.count), (10, BESIDE - 10));
        assert_eq!(places.take(1).count, 0);
        drop(one);
        assert_eq!(places.take(100).count, 10);
        drop(other);
        assert_eq!(places.take(100).count, BESIDE);
    }
}
