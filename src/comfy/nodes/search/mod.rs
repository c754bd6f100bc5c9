//! Finding a node class by what a person calls it.

mod index;
mod synonyms;
mod words;

pub use index::Found;
pub(super) use index::Index;
