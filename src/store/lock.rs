//! The write lock, which one process at a time holds, and the note it keeps for its successor.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::StoreError;

/// A lock file. The operating system lets go of it when its process dies, however that happens.
#[derive(Debug)]
pub(super) struct WriteLock {
    path: PathBuf,
    // The operating system's lock belongs to the open file: threads need one among themselves.
    file: Mutex<File>,
}

/// The lock while it's held.
#[derive(Debug)]
pub(super) struct Held<'a> {
    path: &'a Path,
    file: MutexGuard<'a, File>,
}

impl WriteLock {
    pub(super) fn open(path: PathBuf) -> Result<Self, StoreError> {
        let opened = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path);
        let file = opened.map_err(StoreError::io("open", &path))?;
        Ok(Self {
            path,
            file: Mutex::new(file),
        })
    }

    /// Waits until no other process or thread writes.
    pub(super) fn hold(&self) -> Result<Held<'_>, StoreError> {
        let file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        file.lock().map_err(StoreError::io("lock", &self.path))?;
        Ok(Held {
            path: &self.path,
            file,
        })
    }
}

impl Held<'_> {
    /// The ids that the last holder was writing when it died; none if it finished.
    pub(super) fn pending(&mut self) -> Result<Vec<String>, StoreError> {
        let mut note = String::new();
        let read = self
            .file
            .seek(SeekFrom::Start(0))
            .and_then(|_| self.file.read_to_string(&mut note));
        // A note cut short names an id of which nothing has been written yet, at the end.
        read.map_err(StoreError::io("read", self.path))?;
        Ok(note
            .split_inclusive('\n')
            .filter_map(|id| id.strip_suffix('\n'))
            .map(str::to_owned)
            .collect())
    }

    /// Notes that `id` is about to be written. For a process's death it needs no sync; after a
    /// power cut a lost note leaves at most a record that the index learns of when it's rebuilt.
    pub(super) fn note(&mut self, id: &str) -> Result<(), StoreError> {
        let end = self.file.seek(SeekFrom::End(0));
        let written = end.and_then(|_| self.file.write_all(format!("{id}\n").as_bytes()));
        written.map_err(StoreError::io("write", self.path))
    }

    /// Everything noted is done.
    pub(super) fn done(&mut self) -> Result<(), StoreError> {
        self.file
            .set_len(0)
            .map_err(StoreError::io("write", self.path))
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        if let Err(error) = self.file.unlock() {
            tracing::warn!(%error, path = %self.path.display(), "could not release the write lock");
        }
    }
}
