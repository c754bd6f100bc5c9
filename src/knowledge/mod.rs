//! What is known of models: which are current, for what, with which settings and files. The facts
//! are in `sota.toml`, each with its source and date; files of that name of the user's and of the
//! project go before it, and the index of a running server tells what is newer than either.

mod advice;
mod choose;
mod error;
mod facts;
mod fetch;
mod file;
mod frames;
mod freshness;
mod identify;
mod layers;
mod lookup;
mod memory;
mod newer;
mod recipe;
mod stock;

pub use choose::{Candidate, Choice, Recommendation, Room};
pub use error::KnowledgeError;
pub use facts::{
    CATEGORIES, FamilyFacts, Knowledge, Model, Partner, Status, Task, Templates, Variant,
};
pub use file::File;
pub use frames::FrameRule;
pub use freshness::Freshness;
pub use identify::Identified;
pub use layers::{FILE_NAME, Layers};
pub use memory::{Autoencoder, Grid, Memory};
pub use newer::Newer;
pub use recipe::{Recipe, RecipeError};
pub use stock::{Shelves, Stock};
