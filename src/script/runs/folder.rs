//! The files of runs.

use std::fs;
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::{Journal, Record, RunError};
use crate::store::presence::{self, Presence};
use crate::store::{StoreError, files};

/// The folder of runs, and this process's place in it.
#[derive(Debug)]
pub(super) struct Folder {
    dir: PathBuf,
    /// The processes that run something; this one from the first run on that is written down.
    processes: Presence,
}

impl Folder {
    pub(super) fn new(dir: PathBuf, process: String) -> Self {
        Self {
            processes: Presence::new(dir.join("processes"), process),
            dir,
        }
    }

    pub(super) fn process(&self) -> &str {
        self.processes.name()
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
        self.processes.announce()?;
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

    /// Where it is written down what a run has done.
    pub(super) fn journal(&self, run_id: &str) -> Result<PathBuf, RunError> {
        let path = self.path(run_id, "journal");
        path.ok_or_else(|| RunError::Unknown(run_id.to_owned()))
    }

    /// The jobs that a run has put on the server.
    pub(super) fn jobs_of(&self, run_id: &str) -> Vec<String> {
        let read = self
            .journal(run_id)
            .and_then(|path| Journal::jobs_in(&path));
        read.unwrap_or_else(|error| {
            tracing::warn!(%error, run_id, "the jobs of a run can't be told");
            vec![]
        })
    }

    /// The ids of all runs that are written down.
    pub(super) fn run_ids(&self) -> Vec<String> {
        let records =
            files_in(&self.dir).filter(|path| path.extension().is_some_and(|it| it == "json"));
        let names = records.filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned()));
        names.filter(|name| super::is_run(name)).collect()
    }

    /// Removes all that is written of a run.
    pub(super) fn remove(&self, run_id: &str) {
        for extension in ["json", "journal", "cancel"] {
            if let Some(path) = self.path(run_id, extension)
                && let Err(error) = files::remove(&path)
            {
                tracing::warn!(%error, "a file of a run that is over stays");
            }
        }
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

    /// Whether a process still lives.
    pub(super) fn is_alive(&self, process: &str) -> bool {
        self.processes.is_alive(process)
    }

    /// Does something that only one process may do at a time.
    pub(super) fn alone<T>(
        &self,
        work: impl FnOnce() -> Result<T, RunError>,
    ) -> Result<T, RunError> {
        let path = self.dir.join("lock");
        let file = presence::open(&path)?;
        file.lock().map_err(StoreError::io("lock", &path))?;
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
        self.processes.sweep(before);
    }

    /// A file of a run; nothing for an id that is none.
    fn path(&self, run_id: &str, extension: &str) -> Option<PathBuf> {
        super::is_run(run_id).then(|| self.dir.join(format!("{run_id}.{extension}")))
    }
}

fn files_in(folder: &Path) -> impl Iterator<Item = PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .map(|entry| entry.path())
        .filter(|path| path.is_file())
}
