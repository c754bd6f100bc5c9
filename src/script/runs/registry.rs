//! All runs: those of this process, and those that other processes wrote down.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::{Map, Value};
use tokio::time::{Instant, sleep, timeout_at};
use tokio_util::sync::CancellationToken;

use super::blocking::blocking;
use super::folder::Folder;
use super::record::PREFIX;
use super::{Journal, Record, Run, RunError, Status};
use crate::clock::Clock;
use crate::failure::{Code, Failure};
use crate::ids::Ids;
use crate::script::submissions::Submissions;
use crate::script::{Caller, Generation, Kind, Progress, Reply, Runner, ScriptError, Served};
use crate::store::files;

/// How often a run of another process is looked at, and how often that process looks whether it
/// was asked to end it. Files are all that the two share.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// How often it is tried to write down the end of a run that could not be: a full disk is made
/// room on.
const WRITE_AGAIN: Duration = Duration::from_secs(5);

/// How long the result of a run is kept where assets live for ever.
const KEPT_FOR: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// The runs of one data folder. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Runs(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    folder: Arc<Folder>,
    ttl: Duration,
    clock: Clock,
    ids: Ids,
    live: Mutex<HashMap<String, Run>>,
}

/// How waiting for a run ended.
#[derive(Clone, Debug)]
pub enum Waited {
    /// It is over.
    Over(Result<Reply, Failure>),
    /// It goes on.
    Working(Box<Record>),
}

enum Found {
    Live(Run),
    Elsewhere(Record),
    Over(Record),
    /// It was to be ended, and its process is gone: its jobs may go on.
    Abandoned(Record),
}

/// Why a run is looked for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Purpose {
    /// It is to be told of.
    Look,
    /// It is to go on.
    Follow,
    /// It is to end.
    Cancel,
}

impl Runs {
    /// The runs in `dir`, whose results live as long as the assets that they name. Nothing is
    /// written before there is a run to write down.
    #[must_use]
    pub fn new(dir: PathBuf, ttl: Option<Duration>, clock: Clock, ids: Ids) -> Self {
        Self(Arc::new(Inner {
            folder: Arc::new(Folder::new(dir, ids.random())),
            ttl: ttl.unwrap_or(KEPT_FOR),
            clock,
            ids,
            live: Mutex::default(),
        }))
    }

    /// How long a result is kept.
    #[must_use]
    pub fn ttl(&self) -> Duration {
        self.0.ttl
    }

    /// Starts a tool detached from its caller, whose progress goes to [`Run::signs`]. Cancelling
    /// the caller ends it; a caller that goes away leaves it alone.
    pub fn start(
        &self,
        runner: &Runner,
        generation: Arc<Generation>,
        served: Served,
        arguments: Map<String, Value>,
        caller: Caller,
    ) -> Result<Run, ScriptError> {
        // What is wrong with the arguments is told at once.
        served.script.arguments(arguments.clone())?;
        let now = self.0.clock.now();
        let record = Record {
            run_id: format!("{PREFIX}{}", self.0.ids.ordered()),
            tool: served.script.key.name.clone(),
            arguments,
            hash: served.hash.clone(),
            server: runner.host().comfy.server().to_string(),
            project: runner.host().project_dir.clone(),
            status: Status::Working,
            created_at: now,
            updated_at: now,
            session: caller.session.as_deref().map(str::to_owned),
            process: self.0.folder.process().to_owned(),
            prompt_ids: vec![],
            progress: None,
            reply: None,
            failure: None,
        };
        self.begin(runner, generation, served, record, false, caller)
            .map_err(|error| ScriptError::Ran(error.into()))
    }

