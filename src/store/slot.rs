//! Which index folder is this process's: the first one that nobody else holds.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use super::StoreError;
use super::index::{Broken, Index};

/// More processes than this on one folder are a mistake.
const MAX_SLOTS: u32 = 256;

/// A held index folder.
#[derive(Debug)]
pub(super) struct Slot {
    folder: PathBuf,
    counted: &'static [&'static str],
    /// Held as long as the file is open.
    _lock: File,
}

impl Slot {
    /// Takes the first free slot below `folder`.
    pub(super) fn take(
        folder: &Path,
        counted: &'static [&'static str],
    ) -> Result<Self, StoreError> {
        fs::create_dir_all(folder).map_err(StoreError::io("create", folder))?;
        for n in 0..MAX_SLOTS {
            let path = folder.join(format!("{n}.lock"));
            let opened = File::options()
                .write(true)
                .create(true)
                .truncate(false)
                .open(&path);
            let lock = opened.map_err(StoreError::io("open", &path))?;
            match lock.try_lock() {
                Ok(()) => {
                    return Ok(Self {
                        folder: folder.join(n.to_string()),
                        counted,
                        _lock: lock,
                    });
                }
                Err(TryLockError::WouldBlock) => {}
                Err(TryLockError::Error(error)) => {
                    return Err(StoreError::io("lock", &path)(error));
                }
            }
        }
        Err(StoreError::Index {
            path: folder.to_owned(),
            reason: format!("{MAX_SLOTS} processes use it already"),
        })
    }

    /// Opens the slot's index, as an empty one if what is there doesn't work.
    pub(super) fn open_index(&self) -> Result<Index, StoreError> {
        match Index::open(&self.folder, self.counted) {
            Ok(index) => Ok(index),
            Err(broken) => self.replace_index(&broken),
        }
    }

    /// Moves a broken index, which must be closed, out of the way and opens an empty one.
    pub(super) fn replace_index(&self, broken: &Broken) -> Result<Index, StoreError> {
        tracing::warn!(index = %self.folder.display(), reason = %broken, "the index is broken and is built anew");
        let aside = self.folder.with_extension("broken");
        // Renamed first: a folder half removed must not be opened by the next process.
        remove_dir(&aside)?;
        match fs::rename(&self.folder, &aside) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(StoreError::io("rename", &self.folder)(error));
            }
            _ => remove_dir(&aside)?,
        }
        Index::open(&self.folder, self.counted).map_err(|broken| StoreError::Index {
            path: self.folder.clone(),
            reason: broken.to_string(),
        })
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }
}

/// Removes a folder; that it's gone already is fine.
fn remove_dir(folder: &Path) -> Result<(), StoreError> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(StoreError::io("remove", folder)(error))
        }
        _ => Ok(()),
    }
}
