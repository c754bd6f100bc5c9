//! Scripts: what they declare, how they are loaded and swapped, and how they run.

pub mod arguments;
pub mod reply;

mod bindings;
mod check;
mod compile;
mod declaration;
mod declare;
mod diagnostic;
mod engine;
mod error;
mod explain;
mod generation;
mod handles;
mod host;
mod input_schema;
mod kind;
mod library;
mod limits;
mod resolver;
mod run;
mod save;
mod source;
mod submissions;
mod value;
mod watcher;

pub use check::{Checked, check, kind_of_text};
pub use compile::Script;
pub use declaration::{Declaration, Param, Type};
pub use diagnostic::{Diagnostic, Severity};
pub use error::ScriptError;
pub use generation::{Generation, Served};
pub use host::{Caller, Host, Progress};
pub use input_schema::InputSchema;
pub use kind::{Entry, Kind};
pub use library::Library;
pub use limits::Limits;
pub use reply::Reply;
pub use run::{Runner, build};
pub use source::{Key, Layer, Root, Source, Sources};
pub use watcher::Watcher;
