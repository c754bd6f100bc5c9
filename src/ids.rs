//! The one source of identifiers and of chance. Tests use a counted source, so that what they
//! see is the same on every run.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use uuid::Uuid;

/// Random seeds stay below this, so that JavaScript front ends show them unharmed
/// (`Number.MAX_SAFE_INTEGER` + 1).
pub const RANDOM_SEED_LIMIT: u64 = 1 << 53;

/// Gives out identifiers. Cheap to clone; clones of a counted source share one count.
#[derive(Clone, Debug, Default)]
pub struct Ids(Source);

#[derive(Clone, Debug, Default)]
enum Source {
    #[default]
    Random,
    Counted(Arc<AtomicU64>),
}

impl Ids {
    /// A source that counts 1, 2, 3 … instead of drawing at random.
    #[must_use]
    pub fn counted() -> Self {
        Self(Source::Counted(Arc::default()))
    }

    /// A random id, in the canonical lower-case form that `ComfyUI` 0.25 and later demand of a
    /// prompt id.
    #[must_use]
    pub fn random(&self) -> String {
        match &self.0 {
            Source::Random => Uuid::new_v4().to_string(),
            Source::Counted(count) => counted(count, 4).to_string(),
        }
    }

    /// An id that sorts by the time of its making (UUID version 7).
    #[must_use]
    pub fn ordered(&self) -> String {
        match &self.0 {
            Source::Random => Uuid::now_v7().to_string(),
            Source::Counted(count) => counted(count, 7).to_string(),
        }
    }

    /// A random seed in `0..2^53`.
    #[must_use]
    pub fn seed(&self) -> u64 {
        match &self.0 {
            Source::Random => Uuid::new_v4().as_u64_pair().1 % RANDOM_SEED_LIMIT,
            Source::Counted(count) => count.fetch_add(1, Ordering::Relaxed) + 1,
        }
    }
}

/// Whether a text can be an id of ours: not whether there is anything under it.
#[must_use]
pub fn is_id(text: &str) -> bool {
    Uuid::try_parse(text).is_ok_and(|uuid| uuid.to_string() == text)
}

fn counted(count: &AtomicU64, version: u64) -> Uuid {
    let n = count.fetch_add(1, Ordering::Relaxed) + 1;
    Uuid::from_u64_pair(version << 12, (1 << 63) | n)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordered_ids_sort_by_the_time_of_their_making() {
        for ids in [Ids::default(), Ids::counted()] {
            let made: Vec<String> = (0..100).map(|_| ids.ordered()).collect();
            assert!(made.is_sorted(), "{made:?}");
        }
    }

    #[test]
    fn counted_ids_are_the_same_on_every_run() {
        assert_eq!(
            Ids::counted().random(),
            "00000000-0000-4000-8000-000000000001"
        );
    }

    #[test]
    fn random_seeds_survive_javascript() {
        let ids = Ids::default();
        assert!((0..1000).all(|_| ids.seed() < RANDOM_SEED_LIMIT));
    }
}
