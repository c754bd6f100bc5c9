//! Which processes live: each holds a file of its own locked for as long as it does.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;

use super::{StoreError, files};

/// The processes that work in a folder, and this one among them.
#[derive(Debug)]
pub struct Presence {
    dir: PathBuf,
    name: String,
    /// Held from the first announcement until the process ends.
    alive: Mutex<Option<File>>,
}

impl Presence {
    /// The processes that lock files in `dir`; `name` is to be this one's alone.
    #[must_use]
    pub fn new(dir: PathBuf, name: String) -> Self {
        Self {
            dir,
            name,
            alive: Mutex::default(),
        }
    }

    /// What this process is called there.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Makes this process known as one that lives. Nothing is written before.
    pub fn announce(&self) -> Result<(), StoreError> {
        let mut alive = self.alive.lock().unwrap_or_else(PoisonError::into_inner);
        if alive.is_none() {
            let path = self.lock_of(&self.name);
            let file = open(&path)?;
            file.lock().map_err(StoreError::io("lock", &path))?;
            *alive = Some(file);
        }
        Ok(())
    }

    /// Whether a process still lives. The system lets go of its lock however it ends.
    ///
    /// Those who look share what they hold for that moment: else each would take another who looks
    /// for the process itself.
    #[must_use]
    pub fn is_alive(&self, name: &str) -> bool {
        let Ok(file) = File::open(self.lock_of(name)) else {
            return false;
        };
        matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock))
    }

    /// Removes what processes left that died before `before`.
    pub fn sweep(&self, before: Timestamp) {
        let entries = fs::read_dir(&self.dir).into_iter().flatten().flatten();
        for path in entries.map(|entry| entry.path()) {
            let name = path.file_stem().and_then(|name| name.to_str());
            // One that begins makes its file before it holds it, a moment later.
            let written = path.metadata().and_then(|facts| facts.modified()).ok();
            let written = written.and_then(|written| Timestamp::try_from(written).ok());
            let is_old = written.is_some_and(|written| written < before);
            if is_old && name.is_some_and(|name| !self.is_alive(name)) {
                // Another process may be quicker.
                let _ = files::remove(&path);
            }
        }
    }

    fn lock_of(&self, name: &str) -> PathBuf {
        self.dir.join(format!("{name}.lock"))
    }
}

/// A file to be locked, made with its folder if it is not there.
pub fn open(path: &Path) -> Result<File, StoreError> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(StoreError::io("create", folder))?;
    }
    let opened = File::options()
        .write(true)
        .create(true)
        .truncate(false)
        .open(path);
    opened.map_err(StoreError::io("open", path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_lives_from_its_announcement_to_its_end() {
        let folder = tempfile::tempdir().unwrap();
        let of = |name: &str| Presence::new(folder.path().join("processes"), name.to_owned());
        let (one, other) = (of("one"), of("other"));
        assert!(!other.is_alive("one"), "nobody has heard of it");
        one.announce().unwrap();
        assert!(other.is_alive("one"));
        drop(one);
        assert!(!other.is_alive("one"));
    }

    #[test]
    fn of_many_who_look_at_once_none_takes_another_for_the_process() {
        let folder = tempfile::tempdir().unwrap();
        let of = |name: &str| Presence::new(folder.path().to_owned(), name.to_owned());
        of("dead").announce().unwrap();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let looks = of("looks");
                    assert!((0..2_000).all(|_| !looks.is_alive("dead")));
                });
            }
        });
    }
}
