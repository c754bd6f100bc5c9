//! Pictures, clips and sounds that were made, with all that is needed to make them again.
//!
//! The folder is meant to be read by people and other programs as well:
//!
//! ```text
//! blobs/ab/<blake3>.png     the bytes, once however often they were made
//! records/7f/<id>.json      one file per asset, see [`Asset`] for its fields
//! workflows/<blake3>.json   workflows as they were run, shared by the assets of a run
//! swept                     when files that no record names were removed last
//! ```
//!
//! The other files there belong to [`crate::store`].

mod asset;
mod collection;
mod embedded;
mod encode;
mod error;
mod expiry;
mod incoming;
mod keep;
mod limit;
mod measure;
mod media;
mod preview;
mod probe;
pub mod publish;
mod query;
mod sheet;
mod sweep;

pub use asset::{Asset, FolderType, Kind, Provenance, ScriptRef, ServerRef};
pub use collection::{AssetOptions, Assets};
pub use embedded::{Embedded, EmbeddedError, embedded_prompt};
pub use error::AssetError;
pub use expiry::Removed;
pub use keep::NewAsset;
pub use limit::Usage;
pub use measure::{Measures, likeness};
pub use media::{extension_of, mime_of_name};
pub use preview::{PREVIEW_BYTES, PREVIEW_SIDE, Preview};
pub use probe::{MediaFacts, probe};
pub use query::{Page, Query};
pub use sheet::{Sheet, SheetAxis, SheetCell};
