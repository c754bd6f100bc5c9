//! `manifest.json`: which file stands for which key of a page.

use std::fs::{self, File};
use std::path::Path;

use serde_json::{Map, Value};

use super::PublishError;

/// Files being written begin with this. They are written under the folder's lock, so whoever
/// holds it may remove what is left of others.
pub(super) const TEMP_PREFIX: &str = ".mmf-";

pub(super) const NAME: &str = "manifest.json";

/// One publisher at a time in a folder, over all processes; until it's dropped.
#[derive(Debug)]
pub(super) struct FolderLock(#[expect(dead_code, reason = "locked as long as it's open")] File);

impl FolderLock {
    pub(super) fn hold(folder: &Path) -> Result<Self, PublishError> {
        let file = open_lock(folder).map_err(PublishError::copy(folder))?;
        file.lock().map_err(PublishError::copy(folder))?;
        sweep(folder);
        Ok(Self(file))
    }
}

/// The folder itself is what is locked: nothing is left lying in a web project.
#[cfg(unix)]
fn open_lock(folder: &Path) -> std::io::Result<File> {
    File::open(folder)
}

#[cfg(not(unix))]
fn open_lock(folder: &Path) -> std::io::Result<File> {
    let path = folder.join(".publish.lock");
    File::options()
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)
}

fn sweep(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().starts_with(TEMP_PREFIX)
            && let Err(error) = fs::remove_file(entry.path())
        {
            tracing::warn!(%error, path = %entry.path().display(), "could not remove a leftover");
        }
    }
}

/// The manifest of a folder; empty if there is none. Not followed if it's a link.
pub(super) fn read(folder: &Path) -> Result<Map<String, Value>, PublishError> {
    let path = folder.join(NAME);
    match fs::symlink_metadata(&path) {
        Ok(facts) if facts.is_file() => {}
        Ok(_) => {
            return Err(PublishError::InvalidPath {
                path,
                reason: "it is not a plain file".to_owned(),
            });
        }
        Err(_) => return Ok(Map::new()),
    }
    let json = fs::read(&path).map_err(PublishError::copy(&path))?;
    serde_json::from_slice(&json).map_err(|_| PublishError::Manifest(path))
}
