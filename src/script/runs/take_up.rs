//! Going on with runs whose process is gone.

use std::collections::HashSet;
use std::sync::{Arc, MutexGuard, PoisonError};

use serde_json::Value;

use super::blocking::blocking;
use super::{Journal, Record, Run, RunError, Runs};
use crate::failure::{Code, Failure};
use crate::script::submissions::Submissions;
use crate::script::{Caller, Kind, Runner, Served};
use crate::store::files;

/// Where a run is.
pub(super) enum Found {
    /// In this process.
    Live(Run),
    /// In another process, or it waits for one that may go on with it.
    Elsewhere(Record),
    /// Nowhere any more.
    Over(Record),
    /// It was to be ended, and its process is gone: its jobs may go on.
    Abandoned(Record),
}

/// Why a run is looked for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// It is to be told of.
    Look,
    /// It is to go on.
    Follow,
    /// It is to end.
    Cancel,
}

impl Runs {
    /// Goes on with the runs of this folder whose process is gone, and says with how many.
    pub async fn resume(&self, runner: &Runner) -> Result<usize, RunError> {
        let (this, on) = (self.clone(), runner.clone());
        let found = blocking(move || {
            let mut resumed = 0;
            let mut abandoned = vec![];
            for run_id in this.unsettled() {
                match this.look_up(&on, &run_id, Purpose::Follow) {
                    Ok(Found::Live(_)) => resumed += 1,
                    Ok(Found::Abandoned(_)) => abandoned.extend(this.0.folder.jobs_of(&run_id)),
                    Ok(Found::Over(_)) => this.settle(run_id),
                    Ok(Found::Elsewhere(_)) => {}
                    Err(error) => tracing::warn!(%error, run_id, "can't be gone on with"),
                }
            }
            Ok((resumed, abandoned))
        });
        let (resumed, abandoned) = found.await?;
        if !abandoned.is_empty() {
            let jobs = Arc::new(Submissions::of(abandoned.into_iter()));
            jobs.cancel(&runner.host().comfy).await;
        }
        Ok(resumed)
    }

    /// The runs that are written down and not known to be over. Only these are read each time that
    /// somebody looks for those that were left behind.
    fn unsettled(&self) -> Vec<String> {
        let mut run_ids = self.0.folder.run_ids();
        let mut settled = self.settled();
        let there: HashSet<&String> = run_ids.iter().collect();
        settled.retain(|run_id| there.contains(run_id));
        run_ids.retain(|run_id| !settled.contains(run_id));
        drop(settled);
        run_ids.retain(|run_id| self.find_here(run_id).is_none());
        run_ids
    }

    fn settle(&self, run_id: String) {
        self.settled().insert(run_id);
    }

