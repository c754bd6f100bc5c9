//! Records on disk, shared by every process that works on one data folder.
//!
//! Several processes on one folder are normal: two editors each start a server, a shell command
//! runs beside them, and any of them may be killed at any moment. So the truth is plain files,
//! each written whole or not at all: one JSON file per record. A journal says in which order they
//! changed. What is found by what stands in segments, sorted files that all processes share; over
//! them every process keeps an index of its own of what the journal has said since, and brings it
//! up to date before it reads. Before the journal gets long it's folded into a segment, so that a
//! process that joins has little to read, however many records there are. The index, the segments
//! and the journal can be made again from the records.
//!
//! ```text
//! records/7f/<id>.json   one record; the folder is the last two letters of the id
//! journal.jsonl          one line per change, only ever appended to, folded before it gets long
//! segments/<id>          what earlier journals said, sorted; the journal's first line names them
//! write.lock             held while writing; names what is being written, for the case of a crash
//! index/<n>/             the index of the process that holds index/<n>.lock
//! tmp/                   files being written
//! ```

mod error;
pub mod files;
mod fold;
mod index;
mod journal;
mod lock;
mod merge;
pub mod presence;
mod records;
mod row;
mod segment;
mod slot;
mod tail;
mod writer;

pub use error::StoreError;
pub use records::{Rebuilt, Schema, Store};
pub use row::{Key, Row};
pub use writer::Writer;
