//! Bringing assets into a web project's folder.
//!
//! An agent names the folder and the file, so both are treated as hostile: whatever the arguments,
//! nothing is written but media files with tame names, into folders that a web project may have.
//! The same care is taken with copies to other places.

mod error;
mod export;
mod folder;
mod ledger;
mod manifest;
mod name;
mod publisher;
mod shrink;
mod strip;

pub use error::PublishError;
pub use export::Exported;
pub use publisher::{MAX_BYTES, PublishInfo, PublishRequest, Published, Publisher, Target};
