//! Writing a segment, from the smallest key to the greatest.

use std::io::Write as _;
use std::path::Path;

use super::block::{Packer, compress, put_number};
use super::{END_LEN, MAGIC};
use crate::store::StoreError;
use crate::store::files::TempFile;

/// A block is closed when its entries take this many bytes: a few dozen rows, which unpack in some
/// 50 microseconds.
const BLOCK_BYTES: usize = 16 << 10;

/// Blocks are written to the disk together.
const BUFFER_BYTES: usize = 1 << 20;

/// A segment being written. Nothing is there before [`SegmentWriter::finish`].
#[derive(Debug)]
pub(in crate::store) struct SegmentWriter {
    file: TempFile,
    buffer: Vec<u8>,
    /// Bytes written and buffered.
    len: u64,
    block: Packer,
    /// First keys, offsets and lengths of the blocks.
    directory: Vec<u8>,
    blocks: u64,
    first: Vec<u8>,
    last: Vec<u8>,
}

impl SegmentWriter {
    pub(in crate::store) fn create(temp: &Path) -> Result<Self, StoreError> {
        Ok(Self {
            file: TempFile::create(temp)?,
            buffer: MAGIC.to_vec(),
            len: MAGIC.len() as u64,
            block: Packer::default(),
            directory: Vec::new(),
            blocks: 0,
            first: Vec::new(),
            last: Vec::new(),
        })
    }

    /// Adds an entry, whose key must be greater than all before.
    pub(in crate::store) fn push(
        &mut self,
        key: &[u8],
        value: Option<&[u8]>,
    ) -> Result<(), StoreError> {
        if self.block.len() == 0 {
            self.first = key.to_vec();
        }
        self.block.push(key, value);
        if self.block.len() >= BLOCK_BYTES {
            self.close_block()?;
        }
        Ok(())
    }

    /// Makes the file durable and moves it to `target`.
    pub(in crate::store) fn finish(mut self, target: &Path) -> Result<(), StoreError> {
        if self.block.len() > 0 {
            self.close_block()?;
        }
        let mut directory = Vec::new();
        put_number(&mut directory, self.blocks);
        directory.append(&mut self.directory);
        put_number(&mut directory, self.last.len() as u64);
        directory.extend_from_slice(&self.last);
        let directory = compress(&directory).map_err(StoreError::io("write", target))?;

        let mut end = Vec::with_capacity(END_LEN);
        end.extend_from_slice(&self.len.to_be_bytes());
        end.extend_from_slice(&(directory.len() as u64).to_be_bytes());
        end.extend_from_slice(MAGIC);
        self.write(&directory)?;
        self.write(&end)?;
        self.flush()?;
        self.file.sync()?;
        self.file.persist(target)
    }

    fn close_block(&mut self) -> Result<(), StoreError> {
        self.last = self.block.last().to_vec();
        let path = self.file.path().to_owned();
        let packed = self.block.take().map_err(StoreError::io("write", &path))?;
        put_number(&mut self.directory, self.first.len() as u64);
        self.directory.extend_from_slice(&self.first);
        put_number(&mut self.directory, self.len);
        put_number(&mut self.directory, packed.len() as u64);
        self.blocks += 1;
        self.write(&packed)
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        self.buffer.extend_from_slice(bytes);
        self.len += bytes.len() as u64;
        if self.buffer.len() >= BUFFER_BYTES {
            self.flush()?;
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), StoreError> {
        let path = self.file.path().to_owned();
        let written = self.file.file().write_all(&self.buffer);
        written.map_err(StoreError::io("write", &path))?;
        self.buffer.clear();
        Ok(())
    }
}
