//! The files of runs.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;

use super::{Record, RunError};
use crate::store::{StoreError, files};

/// The folder of runs, and this process's place in it.
#[derive(Debug)]
pub(super) struct Folder {
    dir: PathBuf,
    /// The name of this process among those that run something.
    process: String,
    /// Held from the first run that is written down until the process ends.
    alive: Mutex<Option<File>>,
}

impl Folder {
    pub(super) fn new(dir: PathBuf, process: String) -> Self {
        Self {
            dir,
            process,
            alive: Mutex::default(),
        }
    }

    pub(super) fn process(&self) -> &str {
        &self.process
    }

    /// The record of a run; nothing if there is none.
    pub(super) fn read(&self, run_id: &str) -> Result<Option<Record>, RunError> {
        let Some(path) = self.path(run_id, "json") else {
            return Ok(None);
        };
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(StoreError::io("read", &path)(error).into()),
        };
        serde_json::from_slice(&bytes)
            .map(Some)
            .map_err(|error| RunError::Damaged {
                path,
                reason: error.to_string(),
            })
    }

    /// Writes a record, whole or not at all.
    pub(super) fn write(&self, record: &Record) -> Result<(), RunError> {
        self.announce()?;
        let Some(path) = self.path(&record.run_id, "json") else {
            return Err(RunError::Unknown(record.run_id.clone()));
        };
        let contents = serde_json::to_vec(record).map_err(|error| RunError::Damaged {
            path: path.clone(),
            reason: error.to_string(),
        })?;
        files::write_atomic(&self.dir.join("tmp"), &path, &contents)?;
        Ok(())
    }

    /// Asks whichever process runs it to end a run.
    pub(super) fn ask_to_cancel(&self, run_id: &str) -> Result<(), RunError> {
        let Some(path) = self.path(run_id, "cancel") else {
            return Err(RunError::Unknown(run_id.to_owned()));
        };
        fs::write(&path, b"").map_err(StoreError::io("write", &path))?;
        Ok(())
    }

    /// Whether somebody asked for a run to end.
    pub(super) fn is_cancelled(&self, run_id: &str) -> bool {
        self.path(run_id, "cancel")
            .is_some_and(|path| path.exists())
    }

    /// Nobody has to be asked any more.
    pub(super) fn settle(&self, run_id: &str) {
        if let Some(path) = self.path(run_id, "cancel")
            && let Err(error) = files::remove(&path)
        {
            tracing::warn!(%error, "a cancelled run's file stays");
        }
    }

    /// Whether a process still lives. The system lets go of its lock however it ends.
    pub(super) fn is_alive(&self, process: &str) -> bool {
        let Ok(file) = File::open(self.lock_of(process)) else {
            return false;
        };
        matches!(file.try_lock(), Err(TryLockError::WouldBlock))
    }

    /// Does something that only one process may do at a time.
    pub(super) fn alone<T>(
        &self,
        work: impl FnOnce() -> Result<T, RunError>,
    ) -> Result<T, RunError> {
        let path = self.dir.join("lock");
        let file = open(&path)?;
        file.lock().map_err(RunError::lock(&path))?;
        work()
    }

    /// Removes runs that were last written before `before`, and what dead processes left.
    pub(super) fn sweep(&self, before: Timestamp, now: Timestamp) {
        files::sweep_temp(&self.dir.join("tmp"), now);
        for path in files_in(&self.dir) {
            let written = path.metadata().and_then(|facts| facts.modified()).ok();
            let written = written.and_then(|written| Timestamp::try_from(written).ok());
            let name = path.file_stem().and_then(|name| name.to_str());
            if !name.is_some_and(super::is_run) || written.is_none_or(|written| written >= before) {
                continue;
            }
            let goes_on = name
                .and_then(|name| self.read(name).ok().flatten())
                .is_some_and(|record| record.result().is_none() && self.is_alive(&record.process));
            if !goes_on && let Err(error) = files::remove(&path) {
                tracing::warn!(%error, "a run whose time is over stays");
            }
        }
        for path in files_in(&self.dir.join("processes")) {
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

    /// Makes this process known as one that lives.
    fn announce(&self) -> Result<(), RunError> {
        let mut alive = self.alive.lock().unwrap_or_else(PoisonError::into_inner);
        if alive.is_none() {
            let path = self.lock_of(&self.process);
            let file = open(&path)?;
            file.lock().map_err(RunError::lock(&path))?;
            *alive = Some(file);
        }
        Ok(())
    }

    fn lock_of(&self, process: &str) -> PathBuf {
        self.dir.join("processes").join(format!("{process}.lock"))
    }

    /// A file of a run; nothing for an id that is none.
    fn path(&self, run_id: &str, extension: &str) -> Option<PathBuf> {
        super::is_run(run_id).then(|| self.dir.join(format!("{run_id}.{extension}")))
    }
}

fn open(path: &Path) -> Result<File, RunError> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(StoreError::io("create", folder))?;
    }
    let opened = File::options()
        .write(true)
        .create(true)
        .truncate(false)
        .open(path);
    Ok(opened.map_err(StoreError::io("open", path))?)
}

fn files_in(folder: &Path) -> impl Iterator<Item = PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .map(|entry| entry.path())
        .filter(|path| path.is_file())
}
