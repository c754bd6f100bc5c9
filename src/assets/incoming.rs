//! Bytes on their way in: hashed while they're written, never whole in memory.

use std::fs::File;
use std::io::{self, Read, Write as _};
use std::path::Path;

use super::AssetError;
use crate::store::StoreError;
use crate::store::files::TempFile;

/// Bytes in a temporary file.
#[derive(Debug)]
pub(super) struct Incoming {
    pub(super) blake3: String,
    pub(super) bytes: u64,
    file: TempFile,
}

impl Incoming {
    pub(super) fn receive(
        temp: &Path,
        filename: &str,
        reader: &mut dyn Read,
    ) -> Result<Self, AssetError> {
        const BUFFER_BYTES: usize = 128 << 10;
        let mut file = TempFile::create(temp)?;
        let mut hasher = blake3::Hasher::new();
        let mut buffer = vec![0; BUFFER_BYTES];
        let mut bytes = 0;
        loop {
            let read = match reader.read(&mut buffer) {
                Ok(0) => break,
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(source) => {
                    return Err(AssetError::Source {
                        filename: filename.to_owned(),
                        source,
                    });
                }
            };
            hasher.update(&buffer[..read]);
            let path = file.path().to_owned();
            file.file()
                .write_all(&buffer[..read])
                .map_err(StoreError::io("write", &path))?;
            bytes += read as u64;
        }
        Ok(Self {
            blake3: hasher.finalize().to_hex().to_string(),
            bytes,
            file,
        })
    }

    /// The bytes, to look into.
    pub(super) fn file(&mut self) -> &mut File {
        self.file.file()
    }

    /// Makes the bytes durable unless the blob is there already.
    pub(super) fn sync_unless_at(&self, target: &Path) -> Result<(), StoreError> {
        if self.is_at(target) {
            Ok(())
        } else {
            self.file.sync()
        }
    }

    /// Makes the synced bytes the blob at `target`. The caller holds the write lock, so that no
    /// one takes an equal blob away meanwhile.
    pub(super) fn place(self, target: &Path) -> Result<(), StoreError> {
        if self.is_at(target) {
            return Ok(());
        }
        // The blob may have been removed since it was seen: once more, which then costs nothing.
        self.file.sync()?;
        self.file.persist(target)
    }

    fn is_at(&self, target: &Path) -> bool {
        target
            .metadata()
            .is_ok_and(|facts| facts.is_file() && facts.len() == self.bytes)
    }
}
