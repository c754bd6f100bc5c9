//! What a server's node classes are: their inputs, outputs and options, from a running server,
//! from a snapshot of one, or from the facts that are part of this program.

mod class;
mod describe;
mod facts;
mod input;
mod io_type;
mod model_files;
mod parse;
mod replacement;
mod search;
mod snapshot;

pub use class::{NodeClass, Output};
pub use facts::{BUNDLED_VERSION, FactsError, NodeFacts};
pub use input::{Dynamic, DynamicOption, Input, Section};
pub use io_type::{COMBO, IoType};
pub use model_files::{FILE_INPUTS, INPUT_FOLDER, is_loader, model_folder};
pub use replacement::{From, REPLACEMENTS, Replacement};
pub use search::Found;
pub use snapshot::{Snapshot, SnapshotError};
