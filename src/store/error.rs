//! What can go wrong with files and with the index.

use std::io;
use std::path::{Path, PathBuf};

use crate::failure::{Code, Failure};

/// Why the store could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The file system refused.
    #[error("could not {action} {}: {source}", path.display())]
    Io {
        /// What was tried, such as `"write"`.
        action: &'static str,
        /// On which file or folder.
        path: PathBuf,
        /// What the file system said.
        source: io::Error,
    },
    /// A record's file is not the JSON it should be.
    #[error("the record {} is damaged: {reason}", path.display())]
    Damaged {
        /// The record's file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The folder was written by a later version of this program.
    #[error(
        "{} was written by a later version of this program (schema {found}, this one knows {known})",
        path.display()
    )]
    Newer {
        /// The journal that says so.
        path: PathBuf,
        /// The schema it was written with.
        found: u32,
        /// The schema this program knows.
        known: u32,
    },
    /// The index failed even after it was built anew.
    #[error("the index in {} does not work: {reason}", path.display())]
    Index {
        /// The index's folder.
        path: PathBuf,
        /// What the database said.
        reason: String,
    },
    /// A part of the index that all processes share can't be read.
    #[error("a part of the index in {} does not work: {reason}", path.display())]
    Segment {
        /// The folder of these parts.
        path: PathBuf,
        /// Which one, and what is wrong with it.
        reason: String,
    },
    /// An id that can't name a file.
    #[error("\"{0}\" can't be an id: an id is made of letters, digits, - and _")]
    BadId(String),
}

impl StoreError {
    /// An `Io` error, for use with `map_err`.
    pub fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io {
            action,
            path: path.to_owned(),
            source,
        }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        let hint = match &error {
            StoreError::Io { source, .. } => match source.kind() {
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                    "free some disk space, or point the data folder at a larger disk"
                }
                io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                    "check who owns the data folder, or point it at a folder you may write to"
                }
                _ => "check the data folder and its disk",
            },
            StoreError::Damaged { .. } => {
                "the file is plain JSON: restore it from a backup or remove it"
            }
            StoreError::Newer { .. } => "update this program, or use another data folder",
            StoreError::Index { .. } => {
                "remove the index folder: it is built anew from the records"
            }
            StoreError::Segment { .. } => {
                "try again: the next look at the store makes it anew from the records"
            }
            StoreError::BadId(_) => "pass an id as it was returned",
        };
        Self::new(Code::INTERNAL_ERROR, error.to_string()).hint(hint)
    }
}