    /// Goes on with the runs of this folder whose process is gone, and says with how many.
    pub async fn resume(&self, runner: &Runner) -> Result<usize, RunError> {
        let (this, on) = (self.clone(), runner.clone());
        let found = blocking(move || {
            let mut resumed = 0;
            let mut abandoned = vec![];
            for run_id in this.0.folder.run_ids() {
                if this.find_here(&run_id).is_some() {
                    continue;
                }
                match this.look_up(&on, &run_id, Purpose::Follow) {
                    Ok(Found::Live(_)) => resumed += 1,
                    Ok(Found::Abandoned(record)) => abandoned.extend(record.prompt_ids),
                    Ok(_) => {}
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

    /// Removes what is written of a run that is over and whose end was told to whoever began it.
    pub async fn discard(&self, run: &Run) {
        if !run.is_kept() {
            return;
        }
        let (folder, run_id) = (self.0.folder.clone(), run.record().run_id);
        let removed = blocking(move || {
            folder.remove(&run_id);
            Ok(())
        });
        // A file that stays goes when its time is over.
        let _ = removed.await;
    }

    /// Waits for a run, wherever it goes on.
    pub async fn wait(
        &self,
        runner: &Runner,
        run_id: &str,
        limit: Duration,
        report: impl Fn(Progress),
    ) -> Result<Waited, RunError> {
        let deadline = Instant::now() + limit;
        loop {
            match self.find(runner, run_id, Purpose::Follow).await? {
                Found::Over(record) | Found::Abandoned(record) => return Ok(over(&record)),
                Found::Live(run) => {
                    let ended = timeout_at(deadline, run.ended_with(report)).await;
                    return Ok(match ended {
                        Ok(result) => Waited::Over(result),
                        // It may have ended in the moment in which patience did; what is told is
                        // written down first.
                        Err(_) => match run.record() {
                            ended if ended.result().is_some() => Waited::Over(run.ended().await),
                            record => Waited::Working(record.into()),
                        },
                    });
                }
                Found::Elsewhere(record) if Instant::now() >= deadline => {
                    return Ok(Waited::Working(record.into()));
                }
                Found::Elsewhere(_) => sleep(LOOK_EVERY.min(limit)).await,
            }
        }
    }

    /// Whether a run of this process was begun by that session of it, or by the process itself.
    #[must_use]
    pub fn is_of(&self, run_id: &str, session: Option<&str>) -> bool {
        let live = self.live();
        let run = live.get(run_id);
        run.is_some_and(|run| run.record().session.as_deref() == session)
    }

    /// What is known of a run.
    pub async fn record(&self, runner: &Runner, run_id: &str) -> Result<Record, RunError> {
        Ok(match self.find(runner, run_id, Purpose::Look).await? {
            Found::Live(run) => run.record(),
            Found::Elsewhere(record) | Found::Over(record) | Found::Abandoned(record) => record,
        })
    }

    /// Ends a run and its jobs, wherever it goes on. Says whether it went on until then.
    pub async fn cancel(&self, runner: &Runner, run_id: &str) -> Result<bool, RunError> {
        match self.find(runner, run_id, Purpose::Cancel).await? {
            Found::Live(run) if run.record().result().is_some() => return Ok(false),
            Found::Live(run) => run.cancel(),
            Found::Elsewhere(_) => {
                let (folder, run_id) = (self.0.folder.clone(), run_id.to_owned());
                blocking(move || folder.ask_to_cancel(&run_id)).await?;
            }
            Found::Over(_) => return Ok(false),
            Found::Abandoned(_) => {}
        }
        Ok(true)
    }

    /// Removes runs whose time is over.
    pub fn sweep(&self) {
        let now = self.0.clock.now();
        if let Ok(before) = now.checked_sub(self.0.ttl) {
            self.0.folder.sweep(before, now);
        }
    }

    async fn find(
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
        if let Found::Abandoned(record) = &found {
            let jobs = Arc::new(Submissions::of(record.prompt_ids.iter().cloned()));
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
        if purpose == Purpose::Cancel || folder.is_cancelled(&record.run_id) {
            record.end(Err(ended_by_somebody()), now);
            folder.write(&record)?;
            folder.settle(&record.run_id);
            return Ok(Found::Abandoned(record));
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

    fn begin(
        &self,
        runner: &Runner,
        generation: Arc<Generation>,
        served: Served,
        record: Record,
        kept: bool,
        caller: Caller,
    ) -> Result<Run, RunError> {
        let (run_id, arguments) = (record.run_id.clone(), record.arguments.clone());
        let cancel = caller.cancel.clone();
        let run = Run::new(
            record,
            kept,
            cancel.clone(),
            self.0.folder.clone(),
            self.0.clock.clone(),
        );
        let journal = Journal::open(self.0.folder.journal(&run_id)?, run.clone())?;
        self.live().insert(run_id.clone(), run.clone());
        let heard = run.clone();
        let caller = Caller {
            progress: Arc::new(move |progress| heard.hear(progress)),
            journal: Some(Arc::new(journal)),
            ..caller
        };
        let (this, runner, ran) = (self.clone(), runner.clone(), run.clone());
        tokio::spawn(async move {
            let work = runner.run(generation, served, arguments, caller);
            let result = tokio::select! {
                result = work => result,
                never = this.look_after(&ran, &cancel) => match never {},
            };
            ran.end(result.map_err(Failure::from));
            // Written before it is told, so that what was told outlives the process, and before it
            // is forgotten here, so that it is always known somewhere.
            let mut written = write_news(&ran).await;
            ran.tell_end();
            while !written {
                sleep(WRITE_AGAIN).await;
                written = write_news(&ran).await;
            }
            this.live().remove(&run_id);
        });
        Ok(run)
    }

    /// Writes now and then what has become of a run, and cancels it when another process asks for
    /// that.
    async fn look_after(&self, run: &Run, cancel: &CancellationToken) -> std::convert::Infallible {
        let run_id = run.record().run_id;
        loop {
            sleep(LOOK_EVERY).await;
            if !run.is_kept() {
                continue;
            }
            // It is tried again the next time.
            write_news(run).await;
            let (folder, run_id) = (self.0.folder.clone(), run_id.clone());
            let asked = blocking(move || Ok(folder.is_cancelled(&run_id))).await;
            if asked.unwrap_or_default() {
                cancel.cancel();
            }
        }
    }

    fn live(&self) -> MutexGuard<'_, HashMap<String, Run>> {
        self.0.live.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a tool may be done twice.
fn is_idempotent(served: &Served) -> bool {
    let meta = &served.script.declaration.meta;
    ["idempotent", "read_only"]
        .iter()
        .any(|fact| meta.get(*fact) == Some(&Value::Bool(true)))
}

async fn write_news(run: &Run) -> bool {
    let run = run.clone();
    let written = blocking(move || Ok(run.write_news())).await;
    written.unwrap_or_default()
}

fn ended_by_somebody() -> Failure {
    Failure::new(Code::CANCELLED, "the run was cancelled")
}

fn over(record: &Record) -> Waited {
    match record.result() {
        Some(result) => Waited::Over(result),
        None => Waited::Working(record.clone().into()),
    }
}

/// Why a run can't be gone on with.
fn changed_meanwhile(record: &Record) -> Failure {
    let message = format!(
        "the process that ran {tool} ended before it was done, and {tool} is another script by now",
        tool = record.tool
    );
    let failure = Failure::new(Code::JOB_LOST, message);
    let failure = failure.hint(format!("call {} again to begin anew", record.tool));
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
