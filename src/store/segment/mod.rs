//! Sorted files that are written once and never changed: what the journal said, put in order.
//!
//! All processes read the same ones, so that a process that joins has nothing to build. Entries
//! lie in compressed blocks; the first key of each block is held in memory, so that finding a key
//! takes one read of one block.
//!
//! ```text
//! "mmfseg1\n"   what this is
//! blocks        zlib, about 16 KiB of entries each: key lengths, key, value; keys share beginnings
//! directory     zlib: first key, offset and length of every block, and the last key
//! end           where the directory lies, and "mmfseg1\n" again
//! ```

mod block;
mod read;
mod write;

pub(super) use read::Segment;
pub(super) use write::SegmentWriter;

/// A key, and its value; `None` where the key is gone and hides an older value.
pub(super) type Entry = (Vec<u8>, Option<Vec<u8>>);

/// At the beginning and at the end of a file.
const MAGIC: &[u8; 8] = b"mmfseg1\n";

/// Offset and length of the directory, then [`MAGIC`].
const END_LEN: usize = 24;
