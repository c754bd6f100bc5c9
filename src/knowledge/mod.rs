//! What is known of models: which are current, for what, with which settings and files. The facts
//! are in `sota.toml`, each with its source and date; a user's file of that name goes before it.

mod advice;
mod error;
mod facts;
mod identify;

pub use advice::{Freshness, Recommendation};
pub use error::KnowledgeError;
pub use facts::{CATEGORIES, File, Knowledge, Model, Status, Task};
pub use identify::Identified;
