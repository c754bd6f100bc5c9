//! What is wrong with a workflow, and what could be meant instead.
//!
//! The [`verdict`] is the server's, in its words. [`findings`] looks at each node by itself, so
//! that everything is found at once, and says what fixers need to know.

mod findings;
mod verdict;

pub use findings::{Fault, Finding, findings};
pub use verdict::verdict;
