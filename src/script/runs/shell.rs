//! Runs of the shell. What they give is for the terminal that began them, so a server leaves them
//! alone: whoever sits there says that one is gone on with.

use std::sync::Arc;

use serde_json::{Map, Value};
use tokio_util::sync::CancellationToken;

use super::{Journal, Record, Run, RunError, Runs};
use crate::script::{Host, Served};
use crate::store::files;

/// A run that ends with this process, or is gone on with by a later one.
#[derive(Debug)]
pub struct Here {
    /// The run.
    pub run: Run,
    /// What it has done so far.
    pub journal: Arc<Journal>,
}

impl Runs {
    /// Begins the run of a script that was asked for by `word`, its name or file. Nothing is written
    /// before it has an effect.
    pub fn begin_here(
        &self,
        host: &Host,
        served: &Served,
        word: &str,
        arguments: Map<String, Value>,
    ) -> Result<Here, RunError> {
        let record = self.new_record(host, served, arguments);
        let word = Some(word.to_owned());
        self.here(Record { word, ..record }, false)
    }

    /// The runs of the shell whose process is gone.
    #[must_use]
    pub fn interrupted(&self) -> Vec<Record> {
        let run_ids = self.0.folder.run_ids().into_iter();
        let records = run_ids.filter_map(|run_id| self.0.folder.read(&run_id).ok().flatten());
        let mut left: Vec<Record> = records
            .filter(|record| record.word.is_some() && record.result().is_none())
            .filter(|record| !self.0.folder.is_alive(&record.process))
            .collect();
        left.sort_by_key(|record| record.created_at);
        left
    }

    /// A run of the shell that was interrupted.
    pub fn interrupted_one(&self, run_id: &str) -> Result<Record, RunError> {
        let found = self.0.folder.read(run_id)?;
        let record = found.filter(|record| record.word.is_some());
        let record = record.ok_or_else(|| RunError::Unknown(run_id.to_owned()))?;
        if record.result().is_some() || self.0.folder.is_alive(&record.process) {
            return Err(RunError::GoesOn(run_id.to_owned()));
        }
        Ok(record)
    }

    /// Takes an interrupted run of the shell up. `anew` begins it again from nothing, as has to be
    /// said where its script is another by now.
    pub fn take_here(
        &self,
        host: &Host,
        served: &Served,
        run_id: &str,
        anew: bool,
    ) -> Result<Here, RunError> {
        self.0.folder.alone(|| {
            let mut record = self.interrupted_one(run_id)?;
            let address = host.comfy.server().to_string();
            if record.server != address || record.project != host.project_dir {
                return Err(RunError::Elsewhere {
                    run_id: run_id.to_owned(),
                    server: record.server,
                    project: record.project,
                });
            }
            if anew {
                files::remove(&self.0.folder.journal(run_id)?)?;
                record.hash.clone_from(&served.hash);
            }
            if record.hash != served.hash {
                return Err(RunError::Changed {
                    run_id: run_id.to_owned(),
                    script: served.script.key.name.clone(),
                });
            }
            self.0.folder.process().clone_into(&mut record.process);
            record.updated_at = self.0.clock.now();
            let here = self.here(record, true)?;
            self.0.folder.write(&here.run.record())?;
            Ok(here)
        })
    }

    fn here(&self, record: Record, kept: bool) -> Result<Here, RunError> {
        let path = self.0.folder.journal(&record.run_id)?;
        let run = Run::new(
            record,
            kept,
            CancellationToken::new(),
            self.0.folder.clone(),
            self.0.clock.clone(),
        );
        let journal = Arc::new(Journal::open(path, run.clone())?);
        Ok(Here { run, journal })
    }
}