    fn settled(&self) -> MutexGuard<'_, HashSet<String>> {
        self.0
            .settled
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) async fn find(
        &self,
        runner: &Runner,
        run_id: &str,
        purpose: Purpose,
    ) -> Result<Found, RunError> {
        if let Some(found) = self.find_here(run_id) {
            return Ok(found);
        }
        let (this, on, wanted) = (self.clone(), runner.clone(), run_id.to_owned());
        let found = blocking(move || this.look_up(&on, &wanted, purpose)).await?;
        if let Found::Abandoned(_) = &found {
            // What it merely waited for is not its to end.
            let (folder, run_id) = (self.0.folder.clone(), run_id.to_owned());
            let jobs = blocking(move || Ok(folder.jobs_of(&run_id))).await?;
            let jobs = Arc::new(Submissions::of(jobs.into_iter()));
            jobs.cancel(&runner.host().comfy).await;
        }
        Ok(found)
    }

    /// A run of this process. One that is over is kept here until it is written down.
    fn find_here(&self, run_id: &str) -> Option<Found> {
        let run = self.live().get(run_id).cloned()?;
        Some(if run.is_over() {
            Found::Over(run.record())
        } else {
            Found::Live(run)
        })
    }

    fn look_up(&self, runner: &Runner, run_id: &str, purpose: Purpose) -> Result<Found, RunError> {
        let unknown = || RunError::Unknown(run_id.to_owned());
        let record = self.0.folder.read(run_id)?.ok_or_else(unknown)?;
        if record.result().is_some() {
            return Ok(Found::Over(record));
        }
        if self.0.folder.is_alive(&record.process) || purpose == Purpose::Look {
            return Ok(Found::Elsewhere(record));
        }
        self.0.folder.alone(|| {
            // Another process may have been quicker.
            let record = self.0.folder.read(run_id)?.ok_or_else(unknown)?;
            if record.result().is_some() {
                return Ok(Found::Over(record));
            }
            if self.0.folder.is_alive(&record.process) {
                let here = self.find_here(run_id);
                return Ok(here.unwrap_or(Found::Elsewhere(record)));
            }
            self.take_up(runner, record, purpose)
        })
    }

    /// A run whose process is gone. One that somebody wants to end is cancelled; any other is gone
    /// through again, which does nothing a second time that stands in its journal; one whose script
    /// is another by now has failed.
    fn take_up(
        &self,
        runner: &Runner,
        mut record: Record,
        purpose: Purpose,
    ) -> Result<Found, RunError> {
        let folder = &self.0.folder;
        let now = self.0.clock.now();
        // The record is written now and then, the journal before each job.
        for prompt_id in folder.jobs_of(&record.run_id) {
            if !record.prompt_ids.contains(&prompt_id) {
                record.prompt_ids.push(prompt_id);
            }
        }
        if purpose == Purpose::Cancel || folder.is_cancelled(&record.run_id) {
            record.end(Err(ended_by_somebody()), now);
            folder.write(&record)?;
            folder.settle(&record.run_id);
            return Ok(Found::Abandoned(record));
        }
        // The shell goes on with its own.
        if record.word.is_some() {
            return Ok(Found::Elsewhere(record));
        }
        // Elsewhere its jobs are not known, nor its scripts and files.
        let host = runner.host();
        if record.server != host.comfy.server().to_string() || record.project != host.project_dir {
            return Ok(Found::Elsewhere(record));
        }
        let generation = host.library.generation();
        let served = generation.get(Kind::Tool, &record.tool).cloned();
        match served {
            Ok(served) if is_idempotent(&served) || served.hash == record.hash => {
                let journal = folder.journal(&record.run_id)?;
                if served.hash != record.hash {
                    files::remove(&journal)?;
                    record.hash.clone_from(&served.hash);
                } else if let Err(error) = Journal::check(&journal) {
                    record.end(Err(error.into()), now);
                    folder.write(&record)?;
                    return Ok(Found::Over(record));
                }
                folder.process().clone_into(&mut record.process);
                record.updated_at = now;
                folder.write(&record)?;
                let caller = Caller::default();
                let run = self.begin(runner, generation, served, record, true, caller)?;
                Ok(Found::Live(run))
            }
            served => {
                let failure = match served {
                    Ok(_) => changed_meanwhile(&record),
                    Err(_) => vanished(&record),
                };
                record.end(Err(failure), now);
                folder.write(&record)?;
                Ok(Found::Over(record))
            }
        }
    }
}

/// Whether a tool may be done twice.
fn is_idempotent(served: &Served) -> bool {
    let meta = &served.script.declaration.meta;
    ["idempotent", "read_only"]
        .iter()
        .any(|fact| meta.get(*fact) == Some(&Value::Bool(true)))
}

fn ended_by_somebody() -> Failure {
    Failure::new(Code::CANCELLED, "the run was cancelled")
}

/// Why a run can't be gone on with.
fn changed_meanwhile(record: &Record) -> Failure {
    let message = format!(
        "the process that ran {tool} ended before it was done, and {tool} is another script by now",
        tool = record.tool
    );
    let failure = Failure::new(Code::JOB_LOST, message)
        .hint(format!(
            "call {} with these arguments to begin anew, and cancel_job with what it has queued and \
             is not wanted any more",
            record.tool
        ))
        .detail("tool", record.tool.as_str())
        .detail("arguments", record.arguments.clone());
    if record.prompt_ids.is_empty() {
        return failure;
    }
    failure.detail("prompt_ids", record.prompt_ids.clone())
}

/// Why a run has failed whose process is gone.
pub(super) fn vanished(record: &Record) -> Failure {
    let failure = Failure::new(
        Code::JOB_LOST,
        format!(
            "the process that ran {} ended before it was done",
            record.tool
        ),
    );
    if record.prompt_ids.is_empty() {
        return failure.hint(format!("call {} again", record.tool));
    }
    failure
        .hint("its jobs may have gone on: call get_workflow_status with each prompt_id")
        .detail("prompt_ids", record.prompt_ids.clone())
}
