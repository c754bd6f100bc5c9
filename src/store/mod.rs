//! Records on disk, shared by every process that works on one data folder.
//!
//! Several processes on one folder are normal: two editors each start a server, a shell command
//! runs beside them, and any of them may be killed at any moment. So the truth is plain files,
//! each written whole or not at all: one JSON file per record. A journal says in which order they
//! changed, and every process keeps an index of its own, which it brings up to date from the
//! journal before it reads and which may be thrown away at any time.
//!
//! ```text
//! records/7f/<id>.json   one record; the folder is the last two letters of the id
//! journal.jsonl          one line per change, only ever appended to, compacted now and then
//! write.lock             held while writing; names what is being written, for the case of a crash
//! index/<n>/             the index of the process that holds index/<n>.lock
//! tmp/                   files being written
//! ```

mod error;
pub mod files;
mod index;
mod journal;
mod lock;
mod records;
mod row;
mod slot;
mod tail;
mod writer;

pub use error::StoreError;
pub use records::{Rebuilt, Schema, Store};
pub use row::{Key, Row};
pub use writer::Writer;
