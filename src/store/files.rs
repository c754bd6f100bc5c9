//! Files that are there whole or not at all, whatever is killed and whenever the power goes.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use jiff::{SignedDuration, Timestamp};

use super::StoreError;

/// Leftovers in `tmp/` are taken for a dead process's after this long.
const STALE_AFTER: SignedDuration = SignedDuration::from_hours(24);

/// A file being written, which becomes visible by [`TempFile::persist`] and is removed otherwise.
#[derive(Debug)]
pub struct TempFile {
    path: PathBuf,
    file: File,
    keep: bool,
}

impl TempFile {
    /// A new, empty file in `folder`, which is made if it's missing.
    pub fn create(folder: &Path) -> Result<Self, StoreError> {
        Self::create_named(folder, "")
    }

    /// The same with a name that begins with `prefix`.
    pub fn create_named(folder: &Path, prefix: &str) -> Result<Self, StoreError> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        loop {
            let n = COUNT.fetch_add(1, Ordering::Relaxed);
            let path = folder.join(format!("{prefix}{}-{n}", std::process::id()));
            match create_new(&path) {
                Ok(file) => {
                    return Ok(Self {
                        path,
                        file,
                        keep: false,
                    });
                }
                // A dead process that had our process id left it.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(StoreError::io("create", &path)(error)),
            }
        }
    }

    /// The file, open for reading and writing.
    pub fn file(&mut self) -> &mut File {
        &mut self.file
    }

    /// Where it lies until it's persisted.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Makes the contents durable. May be called early, so that [`TempFile::persist`] is quick.
    pub fn sync(&self) -> Result<(), StoreError> {
        self.file
            .sync_all()
            .map_err(StoreError::io("sync", &self.path))
    }

    /// Moves the synced file to `target`, over whatever is there, making the folder if needed.
    pub fn persist(mut self, target: &Path) -> Result<(), StoreError> {
        let renamed = fs::rename(&self.path, target).or_else(|error| {
            if error.kind() != io::ErrorKind::NotFound {
                return Err(error);
            }
            if let Some(folder) = target.parent() {
                fs::create_dir_all(folder)?;
                if let Some(above) = folder.parent() {
                    sync_dir(above)?;
                }
            }
            fs::rename(&self.path, target)
        });
        renamed.map_err(StoreError::io("write", target))?;
        self.keep = true;
        if let Some(folder) = target.parent() {
            sync_dir(folder).map_err(StoreError::io("sync", folder))?;
        }
        Ok(())
    }
}

fn create_new(path: &Path) -> io::Result<File> {
    let create = || {
        let mut options = File::options();
        options.read(true).write(true).create_new(true).open(path)
    };
    create().or_else(|error| match path.parent() {
        Some(folder) if error.kind() == io::ErrorKind::NotFound => {
            fs::create_dir_all(folder)?;
            create()
        }
        _ => Err(error),
    })
}

impl Drop for TempFile {
    fn drop(&mut self) {
        if !self.keep {
            // Nothing to do about a failure here: the sweep takes it in a day.
            fs::remove_file(&self.path).ok();
        }
    }
}

/// Writes a whole file: a reader sees the old contents or the new, never a part.
pub fn write_atomic(temp: &Path, target: &Path, contents: &[u8]) -> Result<(), StoreError> {
    let mut file = TempFile::create(temp)?;
    file.file()
        .write_all(contents)
        .map_err(StoreError::io("write", target))?;
    file.sync()?;
    file.persist(target)
}

/// Removes a file; that it's gone already is fine. Says whether it was there.
pub fn remove(path: &Path) -> Result<bool, StoreError> {
    match fs::remove_file(path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(StoreError::io("remove", path)(error)),
    }
}

/// Whether `path` is a plain file that was last written longer ago than `age`.
pub fn is_older(path: &Path, age: SignedDuration, now: Timestamp) -> bool {
    let facts = path.symlink_metadata().ok().filter(fs::Metadata::is_file);
    facts
        .and_then(|facts| facts.modified().ok())
        .and_then(|modified| Timestamp::try_from(modified).ok())
        .is_some_and(|modified| now.duration_since(modified) > age)
}

/// Removes what processes that died left in `temp`.
pub fn sweep_temp(temp: &Path, now: Timestamp) {
    let Ok(entries) = fs::read_dir(temp) else {
        return;
    };
    for entry in entries.flatten() {
        let stale = is_older(&entry.path(), STALE_AFTER, now);
        if stale && let Err(error) = fs::remove_file(entry.path()) {
            tracing::warn!(%error, path = %entry.path().display(), "could not remove a leftover");
        }
    }
}

/// A renamed or new file survives a power cut only once its folder is written as well.
#[cfg(unix)]
pub fn sync_dir(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Other systems keep folders durable by themselves and can't open them as files.
#[cfg(not(unix))]
#[expect(clippy::unnecessary_wraps, reason = "the same signature everywhere")]
pub fn sync_dir(_: &Path) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_given_up_leaves_nothing_behind() {
        let dir = tempfile::tempdir().unwrap();
        let mut file = TempFile::create(&dir.path().join("tmp")).unwrap();
        file.file().write_all(b"half").unwrap();
        let path = file.path().to_owned();

        drop(file);

        assert!(!path.exists());
    }

    #[test]
    fn the_sweep_takes_old_leftovers_and_spares_what_is_being_written() {
        let dir = tempfile::tempdir().unwrap();
        let file = TempFile::create(dir.path()).unwrap();
        let written =
            Timestamp::try_from(file.file.metadata().unwrap().modified().unwrap()).unwrap();

        sweep_temp(dir.path(), written + SignedDuration::from_hours(23));
        assert!(file.path().exists());

        sweep_temp(dir.path(), written + SignedDuration::from_hours(25));
        assert!(!file.path().exists());
    }
}
